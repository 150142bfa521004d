//! Probes the shards of one stream for all applications on it, each shard by one task at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::look::{KeptIterator, Look, Looked};
use super::service::{Address, Service};
use super::turns::{ReaderId, Request, Turns, per_turn};
use crate::lag::streams::{Found, Position, Probes, ShardId, Survey, Wanted};

/// More iterators of one shard are not kept: one for each position where nothing was found.
const MOST_ITERATORS: usize = 16;

/// What is known of the shards of one stream, by probes.
pub(super) struct Prober<S> {
    service: Arc<S>,
    address: Address,
    /// So many probes of one account are made at once.
    room: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    probes: Probes,
    shards: HashMap<ShardId, ShardState>,
}

#[derive(Default)]
struct ShardState {
    turns: Turns,
    iterators: Vec<KeptIterator>,
    /// The task that probes the shard until no request is left that may be probed now.
    visit: Option<VisitOutcome>,
    /// Since when the shard is known to have ended, whatever the list says.
    ended: Option<Instant>,
}

/// How a visit of a shard ended: with the failure that ended it, if one did; `None` while it is under way.
type VisitOutcome = watch::Receiver<Option<Result<(), Failure>>>;

// === impl Prober ===

impl<S: Service> Prober<S> {
    pub(super) fn new(service: Arc<S>, address: Address, room: Arc<Semaphore>) -> Self {
        Self { service, address, room, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `judge` makes of the probes.
    pub(super) fn survey(&self, judge: impl FnOnce(&Probes) -> Survey) -> Survey {
        judge(&self.state().probes)
    }

    /// When a shard was first seen to have ended, of those that `listed_open` holds for: the latest of them.
    pub(super) fn ended(&self, listed_open: impl Fn(&ShardId) -> bool) -> Option<Instant> {
        let state = self.state();
        let ended = state.shards.iter().filter_map(|(shard, known)| Some((shard, known.ended?)));
        ended.filter(|(shard, _)| listed_open(shard)).map(|(_, at)| at).max()
    }

    /// Forgets the shards that are not to be kept.
    pub(super) fn retain(&self, keep: impl Fn(&ShardId) -> bool) {
        let mut state = self.state();
        state.probes.retain(|shard, _| keep(shard));
        state.shards.retain(|shard, _| keep(shard));
    }

    /// Replaces what `application` wants to know.
    pub(super) fn request(&self, application: ReaderId, wanted: &[Wanted], like: &Request) {
        let (mut state, now) = (self.state(), Instant::now());
        for known in state.shards.values_mut() {
            known.turns.withdraw(application);
        }
        for Wanted { shard, position, need, width } in wanted {
            let request = Request { position: position.clone(), need: *need, width: *width, ..like.clone() };
            let known = state.shards.entry(shard.clone()).or_default();
            known.turns.request(application, request, now, per_turn(&self.address));
        }
    }

    /// Probes a shard where one of its requests may be probed now, or waits for the task that does; `None` where none may be.
    pub(super) fn visit(
        self: &Arc<Self>,
        shard: &ShardId,
    ) -> Option<impl Future<Output = Result<(), Failure>> + Send + use<S>> {
        let mut state = self.state();
        let known = state.shards.get_mut(shard)?;
        let outcome = if let Some(visit) = known.visit.as_ref().filter(|visit| is_under_way(visit)) {
            visit.clone()
        } else {
            known.turns.next(shard, Instant::now())?;
            let (publish, outcome) = watch::channel(None);
            let (prober, shard) = (self.clone(), shard.clone());
            tokio::spawn(async move {
                let result = prober.probe_all(&shard).await;
                // those who waited may be gone
                publish.send_replace(Some(result));
            });
            known.visit = Some(outcome.clone());
            outcome
        };
        Some(async move {
            let panicked = || Failure::new(FailureKind::Other, "the task that probes the shard panicked");
            let mut outcome = outcome;
            let result = outcome.wait_for(Option::is_some).await.map_err(|_| panicked())?;
            result.clone().unwrap_or_else(|| Err(panicked()))
        })
    }

    async fn probe_all(&self, shard: &ShardId) -> Result<(), Failure> {
        while let Some((application, request, iterator)) = self.next(shard) {
            let Ok(_room) = self.room.acquire().await else { return Ok(()) };
            let (service, stream, position) = (&*self.service, &self.address, &request.position);
            match (Look { service, stream, shard, position }).look(iterator).await {
                Ok(looked) => self.add(shard, (application, &request), looked),
                Err(failure) => {
                    self.with(shard, |known| known.turns.failed(application));
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// The next position to probe and the iterator that goes on from there. Where there is none the visit ends, under the same lock:
    /// a later request begins another one.
    fn next(&self, shard: &ShardId) -> Option<(ReaderId, Request, Option<KeptIterator>)> {
        self.with(shard, |known| {
            let Some((application, request)) = known.turns.next(shard, Instant::now()) else {
                known.visit = None;
                return None;
            };
            let kept = known.iterators.iter().position(|iterator| iterator.is_at(&request.position));
            Some((application, request, kept.map(|index| known.iterators.swap_remove(index))))
        })
    }

    fn add(&self, shard: &ShardId, of: (ReaderId, &Request), looked: Looked) {
        let mut state = self.state();
        let State { probes, shards } = &mut *state;
        let (now, at) = (Instant::now(), looked.probe.at);
        let known = shards.entry(shard.clone()).or_default();
        if looked.probe.found == Found::End {
            known.ended.get_or_insert(now);
        }
        let of_shard = probes.entry(shard.clone()).or_default();
        of_shard.add(looked.probe, shard);
        known.turns.succeeded(of, now, |position: &Position| {
            of_shard.answer(position, shard).is_some_and(|probe| probe.at >= at)
        });
        known.iterators.retain(KeptIterator::is_fresh);
        if let Some(iterator) = looked.iterator.filter(|_| known.iterators.len() < MOST_ITERATORS) {
            known.iterators.push(iterator);
        }
    }

    fn with<T>(&self, shard: &ShardId, change: impl FnOnce(&mut ShardState) -> T) -> T {
        change(self.state().shards.entry(shard.clone()).or_default())
    }
}

/// A task that panicked has dropped its side of the channel.
fn is_under_way(visit: &VisitOutcome) -> bool {
    visit.borrow().is_none() && visit.has_changed().is_ok()
}
