//! The sampling loop of one backend: the adapter gets everything that is due in one call.
//!
//! Whatever changes a due time wakes the loop. A panic of a reading, of a round or of the loop itself becomes an error of the targets
//! being read, and reading continues.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument as _;

use super::Inner;
use super::cause::{Cause, Causes};
use super::grid::Grid;
use super::pace::Interests;
use super::permits::{ClientPermits, Quotas, TargetPermit};
use super::target::Target;
use crate::lag::{Moment, Observation, Observe, Report, SourceError, SourceErrorKind};
use crate::limits::Permit;
use crate::scaling::RetentionRisk;
use crate::telemetry::{panic_text, payload_text, round_span};
use crate::trigger::SourceRef;

/// New targets that arrive within this time share a round, and the calls that serve several of them.
const GATHER: Duration = Duration::from_millis(10);

/// The maximum number of concurrent rounds of one backend: a round that has not ended must not delay the others.
const ROUNDS_AT_ONCE: usize = 4;

/// The deadline of a round; adapters have shorter deadlines of their own.
const ROUND_DEADLINE: Duration = Duration::from_secs(15);

pub(super) struct BackendLoop {
    pub(super) targets: Mutex<HashMap<Arc<SourceRef>, Arc<Target>>>,
    permits: ClientPermits,
    grid: Grid,
    /// Notified when a due time has changed.
    wake: Notify,
    _place: Permit,
}

impl BackendLoop {
    pub(super) fn new(place: Permit) -> Self {
        Self {
            targets: Mutex::default(),
            permits: ClientPermits::default(),
            grid: Grid::new(Instant::now(), random()),
            wake: Notify::new(),
            _place: place,
        }
    }

    /// Whether the loop still reads this target.
    fn holds(&self, target: &Target) -> bool {
        self.targets.lock().get(&target.source).is_some_and(|known| std::ptr::eq(&raw const **known, target))
    }

    /// Returns the target for `source`, created if it is new, with the interest noted before the loop can see it; and the permit of
    /// the namespace for it.
    pub(super) fn join(
        &self,
        namespace: &str,
        source: &SourceRef,
        shares: &Quotas,
        note: impl FnOnce(&mut Interests, Instant),
    ) -> Result<(Arc<Target>, Arc<TargetPermit>), SourceError> {
        let now = Instant::now();
        let sit =
            |target: &Target| target.schedule.lock().interests.permits.acquire(namespace, now, &self.permits, shares);
        let mut targets = self.targets.lock();
        if let Some(target) = targets.get(source) {
            let permit = sit(target)?;
            self.note(target, note);
            return Ok((target.clone(), permit));
        }
        let source = Arc::new(source.clone());
        let target = Arc::new(Target::new(source.clone(), now));
        let permit = sit(&target)?;
        self.note(&target, note);
        targets.insert(source, target.clone());
        Ok((target, permit))
    }

    /// Drops every target, because its source is now read through another client. Watches are notified, so that
    /// they check their state.
    fn disband(&self, causes: &Causes, now: Moment) {
        for (_, target) in self.targets.lock().drain() {
            target.forget(causes, now);
            target.known.send_modify(|_| {});
        }
    }

    /// Notes a caller's interest, and wakes the loop if that brings the next reading forward.
    pub(super) fn note(&self, target: &Target, note: impl FnOnce(&mut Interests, Instant)) {
        let mut schedule = target.schedule.lock();
        let now = Instant::now();
        let before = schedule.interests.shortest();
        note(&mut schedule.interests, now);
        let Some(interval) = schedule.interests.shortest() else { return };
        let shorter = before.is_some_and(|before| interval < before);
        if before.is_none() || (shorter && schedule.hasten(interval, now, &self.grid)) {
            drop(schedule);
            self.wake.notify_one();
        }
    }

    /// Marks due targets as being read, forgets targets without callers, and returns the next due time.
    fn take_due(&self, now: Instant, forget: impl Fn(&Target)) -> (Vec<Arc<Target>>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        self.targets.lock().retain(|_, target| {
            let mut schedule = target.schedule.lock();
            let Some(interval) = schedule.interests.interval(now) else {
                if !schedule.in_flight {
                    forget(target);
                }
                return schedule.in_flight;
            };
            if schedule.in_flight {
                return true;
            }
            if schedule.next_due <= now {
                schedule.begin(now, interval);
                due.push(target.clone());
            } else {
                next = Some(next.map_or(schedule.next_due, |next| next.min(schedule.next_due)));
            }
            true
        });
        (due, next)
    }
}

/// Returns a random position for the grid of a backend.
fn random() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(())
}

/// Runs until the backend has no callers left.
pub(super) async fn run<O: Observe>(inner: Arc<Inner<O>>, backend: O::Backend, of: Arc<BackendLoop>) {
    let mut rounds = JoinSet::new();
    sleep(GATHER).await;
    loop {
        if !inner.observer.is_current(&backend) {
            of.disband(&inner.causes, inner.now());
        }
        let room = rounds.len() < ROUNDS_AT_ONCE;
        let (due, next) = if room {
            of.take_due(Instant::now(), |target| target.forget(&inner.causes, inner.now()))
        } else {
            (Vec::new(), None)
        };
        if !due.is_empty() {
            let open = Open::new(due, inner.clone(), of.clone());
            let span = round_span(open.targets.len());
            rounds.spawn(round(open, backend.clone()).instrument(span));
            continue;
        }
        if rounds.is_empty() && inner.retire(&backend, &of) {
            return;
        }
        let look_again = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        tokio::select! {
            () = sleep_until(look_again) => {}
            () = of.wake.notified() => sleep(GATHER).await,
            Some(ended) = rounds.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(panic = panic_text(error), backend = ?backend, "a sampling round panicked");
                }
            }
        }
    }
}

async fn round<O: Observe>(mut open: Open<O>, backend: O::Backend) {
    let inner = open.inner.clone();
    let sources: Vec<_> = open.targets.keys().cloned().collect();
    let (reported, mut reports) = mpsc::unbounded_channel();
    let report: Report = Arc::new(move |source, outcome| {
        // no receiver is left: the round has ended
        let _ = reported.send((source.clone(), outcome));
    });
    let observing = timeout(ROUND_DEADLINE, inner.observer.observe(&backend, sources, report));
    tokio::pin!(observing);
    loop {
        tokio::select! {
            Some((source, outcome)) = reports.recv() => open.close(&source, outcome).await,
            ended = &mut observing => {
                if ended.is_err() {
                    tracing::error!(backend = ?backend, "a sampling round passed its deadline");
                }
                break;
            }
        }
    }
    while let Ok((source, outcome)) = reports.try_recv() {
        open.close(&source, outcome).await;
    }
}

/// The targets of a round that have not been reported yet. However the round ends, none of them stays in flight.
struct Open<O: Observe> {
    targets: HashMap<Arc<SourceRef>, Arc<Target>>,
    begun: Moment,
    /// The causes of its failures, which the log gets when all outcomes are known.
    causes: Vec<Cause>,
    inner: Arc<Inner<O>>,
    of: Arc<BackendLoop>,
}

impl<O: Observe> Open<O> {
    /// Takes the targets that were marked as being read.
    fn new(due: Vec<Arc<Target>>, inner: Arc<Inner<O>>, of: Arc<BackendLoop>) -> Self {
        let begun = inner.now();
        let targets = due.into_iter().map(|target| (target.source.clone(), target)).collect();
        Self { targets, begun, causes: Vec::new(), inner, of }
    }

    /// Reports the outcome of one target. Adding to its history takes time, and answers must not wait for the outcomes
    /// of a thousand targets.
    async fn close(&mut self, source: &Arc<SourceRef>, outcome: Result<Observation, SourceError>) {
        if let Some(target) = self.targets.remove(source) {
            self.add(&target, outcome);
            tokio::task::yield_now().await;
        }
    }

    /// Adds an outcome to its target. A panic here becomes an error of this target and does not affect the others.
    fn add(&mut self, target: &Target, outcome: Result<Observation, SourceError>) {
        let added = catch_unwind(AssertUnwindSafe(|| self.evaluate(target, outcome)));
        if let Err(payload) = added {
            let error = SourceError::new(SourceErrorKind::Broken, format!("could not evaluate {}", target.source));
            let error = error.because(format!("the scaler panicked: {}", payload_text(&*payload)));
            self.evaluate(target, Err(error.remedy("report this as a bug, with the scaler's log")));
        }
        self.of.wake.notify_one();
    }

    fn evaluate(&mut self, target: &Target, outcome: Result<Observation, SourceError>) {
        self.inner.metrics.sampled(outcome.as_ref().err().map_or("ok", |error| error.kind().as_str()));
        if let Ok(observation) = &outcome {
            self.watch_retention(target, observation);
            if let Some(witness) = &self.inner.witness {
                witness.read(&target.source, observation);
            }
        }
        let cause = target.add(outcome, self.begun, self.inner.now(), &self.of.grid, &self.inner.causes);
        let Some(cause) = cause else { return };
        if !self.of.holds(target) {
            // it was dropped while it was read
            target.forget(&self.inner.causes, self.inner.now());
        } else if !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }
}

impl<O: Observe> Open<O> {
    /// Counts readings with records near the end of retention, and logs when that risk changes.
    fn watch_retention(&self, target: &Target, observation: &Observation) {
        let risk = RetentionRisk::in_observation(observation);
        if let Some(risk) = risk {
            self.inner.metrics.near_retention(risk.as_str());
        }
        let before =
            target.known.borrow().sample().and_then(|sample| RetentionRisk::in_observation(&sample.observation));
        match risk {
            _ if risk == before => {}
            None => tracing::info!(source = %target.source, "unread records are far from being deleted again"),
            Some(RetentionRisk::OverHalf) => {
                tracing::warn!(source = %target.source, "unread records are older than half of the stream's retention");
            }
            Some(RetentionRisk::OverFourFifths) => {
                tracing::error!(source = %target.source, "unread records are about to be deleted by the stream");
            }
        }
    }
}

impl<O: Observe> Drop for Open<O> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.targets);
        for target in left.values() {
            let error =
                SourceError::new(SourceErrorKind::Broken, format!("the reading of {} was aborted", target.source));
            self.add(target, Err(error));
        }
        self.inner.causes.log(&self.causes);
    }
}
