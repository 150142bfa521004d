//! `replay`: runs policies over samples: recorded ones from a file, or those of a simulator.

mod course;
mod protocol;
mod recorded;
mod table;

use std::io::{stdin, stdout};
use std::path::PathBuf;

use super::Verdict;
use super::output::{self, Format};

/// The arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keda-stream-scaler replay recordings/8c1f*.jsonl --with maxAge=60s --with scaleOn=lag,lagThreshold=50
  keda-stream-scaler replay -o json recordings/8c1f0d3e5a7b9c21-00000003.jsonl
  keda-stream-scaler replay --protocol < requests.jsonl

What consumers did is as it was: a policy that would have run more of them would have seen another lag.

Exit code 0: every policy has a value at the end; 1: some have none, or the input cannot be read; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Recordings of one source, as serve --record writes them
    #[arg(value_name = "FILE", required_unless_present = "protocol", conflicts_with = "protocol")]
    files: Vec<PathBuf>,
    /// Metadata that differ from the recorded trigger's: key=value,key=value; once for each policy to compare
    #[arg(long = "with", value_name = "METADATA", conflicts_with = "protocol")]
    others: Vec<String>,
    /// Interval between output lines
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = super::duration)]
    every: std::time::Duration,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Format,
    /// Answer JSON lines on stdin by JSON lines on stdout: reset, sample, metric and active
    #[arg(long)]
    protocol: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    if arguments.protocol {
        protocol::run(stdin().lock(), stdout().lock())?;
        return Ok(Verdict::Good);
    }
    let recording = recorded::read(&arguments.files)?;
    let mut courses = course::courses(&recording.triggers, &arguments.others)?;
    let table = table::Table::fill(&recording, &mut courses, arguments.every)?;
    match arguments.output {
        Format::Json => output::json(&table)?,
        Format::Text => output::data(&table.to_string())?,
    }
    Ok(if table.ends_well() { Verdict::Good } else { Verdict::Bad })
}
