//! `playground`: the demo.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::{Verdict, duration, output};
use crate::playground::{self, Options};
use crate::telemetry::{LogFormat, init_log};

/// The arguments of `playground`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler playground
  keda-stream-scaler playground --for 6m --lag-threshold 200

Ctrl-C ends it. Exit code 0: it ended so, or after its time; 1: it failed; 2: wrong usage.")]
pub(super) struct Arguments {
    /// End by itself after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    run_for: Option<Duration>,
    /// How many times shorter than in a cluster the periods of KEDA, the HPA and the workload are
    #[arg(long, default_value = "5", value_parser = ["1", "2", "4", "5"])]
    speed: String,
    /// The lagThreshold of the world that scales by lag [default: what a consumer does in 20 s of a cluster]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    lag_threshold: Option<u32>,
    /// Where the page is served; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    page_addr: SocketAddr,
    /// Where the scaler is served (gRPC); port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    grpc_addr: SocketAddr,
    /// Where the scaler's own pages are (HTTP); port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    http_addr: SocketAddr,
    /// What of the scaler's own work to log, to stderr
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "error", value_name = "FILTER")]
    log: String,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let Arguments { run_for, speed, lag_threshold, page_addr, grpc_addr, http_addr, log } = arguments;
    init_log(&log, LogFormat::Text, None).map_err(anyhow::Error::msg)?;
    let options = Options { run_for, speed: speed.parse()?, lag_threshold, page_addr, grpc_addr, http_addr };
    playground::run(&options, output::data)?;
    Ok(Verdict::Good)
}
