//! Schedules readings, and decides how old or failed readings are answered.
//!
//! ```text
//! ask(trigger) ─▶ Target { state, callers } ◀─ report ─ round ◀─ loop per backend
//! ```
//! A loop runs for each backend with callers, and ends ten minutes after the last call. Answers come from memory; only the first
//! reading of a new target is waited for. The sampler depends on [`Observe`], never on an adapter.

mod callers;
mod cause;
mod chart;
mod grid;
mod pace;
mod permits;
mod reading;
mod refusals;
mod rounds;
mod rows;
mod target;
mod verdict;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::callers::WatchId;
pub use self::callers::{CallerView, CallersView, ScaledObjectKey};
use self::cause::Causes;
pub use self::cause::{Cause, place_of};
pub use self::chart::{Chart, Estimate, LONGEST_CHART, Point, Promise, Wanted};
use self::pace::Interests;
pub use self::permits::Quotas;
use self::permits::TargetPermit;
pub use self::reading::Reading;
pub use self::refusals::RefusalView;
use self::refusals::Refusals;
use self::rounds::BackendLoop;
pub use self::rows::{PartitionRow, Rows, ShardRow, WorkerRow};
pub use self::target::{ErrorCounts, ReadingObserver};
use self::target::{Known, Target};
use self::verdict::{Verdict, verdict};
pub use self::view::{Judged, TargetView, ViewState};
use crate::lag::{Moment, Observe, SourceError, SourceErrorKind};
use crate::limits::{LimitMetrics, Limits};
use crate::scaling::{RetentionRisk, Sample};
use crate::telemetry::{SamplerMetrics, supervised};
use crate::trigger::{CatchUpPolicy, Policy, SourceRef, Trigger};

/// The maximum time that a caller waits for the first reading of a new target.
pub const PATIENCE: Duration = Duration::from_millis(2500);

/// Returns the present moment.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The answer about a source: its newest reading, and whether later readings failed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The newest complete reading.
    pub sample: Arc<Sample>,
    /// The error of the later readings, if they failed.
    pub stale: Option<SourceError>,
    /// The age of the reading, counted from its start. No decision depends on it.
    pub age: Duration,
}

/// Shares readings between all callers.
pub struct Sampler<O: Observe> {
    inner: Arc<Inner<O>>,
}

struct Inner<O: Observe> {
    observer: O,
    clock: Clock,
    begun: Moment,
    backends: Mutex<HashMap<O::Backend, Arc<BackendLoop>>>,
    next_watch: AtomicU64,
    metrics: SamplerMetrics,
    causes: Causes,
    refusals: Refusals,
    shares: Quotas,
    witness: Option<Arc<dyn ReadingObserver>>,
}

/// A lasting subscription to one source, until it is dropped.
pub struct Watch<O: Observe> {
    inner: Arc<Inner<O>>,
    of: Arc<BackendLoop>,
    target: Arc<Target>,
    news: watch::Receiver<Known>,
    id: WatchId,
    max_staleness: Duration,
    namespace: Box<str>,
    backend: O::Backend,
    _seat: Arc<TargetPermit>,
}

/// Whether a watch may continue.
#[derive(Clone, Debug)]
pub enum WatchState {
    /// Nothing has changed since the watch began.
    Valid,
    /// Another client reads the source now: start a new watch.
    BackendChanged,
    /// The namespace no longer has access.
    Revoked(SourceError),
}

// === impl Sampler ===

impl<O: Observe> Clone for Sampler<O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<O: Observe> Sampler<O> {
    /// Creates a sampler that reads through `observer`. Calls to it need a running runtime.
    pub fn new(observer: O, metrics: SamplerMetrics) -> Self {
        Self::within(Quotas::new(&Limits::default(), &LimitMetrics::default()), observer, metrics, None)
    }

    /// Creates a sampler with other limits, and with an observer of its calls and readings.
    pub fn within(
        shares: Quotas,
        observer: O,
        metrics: SamplerMetrics,
        witness: Option<Arc<dyn ReadingObserver>>,
    ) -> Self {
        let epoch = Instant::now();
        let clock = Arc::new(move || Moment::after_epoch(epoch.elapsed()));
        Self::on_clock(clock, shares, observer, metrics, witness)
    }

    /// Creates a sampler whose readings are dated by `clock`, such as one that a demonstration pauses.
    pub fn on_clock(
        clock: Clock,
        shares: Quotas,
        observer: O,
        metrics: SamplerMetrics,
        witness: Option<Arc<dyn ReadingObserver>>,
    ) -> Self {
        for outcome in SourceErrorKind::ALL.map(SourceErrorKind::as_str).into_iter().chain(["ok"]) {
            metrics.expect_outcome(outcome);
        }
        for risk in RetentionRisk::ALL {
            metrics.expect_risk(risk.as_str());
        }
        let inner = Inner {
            observer,
            begun: clock(),
            clock,
            backends: Mutex::default(),
            next_watch: AtomicU64::new(0),
            metrics,
            causes: Causes::default(),
            refusals: Refusals::default(),
            shares,
            witness,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the newest answer about the trigger's source; waits up to `patience` if there is none yet.
    ///
    /// # Errors
    /// The reason why there is no good answer; [`SourceErrorKind::Denied`] if the caller's namespace has no access, and
    /// [`SourceErrorKind::Throttled`] if it exceeds its quota.
    pub async fn ask<'a>(
        &self,
        caller: impl Into<ScaledObjectKey<'a>>,
        trigger: &Trigger,
        patience: Duration,
    ) -> Result<Answer, SourceError> {
        let Joined { target, .. } = self.inner.call(caller.into(), trigger)?;
        let max_staleness = trigger.pace.max_staleness;
        if let Some(outcome) = self.inner.judge(&target.known.borrow(), max_staleness) {
            return outcome;
        }
        let mut news = target.known.subscribe();
        let first = timeout(patience, async {
            loop {
                if let Some(outcome) = self.inner.judge(&news.borrow_and_update(), max_staleness) {
                    return outcome;
                }
                if news.changed().await.is_err() {
                    return Err(SourceError::new(SourceErrorKind::Broken, "the sampler has ended"));
                }
            }
        });
        first.await.unwrap_or_else(|_| Err(not_yet(&target.source, patience)))
    }

    /// Begins the readings of the trigger's source after `sample`, with everything that it remembers. A source that has a reading
    /// already keeps it.
    ///
    /// # Errors
    /// The same as for [`Self::ask`], when the caller may not read the source.
    pub fn resume<'a>(
        &self,
        caller: impl Into<ScaledObjectKey<'a>>,
        trigger: &Trigger,
        sample: Sample,
    ) -> Result<(), SourceError> {
        let Joined { target, .. } = self.inner.call(caller.into(), trigger)?;
        target.known.send_modify(|known| {
            known.reading.get_or_insert_with(|| Arc::new(Reading::new(target.source.clone(), sample)));
        });
        Ok(())
    }

    /// Watches the trigger's source, which is read once every `interval`.
    ///
    /// # Errors
    /// [`SourceErrorKind::Denied`] if the caller's namespace has no access, and [`SourceErrorKind::Throttled`] if
    /// it exceeds its quota.
    pub fn watch<'a>(
        &self,
        caller: impl Into<ScaledObjectKey<'a>>,
        trigger: &Trigger,
        interval: Duration,
    ) -> Result<Watch<O>, SourceError> {
        let id = WatchId(self.inner.next_watch.fetch_add(1, Ordering::Relaxed));
        let caller = caller.into();
        let joined = self.inner.join(caller, &trigger.source, |interests, now| {
            interests.watch(id, interval);
            interests.callers.watch(caller, trigger, id, now);
            if let Some(policy) = catch_up(trigger) {
                interests.follow(policy, now);
            }
        })?;
        let Joined { backend, of, target, permit } = joined;
        let news = target.known.subscribe();
        let max_staleness = trigger.pace.max_staleness;
        let (inner, namespace) = (self.inner.clone(), caller.namespace.into());
        Ok(Watch { inner, of, target, news, id, max_staleness, namespace, backend, _seat: permit })
    }

    /// Reports to the observer, if there is one, by which metadata a source is queried.
    pub fn note(&self, source: &SourceRef, metadata: &HashMap<String, String>) {
        if let Some(witness) = &self.inner.witness {
            witness.asked(source, metadata);
        }
    }

    /// Records a call whose metadata is refused, for operators.
    pub fn refuse(&self, caller: ScaledObjectKey<'_>, reason: &str) {
        self.inner.refusals.refuse(caller, None, reason, self.inner.now());
    }

    /// Returns the triggers that are refused before anything is read, by reason, for operators.
    #[must_use]
    pub fn refusals(&self) -> Vec<RefusalView> {
        self.inner.refusals.view(self.inner.now())
    }

    /// Returns the time since this sampler was created.
    pub(crate) fn up_for(&self) -> Duration {
        self.inner.now().since(self.inner.begun)
    }

    /// Returns the state of every target, for operators.
    #[must_use]
    pub fn view(&self) -> Vec<TargetView> {
        self.view_of(|_| true)
    }

    /// Returns the state of the targets of these sources, for operators. Answers to calls wait for at most one target at a time.
    pub fn view_of(&self, wanted: impl Fn(&SourceRef) -> bool) -> Vec<TargetView> {
        let loops: Vec<_> = self.inner.backends.lock().values().cloned().collect();
        let now = self.inner.now();
        let targets = loops.iter().flat_map(|of| of.targets.lock().values().cloned().collect::<Vec<_>>());
        targets.filter(|target| wanted(&target.source)).map(|target| TargetView::of(&target, now)).collect()
    }
}

// === impl Inner ===

impl<O: Observe> Inner<O> {
    fn now(&self) -> Moment {
        (self.clock)()
    }

    /// Returns the target of a trigger for a call by `caller`.
    fn call(
        self: &Arc<Self>,
        caller: ScaledObjectKey<'_>,
        trigger: &Trigger,
    ) -> Result<Joined<O::Backend>, SourceError> {
        self.join(caller, &trigger.source, |interests, now| {
            interests.ask(trigger.pace.poll_interval, now);
            interests.callers.ask(caller, trigger, now);
            if let Some(policy) = catch_up(trigger) {
                interests.follow(policy, now);
            }
        })
    }

    /// Returns the target for `source`, created if it is new, with the caller's interest added.
    fn join(
        self: &Arc<Self>,
        caller: ScaledObjectKey<'_>,
        source: &SourceRef,
        note: impl FnOnce(&mut Interests, Instant),
    ) -> Result<Joined<O::Backend>, SourceError> {
        let joined = self.admit(caller.namespace, source, note);
        match &joined {
            Ok(_) => self.refusals.accept(caller, source, self.now()),
            Err(error) => self.refusals.refuse(caller, Some(source), error.chain(), self.now()),
        }
        joined
    }

    /// Returns the target where the caller may read it and no quota is full. Joining and adding
    /// the interest happen under the locks that the loop takes to retire or to forget targets, so neither can happen in between.
    fn admit(
        self: &Arc<Self>,
        namespace: &str,
        source: &SourceRef,
        note: impl FnOnce(&mut Interests, Instant),
    ) -> Result<Joined<O::Backend>, SourceError> {
        let backend = self.observer.admit(namespace, source)?;
        let mut backends = self.backends.lock();
        if let Some(of) = backends.get(&backend).cloned() {
            let (target, permit) = of.join(namespace, source, &self.shares, note)?;
            return Ok(Joined { backend, of, target, permit });
        }
        let of = Arc::new(BackendLoop::new(self.shares.client()?));
        let (target, permit) = of.join(namespace, source, &self.shares, note)?;
        let (inner, to, this) = (self.clone(), backend.clone(), of.clone());
        tokio::spawn(supervised("sampling loop", move || rounds::run(inner.clone(), to.clone(), this.clone())));
        backends.insert(backend.clone(), of.clone());
        self.metrics.set_backends(backends.len());
        Ok(Joined { backend, of, target, permit })
    }

    fn judge(&self, known: &Known, max_staleness: Duration) -> Option<Result<Answer, SourceError>> {
        let age = known.sample().map(|sample| self.now().since(sample.taken_at));
        let failure = known.failure.as_ref().map(|failure| &failure.error);
        let answer = |stale| known.sample().cloned().zip(age).map(|(sample, age)| Ok(Answer { sample, stale, age }));
        match verdict(age, failure, max_staleness) {
            Verdict::Serve => answer(None),
            Verdict::ServeStale(error) => answer(Some(error)),
            Verdict::Fail(error) => Some(Err(error)),
            Verdict::Wait => None,
        }
    }

    /// Ends the loop of a backend without targets; returns false if a target was added meanwhile.
    fn retire(&self, backend: &O::Backend, of: &Arc<BackendLoop>) -> bool {
        let mut backends = self.backends.lock();
        if !of.targets.lock().is_empty() {
            return false;
        }
        // a loop that was restarted after a panic may have been replaced by another one
        if backends.get(backend).is_some_and(|current| Arc::ptr_eq(current, of)) {
            backends.remove(backend);
            self.metrics.set_backends(backends.len());
            self.observer.forget(backend);
        }
        true
    }
}

fn catch_up(trigger: &Trigger) -> Option<&CatchUpPolicy> {
    if let Policy::CatchUp(policy) = &trigger.policy { Some(policy) } else { None }
}

fn not_yet(source: &SourceRef, patience: Duration) -> SourceError {
    let attempt = format!("no reading of {source} within {} ms", patience.as_millis());
    SourceError::new(SourceErrorKind::TimedOut, attempt).remedy("retry: the reading continues")
}

/// The target that a caller has joined.
struct Joined<B> {
    backend: B,
    of: Arc<BackendLoop>,
    target: Arc<Target>,
    permit: Arc<TargetPermit>,
}

// === impl Watch ===

impl<O: Observe> Watch<O> {
    /// Returns the current answer; `None` until the first reading has ended.
    pub fn now(&mut self) -> Option<Result<Answer, SourceError>> {
        self.inner.judge(&self.news.borrow_and_update(), self.max_staleness)
    }

    /// Returns whether this watch may continue, by the current rules.
    pub fn standing(&self) -> WatchState {
        match self.inner.observer.admit(&self.namespace, &self.target.source) {
            Ok(backend) if backend == self.backend => WatchState::Valid,
            Ok(_) => WatchState::BackendChanged,
            Err(error) => WatchState::Revoked(error),
        }
    }

    /// Waits until the answer changes.
    pub async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // the target outlives its watches; if that ever changes, a watch must not spin
            std::future::pending::<()>().await;
        }
    }

    /// Reads the source every `interval` from now on.
    pub fn pace(&self, interval: Duration) {
        let id = self.id;
        self.of.note(&self.target, |interests, _| interests.watch(id, interval));
    }
}

impl<O: Observe> Drop for Watch<O> {
    fn drop(&mut self) {
        self.target.schedule.lock().interests.unwatch(self.id);
    }
}
