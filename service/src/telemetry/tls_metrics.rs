//! Metrics of TLS on the gRPC port.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counts handshakes, and exports when the certificate expires.
#[derive(Clone, Debug, Default)]
pub struct TlsMetrics {
    handshakes: Family<HandshakeLabel, Counter>,
    certificate_expires: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabel {
    outcome: &'static str,
}

impl TlsMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("tls_handshakes", "TLS handshakes by outcome", metrics.handshakes.clone());
        registry.register(
            "tls_certificate_expires_timestamp_seconds",
            "When the served certificate, or one between it and its CA, ends; in seconds since 1970",
            metrics.certificate_expires.clone(),
        );
        metrics
    }

    /// Announces an outcome: a rate includes the first event only if the series began at 0.
    pub(crate) fn expect_outcome(&self, outcome: &'static str) {
        drop(self.handshakes.get_or_create(&HandshakeLabel { outcome }));
    }

    /// Counts a handshake that has ended.
    pub fn handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&HandshakeLabel { outcome }).inc();
    }

    /// Sets the time since 1970 at which the served certificate expires.
    pub(crate) fn set_certificate_end(&self, end: Duration) {
        self.certificate_expires.set(i64::try_from(end.as_secs()).unwrap_or(i64::MAX));
    }
}
