//! Names and handles of logs and metrics. This module imports no other module of the crate.

mod limits;
mod log;
mod metrics;
mod supervised;
mod tls_metrics;
mod traces;

pub use limits::{Limit, LimitMetrics};
pub use log::{LogFilter, LogFormat, init as init_log};
pub use metrics::{
    Call, Exposition, Metrics, RpcCode, RpcMethod, RpcMetrics, SamplerMetrics, UpstreamApi, UpstreamCall,
    UpstreamMetrics, UpstreamOutcome,
};
pub use supervised::{panic_text, payload_text, supervised};
pub use tls_metrics::TlsMetrics;
pub use traces::{Traces, round as round_span};
