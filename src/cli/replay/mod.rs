//! `replay`: the catch-up policy over samples that are given to it.

mod protocol;

use std::io::{stdin, stdout};

use super::Verdict;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keda-stream-scaler replay --protocol < requests.jsonl

Exit code 0: the input was read to its end; 1: it could not be; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Answer JSON lines on stdin by JSON lines on stdout: reset, sample, metric and active
    #[arg(long, required = true)]
    protocol: bool,
}

pub(super) fn run(_: &Arguments) -> anyhow::Result<Verdict> {
    protocol::run(stdin().lock(), stdout().lock())?;
    Ok(Verdict::Good)
}
