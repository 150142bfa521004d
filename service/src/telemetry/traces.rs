//! Spans for traces, and their export to a collector over OTLP.
//!
//! Spans have the level `trace` and a target of their own, so that they cost nothing and appear nowhere unless traces are exported: only if
//! OpenTelemetry's own variables name an endpoint.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fmt};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

const NAME: &str = "keda-stream-scaler";

/// Exports spans to a collector in the background.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Creates the exporter that the environment describes; `None` if it names no endpoint, or disables traces. Needs a runtime, on
    /// which the exporter connects.
    ///
    /// # Errors
    /// Fails if the environment does not describe a valid exporter.
    pub fn from_environment() -> Result<Option<Self>, String> {
        let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].map(variable);
        let disabled = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        if disabled || named == [None, None] {
            return Ok(None);
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder().build();
        let exporter = exporter.map_err(|error| format!("start of traces as OTEL_EXPORTER_OTLP_… say: {error}"))?;
        let exporter = LoggedExporter { exporter, failing: AtomicBool::new(false) };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource());
        Ok(Some(Self(provider.build())))
    }

    /// Returns the layer that creates spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer(NAME));
        // the code location and thread of a span do not help operators
        let layer = layer.with_location(false).with_threads(false).with_target(false);
        layer.with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
    }

    /// Sends the remaining spans; gives up after `deadline`. Do not call it on a thread of the runtime, which the exporter needs.
    pub fn end(self, deadline: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(deadline) {
            tracing::warn!(error = %error, "the last spans were not exported");
        }
    }
}

/// Returns a variable; an empty one counts as absent.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn is(name: &str, word: &str) -> bool {
    variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
}

/// Returns the service that the spans belong to; values from the environment take precedence.
fn resource() -> Resource {
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
    let resource = Resource::builder();
    if named { resource.build() } else { resource.with_service_name(NAME).build() }
}

/// An exporter that logs its first failure and its recovery.
struct LoggedExporter<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for LoggedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failed = result.is_err();
        if self.failing.swap(failed, Ordering::Relaxed) != failed {
            match &result {
                Ok(()) => tracing::info!("spans are exported again"),
                Err(error) => tracing::warn!(error = %error, "spans cannot be exported, and are dropped"),
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> fmt::Debug for LoggedExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedExporter").field("failing", &self.failing).finish_non_exhaustive()
    }
}

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
