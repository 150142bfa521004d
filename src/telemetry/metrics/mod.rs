//! Prometheus metrics. Labels come from closed sets, or from live state that is bounded, so no series can grow without bound.

mod process;
mod rpc;
mod sampler;
mod text;
mod upstream;

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::process::ProcessCollector;
pub use self::rpc::{Call, RpcCode, RpcMethod, RpcMetrics};
pub use self::sampler::SamplerMetrics;
pub use self::upstream::{UpstreamApi, UpstreamCall, UpstreamMetrics, UpstreamOutcome};
use crate::telemetry::{LimitMetrics, TlsMetrics};

/// What the names of the scaler's own metrics begin with.
const PREFIX: &str = "stream_scaler";

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Of the RPCs.
    pub rpc: RpcMetrics,
    /// Of the sampler.
    pub sampler: SamplerMetrics,
    /// Of the calls to Kafka and its like.
    pub upstream: UpstreamMetrics,
    /// Of the limits.
    pub limits: LimitMetrics,
}

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// `OpenMetrics` 1.0, which Prometheus asks for.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which everything reads.
    Text,
}

impl Exposition {
    /// The media type of such a text.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metrics {
    /// All metrics, registered; `version` and `commit` become labels of `build_info`.
    #[must_use]
    pub fn new(version: &'static str, commit: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector));
        let rpc = RpcMetrics::register(&mut registry);
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register("build", "The running version", Info::new([("version", version), ("commit", commit)]));
        let sampler = SamplerMetrics::register(own);
        let upstream = UpstreamMetrics::register(own);
        let limits = LimitMetrics::register(own);
        Self { registry: Mutex::new(registry), rpc, sampler, upstream, limits }
    }

    /// Those of TLS, which exist only where it is spoken; to be asked for once.
    #[must_use]
    pub fn tls(&self) -> TlsMetrics {
        TlsMetrics::register(self.registry().sub_registry_with_prefix(PREFIX))
    }

    /// From now on each scrape has these series too, under the scaler's own prefix.
    pub fn add(&self, collector: impl Collector) {
        self.registry().sub_registry_with_prefix(PREFIX).register_collector(Box::new(collector));
    }

    /// What a Prometheus server reads. Takes a while where there are many series: not for a thread that answers.
    #[must_use]
    pub fn render(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry()) {
            tracing::error!(error = %error, "metrics could not be written");
        }
        match exposition {
            Exposition::OpenMetrics => text,
            Exposition::Text => text::classic(&text),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
