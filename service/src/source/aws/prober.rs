//! Probes the shards of one stream for all applications on it, with one task per shard at a time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::probe_request::{KeptIterator, ProbeRequest, ProbeResult};
use super::service::{Address, Service};
use super::turns::{ReaderId, Request, Turns, per_turn};
use crate::lag::streams::{Found, Position, Probes, ShardId, Survey, Wanted};

/// The maximum number of kept iterators per shard: one for each position where nothing was found.
const MOST_ITERATORS: usize = 16;

/// The probe results of the shards of one stream.
pub(super) struct Prober<S> {
    service: Arc<S>,
    address: Address,
    /// Limits the concurrent probes of one account.
    room: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    probes: Probes,
    shards: HashMap<ShardId, KnownShard>,
}

#[derive(Default)]
struct KnownShard {
    turns: Turns,
    iterators: Vec<KeptIterator>,
    /// The task that probes the shard until no request is left that may be probed now.
    visit: Option<Visit>,
    /// Why the request of each reader was not served.
    failures: HashMap<ReaderId, Failure>,
    /// Since when the shard is known to have ended, whatever the list reports.
    ended: Option<Instant>,
}

/// Counts the probes of a visit; its sender is dropped when the visit ends.
type Visit = watch::Receiver<u32>;

// === impl Prober ===

impl<S: Service> Prober<S> {
    pub(super) fn new(service: Arc<S>, address: Address, room: Arc<Semaphore>) -> Self {
        Self { service, address, room, state: Mutex::default() }
    }

    /// Evaluates the probe results with `judge`.
    pub(super) fn survey(&self, judge: impl FnOnce(&Probes) -> Survey) -> Survey {
        judge(&self.state.lock().probes)
    }

    /// Returns the latest time at which a shard that `listed_open` matches was first seen to have ended.
    pub(super) fn ended(&self, listed_open: impl Fn(&ShardId) -> bool) -> Option<Instant> {
        let state = self.state.lock();
        let ended = state.shards.iter().filter_map(|(shard, known)| Some((shard, known.ended?)));
        ended.filter(|(shard, _)| listed_open(shard)).map(|(_, at)| at).max()
    }

    /// Removes the shards that `keep` does not match.
    pub(super) fn retain(&self, keep: impl Fn(&ShardId) -> bool) {
        let mut state = self.state.lock();
        state.probes.retain(|shard, _| keep(shard));
        state.shards.retain(|shard, _| keep(shard));
    }

    /// Replaces the requests of `reader`.
    pub(super) fn request(&self, reader: ReaderId, wanted: &[Wanted], like: &Request) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        for known in state.shards.values_mut() {
            known.failures.remove(&reader);
            known.turns.withdraw(reader);
        }
        for Wanted { shard, state: listed, position, need, width } in wanted {
            let position = position.clone();
            let request = Request { position, state: *listed, need: *need, width: *width, ..like.clone() };
            let known = state.shards.entry(shard.clone()).or_default();
            known.turns.request(reader, request, now, per_turn(&self.address));
        }
    }

    /// Starts a probe task for a shard where one of its requests may be probed now, and waits until the request of `reader` is served, has
    /// failed or has no turn; `None` where none may be probed.
    pub(super) fn visit(
        self: &Arc<Self>,
        shard: &ShardId,
        reader: ReaderId,
    ) -> Option<impl Future<Output = Result<(), Failure>> + Send + use<S>> {
        let mut state = self.state.lock();
        let known = state.shards.get_mut(shard)?;
        let visit = if let Some(visit) = known.visit.as_ref().filter(|visit| visit.has_changed().is_ok()) {
            visit.clone()
        } else {
            known.turns.next(shard, Instant::now())?;
            let (progress, visit) = watch::channel(0);
            let (prober, shard) = (self.clone(), shard.clone());
            tokio::spawn(async move { prober.probe_all(&shard, &progress).await });
            known.visit = Some(visit.clone());
            visit
        };
        let (prober, shard) = (self.clone(), shard.clone());
        Some(async move { prober.served(&shard, reader, visit).await })
    }

    async fn served(&self, shard: &ShardId, reader: ReaderId, mut visit: Visit) -> Result<(), Failure> {
        loop {
            let ended = visit.has_changed().is_err();
            visit.borrow_and_update();
            let outcome = self.with(shard, |known| {
                let failure = known.failures.remove(&reader);
                // a visit that ends by itself is no longer the present one
                let panicked = ended && known.visit.as_ref().is_some_and(|present| present.same_channel(&visit));
                match failure {
                    Some(failure) => Some(Err(failure)),
                    None if panicked => {
                        Some(Err(Failure::new(FailureKind::Other, "the task that probes the shard panicked")))
                    }
                    None => (ended || !known.turns.requested(reader)).then_some(Ok(())),
                }
            });
            if let Some(outcome) = outcome {
                return outcome;
            }
            // an error means that the visit has ended, which the next turn of the loop notices
            let _ = visit.changed().await;
        }
    }

    /// Probes until no request is left that may be probed now. A failure of one position affects its reader only.
    async fn probe_all(&self, shard: &ShardId, progress: &watch::Sender<u32>) {
        while let Some((reader, request, iterator)) = self.next(shard) {
            let Ok(_room) = self.room.acquire().await else { return };
            let (service, stream, state) = (&*self.service, &self.address, request.state);
            let position = &request.position;
            match (ProbeRequest { service, stream, shard, state, position }).look(iterator).await {
                Ok(looked) => self.add(shard, (reader, &request), looked),
                Err(failure) if failure.is_of_position() => self.with(shard, |known| {
                    known.turns.withdraw(reader);
                    known.failures.insert(reader, failure);
                }),
                Err(failure) => {
                    self.with(shard, |known| {
                        let waiting = known.turns.withdraw_all();
                        known.failures.extend(waiting.map(|reader| (reader, failure.clone())));
                        known.visit = None;
                    });
                    return;
                }
            }
            progress.send_modify(|probes| *probes += 1);
        }
    }

    /// Returns the next position to probe and the iterator that resumes it. Where there is none the visit ends, under the same lock:
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

    fn add(&self, shard: &ShardId, of: (ReaderId, &Request), looked: ProbeResult) {
        let mut state = self.state.lock();
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

    fn with<T>(&self, shard: &ShardId, change: impl FnOnce(&mut KnownShard) -> T) -> T {
        change(self.state.lock().shards.entry(shard.clone()).or_default())
    }
}
