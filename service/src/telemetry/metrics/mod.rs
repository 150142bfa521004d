//! Prometheus metrics. Labels come from closed sets, or from bounded live state, so that no series can grow without bound.

mod process;
mod rpc;
mod sampler;
mod upstream;

use std::fmt::Write as _;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::process::ProcessCollector;
pub use self::rpc::{Call, RpcCode, RpcMethod, RpcMetrics};
pub use self::sampler::SamplerMetrics;
pub use self::upstream::{UpstreamApi, UpstreamCall, UpstreamMetrics, UpstreamOutcome};
use crate::telemetry::{LimitMetrics, TlsMetrics};

/// The prefix of the scaler's own metric names.
const PREFIX: &str = "stream_scaler";

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The metrics of RPCs.
    pub rpc: RpcMetrics,
    /// The metrics of the sampler.
    pub sampler: SamplerMetrics,
    /// The metrics of calls to Kafka, AWS and similar services.
    pub upstream: UpstreamMetrics,
    /// The metrics of limits.
    pub limits: LimitMetrics,
}

/// The text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// `OpenMetrics` 1.0, which Prometheus requests.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every reader accepts.
    Text,
}

impl Exposition {
    /// Returns the media type of the format.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Creates and registers all metrics; `version` and `commit` become labels of `build_info`.
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

    /// Registers the TLS metrics, which exist only if TLS is enabled. Must be called once only.
    #[must_use]
    pub fn tls(&self) -> TlsMetrics {
        TlsMetrics::register(self.registry.lock().sub_registry_with_prefix(PREFIX))
    }

    /// Adds series to each scrape, under the scaler's own prefix.
    pub fn add(&self, collector: impl Collector) {
        self.registry.lock().sub_registry_with_prefix(PREFIX).register_collector(Box::new(collector));
    }

    /// Renders the metrics for a Prometheus server. With many series this takes a while: do not call it on a
    /// thread that answers KEDA.
    #[must_use]
    pub fn render(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()) {
            tracing::error!(error = %error, "metrics could not be written");
        }
        match exposition {
            Exposition::OpenMetrics => text,
            Exposition::Text => classic(&text),
        }
    }
}

/// Rewrites an `OpenMetrics` text: in that format a counter's family is named without `_total` and an info's without `_info`, units
/// have lines of their own and the text ends with a mark.
pub(super) fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{ending} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{ending} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_series_are_and_values_stay() {
        let open = "# HELP calls Calls made.\n# TYPE calls counter\ncalls_total{a=\"# b\"} 1\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 2.5\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP calls_total Calls made.\n# TYPE calls_total counter\ncalls_total{a=\"# b\"} 1\n\
                        # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 2.5\n\
                        # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n";
        assert_eq!(classic(open), expected);
    }
}
