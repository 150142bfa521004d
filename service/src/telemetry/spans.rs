//! Spans for traces: calls, rounds of readings, requests to services.
//!
//! They have the level `trace` and a target of their own, so that they cost nothing and appear nowhere unless traces are exported.

use tracing::Span;
use tracing::field::Empty;

/// The tracing target of every span.
pub(super) const TARGET: &str = "stream_scaler::spans";

/// Starts the span of one call of the contract, by the semantic conventions for RPC servers.
pub(super) fn rpc(service: &str, method: &str) -> Span {
    tracing::trace_span!(
        target: TARGET,
        "rpc",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = format_args!("{service}/{method}"),
        rpc.response.status_code = Empty,
    )
}

/// Starts the span of one request to a service.
pub(super) fn upstream(api: &'static str) -> Span {
    tracing::trace_span!(
        target: TARGET,
        "upstream",
        otel.name = api,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.method = api,
        outcome = Empty,
    )
}

/// Starts the span of one round, with the number of sources that it reads.
#[must_use]
pub fn round(sources: usize) -> Span {
    tracing::trace_span!(target: TARGET, "sampling round", sources)
}

/// Records how a span ended.
pub(super) fn end(span: &Span, field: &'static str, outcome: &'static str, failed: bool) {
    span.record(field, outcome);
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}
