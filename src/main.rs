//! The `keda-stream-scaler` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    keda_stream_scaler::cli::main()
}
