//! The arguments of `serve` for the data that operators get.

use clap::Args;
use clap::builder::BoolishValueParser;

/// Data for operators beyond the defaults.
#[derive(Debug, Args)]
pub(super) struct Observability {
    /// Also a series of each partition and shard on /metrics, up to 20,000 of them
    #[arg(long, env = "STREAM_SCALER_PARTITION_METRICS", value_parser = BoolishValueParser::new())]
    pub(super) partition_metrics: bool,
}
