//! Traces and metrics over OTLP: where an endpoint is set in OpenTelemetry's own variables, and only there.

mod environment;
mod families;
mod metrics;
mod traces;
mod transport;

pub use self::metrics::MetricsExport;
pub use self::traces::Traces;
