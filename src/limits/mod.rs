//! How much of the scaler callers may take up, in all and each, so that one of them leaves the others served.
//!
//! What is taken is held by a [`Permit`] and given back when that is dropped. Nothing that has a pass loses it to a newcomer.

mod quota;

pub use self::quota::{Permit, Quota, QuotaExceeded};
pub use crate::telemetry::{Limit, LimitMetrics};

/// How many there may be in all, and of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all owners together.
    pub total: usize,
    /// Of one namespace, or one address.
    pub per_owner: usize,
}

/// Every limit that an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sources that namespaces ask about; one that two ask about counts for both.
    pub targets: Bounds,
    /// Clusters, accounts and identities that are read; of a namespace, those that it asks about.
    pub clients: Bounds,
    /// Open push streams.
    pub streams: Bounds,
    /// Calls at a time on one connection, besides push streams. More wait at the caller.
    pub calls_per_connection: u32,
    /// The size of a request's message.
    pub request_bytes: usize,
    /// The size of one trigger's metadata: keys and values.
    pub metadata_bytes: usize,
    /// Open connections of KEDA to the gRPC port, with those whose TLS handshake is under way; each address has its share. KEDA
    /// keeps one connection per pod; before 2.7 it was one per ScaledObject.
    pub grpc_connections: Bounds,
    /// Open connections for operators; each address has its share.
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
