//! `resize`: as many shards as the writes to a Kinesis stream need.

mod protocol;

use std::io;

use super::Verdict;

/// How the shards of a stream are judged.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Answer JSON lines on stdin by JSON lines on stdout, for simulators
    #[arg(long, required = true)]
    protocol: bool,
}

pub(super) fn run(_: &Arguments) -> anyhow::Result<Verdict> {
    protocol::run(io::stdin().lock(), io::stdout().lock())?;
    Ok(Verdict::Good)
}
