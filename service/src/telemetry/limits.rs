//! The metrics of limits: the value of each limit, its use, and its refusals.

use std::fmt::Write as _;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A limit that an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Sources that namespaces query.
    Targets,
    /// Sources that one namespace queries.
    TargetsPerNamespace,
    /// Clusters, accounts and identities that are read.
    Clients,
    /// Clusters, accounts and identities that one namespace queries.
    ClientsPerNamespace,
    /// Open push streams.
    Streams,
    /// Open push streams of one namespace.
    StreamsPerNamespace,
    /// The size of a trigger's metadata in bytes.
    MetadataBytes,
    /// Open gRPC connections.
    GrpcConnections,
    /// Open gRPC connections of one address.
    GrpcConnectionsPerAddress,
    /// Open HTTP connections.
    HttpConnections,
    /// Open HTTP connections of one address.
    HttpConnectionsPerAddress,
}

/// Records the use and the refusals of limits.
#[derive(Clone, Debug, Default)]
pub struct LimitMetrics {
    most: Family<LimitLabel, Gauge>,
    used: Family<LimitLabel, Gauge>,
    refusals: Family<LimitLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: Limit,
}

impl Limit {
    /// Returns the flag that sets the limit.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Targets => "--max-targets",
            Self::TargetsPerNamespace => "--max-targets-per-namespace",
            Self::Clients => "--max-clients",
            Self::ClientsPerNamespace => "--max-clients-per-namespace",
            Self::Streams => "--max-streams",
            Self::StreamsPerNamespace => "--max-streams-per-namespace",
            Self::MetadataBytes => "--max-metadata-bytes",
            Self::GrpcConnections => "--max-grpc-connections",
            Self::GrpcConnectionsPerAddress => "--max-grpc-connections-per-address",
            Self::HttpConnections => "--max-http-connections",
            Self::HttpConnectionsPerAddress => "--max-http-connections-per-address",
        }
    }

    /// Returns the name of what the limit counts.
    pub(crate) const fn things(self) -> &'static str {
        match self {
            Self::Targets | Self::TargetsPerNamespace => "sources that are asked about",
            Self::Clients | Self::ClientsPerNamespace => "clusters, accounts and identities that are read",
            Self::Streams | Self::StreamsPerNamespace => "open push streams",
            Self::MetadataBytes => "bytes of metadata",
            Self::GrpcConnections | Self::GrpcConnectionsPerAddress => "open gRPC connections",
            Self::HttpConnections | Self::HttpConnectionsPerAddress => "open HTTP connections",
        }
    }

    /// Returns what to do when the limit is reached.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Targets | Self::Clients | Self::Streams => {
                "raise the limit, or run a second scaler for some namespaces"
            }
            Self::TargetsPerNamespace | Self::StreamsPerNamespace => {
                "raise the limit, or delete ScaledObjects of the namespace; sources without requests are released after ten minutes"
            }
            Self::ClientsPerNamespace => {
                "raise the limit, or use fewer clusters and identities in the namespace; one without requests is released \
                 after ten minutes"
            }
            Self::MetadataBytes => "shorten the metadata, or raise the limit",
            Self::GrpcConnections
            | Self::GrpcConnectionsPerAddress
            | Self::HttpConnections
            | Self::HttpConnectionsPerAddress => "close some, or raise the limit",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::TargetsPerNamespace => "targets_per_namespace",
            Self::Clients => "clients",
            Self::ClientsPerNamespace => "clients_per_namespace",
            Self::Streams => "streams",
            Self::StreamsPerNamespace => "streams_per_namespace",
            Self::MetadataBytes => "metadata_bytes",
            Self::GrpcConnections => "grpc_connections",
            Self::GrpcConnectionsPerAddress => "grpc_connections_per_address",
            Self::HttpConnections => "http_connections",
            Self::HttpConnectionsPerAddress => "http_connections_per_address",
        }
    }
}

impl LimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("limit", "What each limit allows", metrics.most.clone());
        registry.register("limit_used", "Current use of each total limit", metrics.used.clone());
        registry.register("limit_refusals", "What was refused, by limit", metrics.refusals.clone());
        metrics
    }

    /// Sets the value of a limit, and starts counting its refusals.
    pub(crate) fn set_most(&self, limit: Limit, most: usize) {
        self.most.get_or_create(&LimitLabel { limit }).set(i64::try_from(most).unwrap_or(i64::MAX));
        drop(self.refusals.get_or_create(&LimitLabel { limit }));
    }

    /// Sets the current use of a limit.
    pub(crate) fn set_used(&self, limit: Limit, used: usize) {
        self.used.get_or_create(&LimitLabel { limit }).set(i64::try_from(used).unwrap_or(i64::MAX));
    }

    /// Counts one refusal by the limit.
    pub fn refused(&self, limit: Limit) {
        self.refusals.get_or_create(&LimitLabel { limit }).inc();
    }
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.label())
    }
}
