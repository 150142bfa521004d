//! Limits on the scaler's resources, in total and per caller, so that one caller cannot displace the others.
//!
//! A [`Permit`] holds a unit of a resource and releases it when it is dropped. A new caller never takes a permit from another one.

mod quota;

pub use self::quota::{Permit, Quota, QuotaExceeded};
pub use crate::telemetry::{Limit, LimitMetrics};

/// The maximum number of units in use, in total and per owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum of all owners together.
    pub total: usize,
    /// The maximum of one namespace, or of one address.
    pub per_owner: usize,
}

/// Every limit that an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of sources that namespaces request; one that two namespaces request counts for both.
    pub targets: Bounds,
    /// The number of clusters, accounts and identities that are read; per namespace, those that it requests.
    pub clients: Bounds,
    /// The number of open push streams.
    pub streams: Bounds,
    /// The number of concurrent calls on one connection, besides push streams. Further calls wait at the caller.
    pub calls_per_connection: u32,
    /// The maximum size of a request message, in bytes.
    pub request_bytes: usize,
    /// The maximum size of one trigger's metadata, in bytes: keys and values.
    pub metadata_bytes: usize,
    /// The number of open connections of KEDA to the gRPC port, including those in a TLS handshake; the owner is the address. KEDA
    /// keeps one connection per pod; before 2.7 it was one per ScaledObject.
    pub grpc_connections: Bounds,
    /// The number of open connections to the HTTP port; the owner is the address.
    pub http_connections: Bounds,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            targets: Bounds { total: 10_000, per_owner: 2_000 },
            clients: Bounds { total: 256, per_owner: 64 },
            streams: Bounds { total: 20_000, per_owner: 4_000 },
            calls_per_connection: 1_000,
            request_bytes: 64 << 10,
            metadata_bytes: 16 << 10,
            grpc_connections: Bounds { total: 4_096, per_owner: 2_048 },
            http_connections: Bounds { total: 128, per_owner: 32 },
        }
    }
}
