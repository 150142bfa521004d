//! The `keda-stream-scaler` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    keda_stream_scaler::cli::main()
}
