//! Names and handles of logs and metrics. A leaf: it imports nothing of ours.

mod log;
mod metrics;

pub use log::{LogFormat, init as init_log};
pub use metrics::{Metrics, RpcMethod, RpcMetrics, SamplerMetrics, UpstreamApi, UpstreamMetrics, UpstreamOutcome};
