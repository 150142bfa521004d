//! Metrics of the readings of sources.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counts readings of sources, by outcome.
#[derive(Clone, Debug, Default)]
pub struct SamplerMetrics {
    samples: Family<OutcomeLabel, Counter>,
    backends: Gauge,
    near_retention: Family<RiskLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RiskLabel {
    risk: &'static str,
}

impl SamplerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("samples", "Readings of sources by outcome", metrics.samples.clone());
        registry.register("backends", "Clusters and accounts that are read now", metrics.backends.clone());
        registry.register(
            "readings_near_retention",
            "Readings that found unread records which the stream will soon delete",
            metrics.near_retention.clone(),
        );
        metrics
    }

    /// Announces an outcome: a rate includes the first event only if the series began at 0.
    pub(crate) fn expect_outcome(&self, outcome: &'static str) {
        drop(self.samples.get_or_create(&OutcomeLabel { outcome }));
    }

    /// Announces a retention risk, for the same reason.
    pub(crate) fn expect_risk(&self, risk: &'static str) {
        drop(self.near_retention.get_or_create(&RiskLabel { risk }));
    }

    /// Counts a reading with unread records that will soon be deleted.
    pub(crate) fn near_retention(&self, risk: &'static str) {
        self.near_retention.get_or_create(&RiskLabel { risk }).inc();
    }

    /// Counts a reading of one source that has ended.
    pub fn sampled(&self, outcome: &'static str) {
        self.samples.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Sets the number of backends that are currently read.
    pub(crate) fn set_backends(&self, count: usize) {
        self.backends.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
