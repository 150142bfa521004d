//! `resize`: sets a Kinesis stream to as many shards as its writes need.

mod once;
mod protocol;
mod rehearsal;

use std::time::Duration;
use std::{fmt, io};

use serde::Serialize;

use super::output::Format;
use super::{Verdict, output};

/// The arguments of `resize`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keda-stream-scaler resize --stream orders --region eu-west-1 --max 64 --rehearse 14d
  keda-stream-scaler resize --stream orders --region eu-west-1 --max 64
  keda-stream-scaler resize --stream orders --region eu-west-1 --max 64 --apply
  keda-stream-scaler resize --stream orders --region eu-west-1 --max 64 --apply --every 1m --output json

It reads the writes of two days from CloudWatch and the shards from Kinesis. Rights: cloudwatch:GetMetricData, kinesis:ListShards,
kinesis:DescribeStreamSummary, kinesis:DescribeLimits, kinesis:UpdateShardCount with --apply, and those of scaleOn: age with --consumer.

Exit code 0: nothing to do, or done; 1: refused or failed; 2: wrong usage.")]
pub(super) struct Arguments {
    /// The stream: its name or its ARN
    #[arg(long, value_name = "STREAM", required_unless_present = "protocol")]
    stream: Option<String>,
    /// The AWS region; that of the ARN where one is given
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Address of the services, instead of AWS's own addresses
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The most shards that the stream may have
    #[arg(long, value_name = "SHARDS", required_unless_present = "protocol", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max: Option<u32>,
    /// The fewest shards that it may have
    #[arg(long, value_name = "SHARDS", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min: u32,
    /// How often the stream may be resized in any 24 hours, by others included
    #[arg(long, value_name = "CALLS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    calls_per_day: u32,
    /// An application whose consumers a lower count waits for; may be given more than once. Without it, the latest reader of the stream counts
    #[arg(long = "consumer", value_name = "APPLICATION")]
    consumers: Vec<String>,
    /// A lower count waits while one of them is later than this
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::duration)]
    max_consumer_age: Duration,
    /// Resize the stream; without it, only show the planned call
    #[arg(long)]
    apply: bool,
    /// Show how the last days of writes would have been sized, beside a fixed count and on-demand, and call nothing: 3 to 15 days
    #[arg(long, value_name = "DURATION", value_parser = days, conflicts_with = "apply")]
    rehearse: Option<Duration>,
    /// Look once, which is the default
    #[arg(long, conflicts_with_all = ["every", "rehearse"])]
    once: bool,
    /// Interval between checks, which repeat until SIGTERM or Ctrl-C: from 1m
    #[arg(long, value_name = "DURATION", value_parser = super::duration, conflicts_with = "rehearse")]
    every: Option<Duration>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
    /// Answer JSON lines on stdin by JSON lines on stdout, for simulators
    #[arg(long, hide = true)]
    protocol: bool,
}

/// Parses a number of days such as 14d, or a duration such as 336h.
fn days(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
    days.map_or_else(|| super::duration(text), |days| Ok(Duration::from_secs(86_400 * u64::from(days))))
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    if arguments.protocol {
        protocol::run(io::stdin().lock(), io::stdout().lock())?;
        return Ok(Verdict::Good);
    }
    match arguments.rehearse {
        Some(span) => show(&rehearsal::run(arguments, span)?, arguments.output)?,
        None => match arguments.every {
            Some(every) => once::repeat(arguments, every)?,
            None => show(&once::run(arguments)?, arguments.output)?,
        },
    }
    Ok(Verdict::Good)
}

fn show(result: &(impl Serialize + fmt::Display), format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(result),
        Format::Text => output::data(&result.to_string()),
    }
}
