//! The arguments of `serve` that say what operators get to see.

use clap::Args;
use clap::builder::BoolishValueParser;

/// What operators get to see beyond the defaults.
#[derive(Debug, Args)]
pub(super) struct Observability {
    /// Also a series of each partition and shard on /metrics, up to 20,000 of them
    #[arg(long, env = "STREAM_SCALER_PARTITION_METRICS", value_parser = BoolishValueParser::new())]
    pub(super) partition_metrics: bool,
}
