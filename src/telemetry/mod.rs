//! Names and handles of logs and metrics. A leaf: it imports nothing of ours.

mod limits;
mod log;
mod metrics;
mod one_line;
mod tls_metrics;

pub use limits::{Limit, LimitMetrics};
pub use log::{LogFormat, init as init_log};
pub use metrics::{Metrics, RpcMethod, RpcMetrics, SamplerMetrics, UpstreamApi, UpstreamMetrics, UpstreamOutcome};
pub use tls_metrics::TlsMetrics;
