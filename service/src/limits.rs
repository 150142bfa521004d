//! Limits on the scaler's resources, in total and per caller, so that one caller cannot displace the others.
//!
//! A [`Permit`] holds a unit of a resource and releases it when it is dropped. A new caller never takes a permit from another one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

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

/// The units of one resource that are in use, and their bounds.
#[derive(Debug)]
pub struct Quota {
    bounds: Bounds,
    total: Limit,
    per_owner: Limit,
    taken: Mutex<Taken>,
    metrics: LimitMetrics,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_owner: HashMap<Arc<str>, usize>,
}

/// One unit of a quota; dropping it releases the unit.
#[derive(Debug)]
pub struct Permit {
    of: Arc<Quota>,
    owner: Arc<str>,
}

/// A bound is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The limit that is reached.
    pub limit: Limit,
    /// The number of units in use.
    pub count: usize,
    /// The owner, where its own bound is reached.
    pub owner: Option<String>,
}

impl Quota {
    /// A quota with nothing in use; `total` and `per_owner` name the bounds in metrics and messages.
    #[must_use]
    pub fn new(bounds: Bounds, total: Limit, per_owner: Limit, metrics: &LimitMetrics) -> Arc<Self> {
        metrics.set_most(total, bounds.total);
        metrics.set_most(per_owner, bounds.per_owner);
        metrics.set_used(total, 0);
        Arc::new(Self { bounds, total, per_owner, taken: Mutex::default(), metrics: metrics.clone() })
    }

    /// Acquires one unit for `owner`.
    /// Returns an error when a bound is reached.
    pub(crate) fn acquire(self: &Arc<Self>, owner: &str) -> Result<Permit, QuotaExceeded> {
        let mut taken = self.taken.lock();
        let (key, of_owner) = taken
            .by_owner
            .get_key_value(owner)
            .map_or_else(|| (Arc::from(owner), 0), |(key, count)| (key.clone(), *count));
        if taken.total >= self.bounds.total {
            self.metrics.refused(self.total);
            return Err(QuotaExceeded { limit: self.total, count: taken.total, owner: None });
        }
        if of_owner >= self.bounds.per_owner {
            self.metrics.refused(self.per_owner);
            return Err(QuotaExceeded { limit: self.per_owner, count: of_owner, owner: Some(owner.to_owned()) });
        }
        taken.total += 1;
        taken.by_owner.insert(key.clone(), of_owner + 1);
        self.metrics.set_used(self.total, taken.total);
        Ok(Permit { of: self.clone(), owner: key })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        let left = taken.by_owner.get_mut(&self.owner).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            taken.by_owner.remove(&self.owner);
        }
        self.of.metrics.set_used(self.of.total, taken.total);
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, count, owner } = self;
        match owner {
            Some(owner) => write!(f, "{owner} has {count} {}", limit.things())?,
            None => write!(f, "there are {count} {}", limit.things())?,
        }
        write!(f, ", all that {} allows", limit.flag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(total: usize, per_owner: usize) -> Arc<Quota> {
        let metrics = LimitMetrics::default();
        Quota::new(Bounds { total, per_owner }, Limit::Streams, Limit::StreamsPerNamespace, &metrics)
    }

    #[test]
    fn who_has_all_of_theirs_is_refused_and_the_others_are_not() {
        let quota = quota(10, 2);
        let mine = [quota.acquire("shop").expect("one"), quota.acquire("shop").expect("two")];
        let full = quota.acquire("shop").expect_err("three");
        assert_eq!(full.to_string(), "shop has 2 open push streams, all that --max-streams-per-namespace allows");
        let _other = quota.acquire("bank").expect("another owner");
        drop(mine);
        quota.acquire("shop").expect("given back");
    }

    #[test]
    fn when_all_is_taken_nobody_gets_more_and_nobody_loses_any() {
        let quota = quota(2, 2);
        let passes = [quota.acquire("shop").expect("one"), quota.acquire("bank").expect("two")];
        let full = quota.acquire("club").expect_err("three");
        assert_eq!(full.to_string(), "there are 2 open push streams, all that --max-streams allows");
        drop(passes);
        assert!(quota.taken.lock().by_owner.is_empty() && quota.taken.lock().total == 0);
    }
}
