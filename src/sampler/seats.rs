//! Which namespaces ask about a target. Each takes a seat, of which it may have so many, and gives it back ten minutes after its
//! last question and the end of its last watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use crate::lag::{FORGET_AFTER, SourceError, SourceErrorKind};
use crate::limits::{Allowance, Bounds, Full, Limit, LimitMetrics, Limits, Pass};

/// What askers may take up of a sampler.
#[derive(Debug)]
pub struct Shares {
    targets: Arc<Allowance>,
    loops: Arc<Allowance>,
    clients: Arc<Allowance>,
}

/// A namespace's place at one target, and at the client that reads it.
#[derive(Debug)]
pub(super) struct Seat {
    _target: Pass,
    _client: Arc<Pass>,
}

/// The namespaces that ask about one target.
#[derive(Debug, Default)]
pub(super) struct Seats(HashMap<Arc<str>, (Arc<Seat>, Instant)>);

/// The namespaces that ask about any target of one client.
#[derive(Debug, Default)]
pub(super) struct ClientSeats(Mutex<HashMap<Arc<str>, Weak<Pass>>>);

impl Shares {
    /// Nothing is taken yet.
    #[must_use]
    pub fn new(limits: &Limits, metrics: &LimitMetrics) -> Self {
        let alone = |most| Bounds { in_all: most, each: most };
        let each = Bounds { in_all: usize::MAX, each: limits.clients.each };
        Self {
            targets: Allowance::new(limits.targets, Limit::Targets, Limit::TargetsPerNamespace, metrics),
            loops: Allowance::new(alone(limits.clients.in_all), Limit::Clients, Limit::Clients, metrics),
            clients: Allowance::new(each, Limit::ClientsPerNamespace, Limit::ClientsPerNamespace, metrics),
        }
    }

    /// A place for the loop of one more client.
    pub(super) fn client(&self) -> Result<Pass, SourceError> {
        self.loops.take("").map_err(|full| refused(&full))
    }
}

impl ClientSeats {
    fn sit(&self, namespace: &str, shares: &Shares) -> Result<Arc<Pass>, SourceError> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pass) = seats.get(namespace).and_then(Weak::upgrade) {
            return Ok(pass);
        }
        let pass = Arc::new(shares.clients.take(namespace).map_err(|full| refused(&full))?);
        seats.retain(|_, pass| pass.strong_count() > 0);
        seats.insert(namespace.into(), Arc::downgrade(&pass));
        Ok(pass)
    }
}

impl Seats {
    /// The seat of a namespace that asks now.
    ///
    /// # Errors
    /// When it is new here and has all that it may have elsewhere.
    pub(super) fn sit(
        &mut self,
        namespace: &str,
        now: Instant,
        clients: &ClientSeats,
        shares: &Shares,
    ) -> Result<Arc<Seat>, SourceError> {
        if let Some((seat, asked)) = self.0.get_mut(namespace) {
            *asked = now;
            return Ok(seat.clone());
        }
        let client = clients.sit(namespace, shares)?;
        let target = shares.targets.take(namespace).map_err(|full| refused(&full))?;
        let seat = Arc::new(Seat { _target: target, _client: client });
        self.0.insert(namespace.into(), (seat.clone(), now));
        Ok(seat)
    }

    /// Those who have not asked for long give their seats back, unless they watch.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, (seat, asked)| now.duration_since(*asked) < FORGET_AFTER || Arc::strong_count(seat) > 1);
    }
}

fn refused(full: &Full) -> SourceError {
    let whose = if full.owner.is_some() { "namespace " } else { "" };
    SourceError::new(SourceErrorKind::Throttled, format!("{whose}{full}")).remedy(full.limit.remedy())
}
