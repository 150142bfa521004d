//! Which namespaces ask about a target. Each takes a permit, of which it may have so many, and gives it back ten minutes after its
//! last question and the end of its last watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use crate::lag::{FORGET_AFTER, SourceError, SourceErrorKind};
use crate::limits::{Bounds, Limit, LimitMetrics, Limits, Permit, Quota, QuotaExceeded};

/// What askers may take up of a sampler.
#[derive(Debug)]
pub struct Quotas {
    targets: Arc<Quota>,
    loops: Arc<Quota>,
    clients: Arc<Quota>,
}

/// A namespace's place at one target, and at the client that reads it.
#[derive(Debug)]
pub(super) struct TargetPermit {
    _target: Permit,
    _client: Arc<Permit>,
}

/// The namespaces that ask about one target.
#[derive(Debug, Default)]
pub(super) struct TargetPermits(HashMap<Arc<str>, (Arc<TargetPermit>, Instant)>);

/// The namespaces that ask about any target of one client.
#[derive(Debug, Default)]
pub(super) struct ClientPermits(Mutex<HashMap<Arc<str>, Weak<Permit>>>);

impl Quotas {
    /// Nothing is taken yet.
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

    /// A place for the loop of one more client.
    pub(super) fn client(&self) -> Result<Permit, SourceError> {
        self.loops.acquire("").map_err(|full| refused(&full))
    }
}

impl ClientPermits {
    fn acquire(&self, namespace: &str, shares: &Quotas) -> Result<Arc<Permit>, SourceError> {
        let mut permits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    /// The permit of a namespace that asks now.
    ///
    /// # Errors
    /// When it is new here and has all that it may have elsewhere.
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

    /// Those who have not asked for long give their permits back, unless they watch.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, (permit, asked)| now.duration_since(*asked) < FORGET_AFTER || Arc::strong_count(permit) > 1);
    }
}

fn refused(full: &QuotaExceeded) -> SourceError {
    let whose = if full.owner.is_some() { "namespace " } else { "" };
    SourceError::new(SourceErrorKind::Throttled, format!("{whose}{full}")).remedy(full.limit.remedy())
}
