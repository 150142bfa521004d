//! Metrics to a collector: what a scrape would see, sent at an interval.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::environment::{NAME, Signal, milliseconds, resource, variable};
use super::families::{Window, attribute, metrics};
use super::transport::Transport;
use crate::telemetry::{Exposition, Metrics};

/// OpenTelemetry's default.
const INTERVAL: Duration = Duration::from_secs(60);
const INTERVAL_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// What sends metrics to a collector.
#[derive(Clone, Debug)]
pub struct MetricsExport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    interval: Duration,
    /// Since 1970.
    begun: Duration,
    failing: AtomicBool,
}

impl MetricsExport {
    /// As the environment says; `None` where it names no endpoint, or forbids them. Needs a runtime.
    ///
    /// # Errors
    /// When the environment does not describe an exporter.
    pub fn from_environment() -> Result<Option<Self>, String> {
        if !Signal::Metrics.is_wanted() {
            return Ok(None);
        }
        let interval = milliseconds(INTERVAL_VARIABLE, variable(INTERVAL_VARIABLE), INTERVAL)?;
        let transport = Transport::from_environment()?;
        let inner = Inner { transport, interval, begun: since_1970(), failing: AtomicBool::new(false) };
        Ok(Some(Self(Arc::new(inner))))
    }

    /// Sends at every interval, for ever. A failure is told once, and its end too: what counts has not been lost by then.
    pub async fn run(self, of: Arc<Metrics>) -> Infallible {
        let mut ticks = interval(self.0.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // nothing has happened yet
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.send(of.clone()).await;
        }
    }

    /// Sends once more; gives up after `deadline`.
    pub async fn end(self, of: Arc<Metrics>, deadline: Duration) {
        if timeout(deadline, self.send(of)).await.is_err() {
            tracing::warn!("the last metrics were not exported");
        }
    }

    async fn send(&self, of: Arc<Metrics>) {
        let sent = match self.request(of).await {
            Ok(request) => self.0.transport.send(request).await,
            Err(error) => Err(error),
        };
        if self.0.failing.swap(sent.is_err(), Ordering::Relaxed) != sent.is_err() {
            match sent {
                Ok(()) => tracing::info!("metrics are exported again"),
                Err(error) => tracing::warn!(error, "metrics cannot be exported"),
            }
        }
    }

    async fn request(&self, of: Arc<Metrics>) -> Result<ExportMetricsServiceRequest, String> {
        let begun = nanoseconds(self.0.begun);
        // many series take a while: not on a thread that answers
        let read = spawn_blocking(move || {
            let text = of.render(Exposition::OpenMetrics);
            metrics(&text, Window { begun, now: nanoseconds(since_1970()) })
        });
        let metrics = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let scope = InstrumentationScope { name: NAME.to_owned(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let attributes = resource().iter().map(|(key, value)| attribute(key.as_str(), value.as_str())).collect();
        let resource = Some(Resource { attributes, ..Resource::default() });
        let of_resource = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
        Ok(ExportMetricsServiceRequest { resource_metrics: vec![of_resource] })
    }
}

#[expect(clippy::disallowed_methods, reason = "a collector is told the time of day")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// OTLP's, until the year 2554.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
