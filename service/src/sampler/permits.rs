//! The permits of the namespaces that query a target. Each namespace acquires a permit within its quota, and releases it ten minutes
//! after its last call and the end of its last watch.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lag::{FORGET_AFTER, SourceError, SourceErrorKind};
use crate::limits::{Bounds, Limit, LimitMetrics, Limits, Permit, Quota, QuotaExceeded};

/// The quotas of a sampler: how many targets and clients callers may use.
#[derive(Debug)]
pub struct Quotas {
    targets: Arc<Quota>,
    loops: Arc<Quota>,
    clients: Arc<Quota>,
}

/// A namespace's permit for one target, and for the client that reads it.
#[derive(Debug)]
pub(super) struct TargetPermit {
    _target: Permit,
    _client: Arc<Permit>,
}

/// The namespaces that query one target.
#[derive(Debug, Default)]
pub(super) struct TargetPermits(HashMap<Arc<str>, (Arc<TargetPermit>, Instant)>);

/// The namespaces that query any target of one client.
#[derive(Debug, Default)]
pub(super) struct ClientPermits(Mutex<HashMap<Arc<str>, Weak<Permit>>>);

impl Quotas {
    /// Creates the quotas of these limits, with nothing acquired.
    #[must_use]
    pub fn new(limits: &Limits, metrics: &LimitMetrics) -> Self {
        let alone = |most| Bounds { total: most, per_owner: most };
        let each = Bounds { total: usize::MAX, per_owner: limits.clients.per_owner };
        Self {
            targets: Quota::new(limits.targets, Limit::Targets, Limit::TargetsPerNamespace, metrics),
            loops: Quota::new(alone(limits.clients.total), Limit::Clients, Limit::Clients, metrics),
            clients: Quota::new(each, Limit::ClientsPerNamespace, Limit::ClientsPerNamespace, metrics),
        }
    }

    /// Acquires a permit for the loop of one more client.
    pub(super) fn client(&self) -> Result<Permit, SourceError> {
        self.loops.acquire("").map_err(|full| refused(&full))
    }
}

impl ClientPermits {
    fn acquire(&self, namespace: &str, shares: &Quotas) -> Result<Arc<Permit>, SourceError> {
        let mut permits = self.0.lock();
        if let Some(pass) = permits.get(namespace).and_then(Weak::upgrade) {
            return Ok(pass);
        }
        let pass = Arc::new(shares.clients.acquire(namespace).map_err(|full| refused(&full))?);
        permits.retain(|_, pass| pass.strong_count() > 0);
        permits.insert(namespace.into(), Arc::downgrade(&pass));
        Ok(pass)
    }
}

impl TargetPermits {
    /// Returns the permit of a namespace that calls now.
    ///
    /// # Errors
    /// Fails if the namespace is new here and has used up its quota elsewhere.
    pub(super) fn acquire(
        &mut self,
        namespace: &str,
        now: Instant,
        clients: &ClientPermits,
        shares: &Quotas,
    ) -> Result<Arc<TargetPermit>, SourceError> {
        if let Some((permit, asked)) = self.0.get_mut(namespace) {
            *asked = now;
            return Ok(permit.clone());
        }
        let client = clients.acquire(namespace, shares)?;
        let target = shares.targets.acquire(namespace).map_err(|full| refused(&full))?;
        let permit = Arc::new(TargetPermit { _target: target, _client: client });
        self.0.insert(namespace.into(), (permit.clone(), now));
        Ok(permit)
    }

    /// Releases the permits of namespaces that have not called for a long time, unless they watch.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, (permit, asked)| now.duration_since(*asked) < FORGET_AFTER || Arc::strong_count(permit) > 1);
    }
}

fn refused(full: &QuotaExceeded) -> SourceError {
    let whose = if full.owner.is_some() { "namespace " } else { "" };
    SourceError::new(SourceErrorKind::Throttled, format!("{whose}{full}")).remedy(full.limit.remedy())
}
