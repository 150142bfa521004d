//! One source with callers: its state, and the time of its next reading.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cause::{Cause, Causes};
use super::chart::Chart;
use super::grid::Grid;
use super::pace::{Interests, quick_retry};
use super::reading::Reading;
use crate::lag::{Moment, Observation, SourceError, SourceErrorKind};
use crate::scaling::Sample;
use crate::trigger::SourceRef;

/// The state of a target.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) reading: Option<Arc<Reading>>,
    pub(super) failure: Option<Failure>,
    pub(super) chart: Arc<Chart>,
    pub(super) errors: ErrorCounts,
    /// The last time the consumers were seen to progress, or were first seen; `None` if readings contain no positions.
    pub(super) moved_at: Option<Moment>,
}

impl Known {
    /// The sample of the newest good reading.
    pub(super) fn sample(&self) -> Option<&Arc<Sample>> {
        self.reading.as_ref().map(|reading| reading.sample())
    }
}

/// The number of failed readings of a target, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ErrorCounts([u64; SourceErrorKind::ALL.len()]);

impl ErrorCounts {
    /// Returns each kind with its count.
    pub fn by_kind(&self) -> impl Iterator<Item = (SourceErrorKind, u64)> {
        SourceErrorKind::ALL.into_iter().zip(self.0)
    }

    fn with(mut self, kind: SourceErrorKind) -> Self {
        if let Some(count) = self.0.get_mut(kind.index()) {
            *count += 1;
        }
        self
    }
}

/// The failures since the last good reading.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The newest error.
    pub(super) error: SourceError,
    /// The time of the first of these failures.
    pub(super) since: Moment,
    /// What the newest failure has in common with those of other targets.
    pub(super) cause: Cause,
}

/// The schedule of the next reading.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) interests: Interests,
    pub(super) next_due: Instant,
    /// The due time of the last reading, or the start of the first one: intervals are counted from here.
    last_due: Option<Instant>,
    pub(super) in_flight: bool,
}

pub(super) struct Target {
    pub(super) source: Arc<SourceRef>,
    pub(super) known: watch::Sender<Known>,
    pub(super) schedule: Mutex<Schedule>,
}

impl Target {
    /// Creates a target that is due at once.
    pub(super) fn new(source: Arc<SourceRef>, now: Instant) -> Self {
        let schedule = Schedule { interests: Interests::default(), next_due: now, last_due: None, in_flight: false };
        Self { source, known: watch::Sender::default(), schedule: Mutex::new(schedule) }
    }

    /// Adds the outcome of a reading that began at `begun` and ended `now`, and schedules the next one on `grid`. Returns the cause of
    /// a failed reading.
    pub(super) fn add(
        &self,
        outcome: Result<Observation, SourceError>,
        begun: Moment,
        now: Moment,
        grid: &Grid,
        causes: &Causes,
    ) -> Option<Cause> {
        let past = self.known.borrow().clone();
        let known = match outcome {
            Ok(observation) => {
                let (policies, judges) = {
                    let interests = &mut self.schedule.lock().interests;
                    (interests.policies(Instant::now()), interests.callers.policies())
                };
                let moved_at = moved_at(&past, &observation, begun);
                let before = past.sample().map(|sample| &**sample);
                let sample = Sample::after(before, &self.source, observation, &policies, begun);
                let chart = Arc::new(past.chart.read(&self.source, before, &sample, &judges));
                let reading = Some(Arc::new(Reading::new(self.source.clone(), sample)));
                if let Some(failure) = past.failure {
                    causes.recovers(&self.source, &failure.cause, now);
                }
                Known { reading, failure: None, chart, errors: past.errors, moved_at }
            }
            Err(error) => {
                let since = past.failure.as_ref().map_or(now, |failure| failure.since);
                let read = past.sample().map(|sample| sample.taken_at);
                let before = past.failure.as_ref().map(|failure| &failure.cause);
                let cause = causes.fails(&self.source, &error, before, read, now);
                let chart = past.chart.missed(begun).map_or(past.chart, Arc::new);
                let errors = past.errors.with(error.kind());
                let failure = Some(Failure { error, since, cause });
                Known { reading: past.reading, failure, chart, errors, moved_at: past.moved_at }
            }
        };
        let failing = known.failure.as_ref().map(|failure| (failure.error.kind(), now.since(failure.since)));
        let cause = known.failure.as_ref().map(|failure| failure.cause.clone());
        self.known.send_replace(known);
        self.plan(failing, grid);
        cause
    }

    /// Removes the target from the cause of its failures, because it is read no more.
    pub(super) fn forget(&self, causes: &Causes, now: Moment) {
        if let Some(failure) = &self.known.borrow().failure {
            causes.forgets(&self.source, &failure.cause, now);
        }
    }

    /// Schedules the next reading; `failing` is the kind of the newest error, and for how long readings have failed.
    fn plan(&self, failing: Option<(SourceErrorKind, Duration)>, grid: &Grid) {
        let mut schedule = self.schedule.lock();
        let now = Instant::now();
        schedule.in_flight = false;
        schedule.interests.callers.forget(now);
        schedule.interests.permits.forget(now);
        if let Some(interval) = schedule.interests.interval(now) {
            let retry = failing.and_then(|(kind, failing_for)| quick_retry(kind, failing_for, interval));
            schedule.next_due = match retry {
                Some(pause) => grid.retry(pause, now),
                None => grid.regular(schedule.last_due.unwrap_or(now), interval, now),
            };
        }
    }
}

impl Schedule {
    /// Marks the target as being read from `now` on.
    pub(super) fn begin(&mut self, now: Instant, interval: Duration) {
        // a reading that begins much later than it was due must not be followed by another one too soon
        let in_time = self.last_due.is_some() && now.duration_since(self.next_due) <= interval / 4;
        self.last_due = Some(if in_time { self.next_due } else { now });
        self.in_flight = true;
    }

    /// Brings the next reading forward to what this interval needs; returns whether that changed the schedule.
    pub(super) fn hasten(&mut self, interval: Duration, now: Instant, grid: &Grid) -> bool {
        // until its first reading the target is due at once
        let due = self.last_due.map_or(self.next_due, |last| grid.regular(last, interval, now));
        let sooner = !self.in_flight && due < self.next_due;
        if sooner {
            self.next_due = due;
        }
        sooner
    }
}

/// Returns when the consumers last progressed, with this reading that began at `begun` taken into account.
fn moved_at(past: &Known, observation: &Observation, begun: Moment) -> Option<Moment> {
    let Some(sample) = past.sample() else { return observation.progressed_since(observation).map(|_| begun) };
    let moved = observation.progressed_since(&sample.observation)?;
    if moved { Some(begun) } else { past.moved_at }
}

/// Gets every request and every successful reading. The sampler calls it within every answer and every round: it must neither block
/// nor take long.
pub trait ReadingObserver: Send + Sync {
    /// Called when a trigger with this metadata queries `source`.
    fn asked(&self, source: &SourceRef, metadata: &HashMap<String, String>);

    /// Called after a successful reading of `source`.
    fn read(&self, source: &SourceRef, observation: &Observation);
}
