//! Views of the targets for operators: read-only, without secrets.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::callers::{CallerView, CallersView};
use super::cause::Cause;
use super::chart::{Chart, Point};
use super::reading::Reading;
use super::target::{ErrorCounts, Target};
use super::verdict::{Verdict, verdict};
use crate::lag::{Moment, SourceError};
use crate::scaling::{Decision, Sample};
use crate::trigger::SourceRef;

/// The current state of one target.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// The observed source.
    pub source: Arc<SourceRef>,
    /// The state of its readings.
    pub state: ViewState,
    /// The callers that query it.
    pub callers: CallersView,
    /// The chart of the last half hour.
    pub chart: Arc<Chart>,
    /// The number of failed readings, by kind.
    pub errors: ErrorCounts,
    /// The time since its consumers last progressed, as far as observed; `None` if readings contain no positions.
    pub unmoved_for: Option<Duration>,
    /// The time until the next reading begins; `None` while one is in progress.
    pub next_read_in: Option<Duration>,
    seen_at: Moment,
}

/// The state of a target's readings.
#[derive(Clone, Debug)]
pub enum ViewState {
    /// No reading has ended yet.
    Pending,
    /// The newest reading is good.
    Good {
        /// The newest reading.
        reading: Arc<Reading>,
        /// The time since that reading began.
        age: Duration,
    },
    /// The newest readings have failed.
    Failing {
        /// The newest error.
        error: SourceError,
        /// The time since the first of these failures.
        failing_for: Duration,
        /// The last good reading and its age, if there was one.
        last_good: Option<(Arc<Reading>, Duration)>,
        /// What the newest error has in common with those of other targets.
        cause: Cause,
    },
}

/// The result for one trigger, as KEDA gets it.
#[derive(Clone, Debug)]
pub enum Judged {
    /// KEDA gets the value of this decision.
    Valued(Arc<Decision>),
    /// KEDA gets an error; the last good reading may still have a decision.
    Failed {
        /// The error that KEDA gets.
        error: SourceError,
        /// The decision for the last good reading.
        last_good: Option<Arc<Decision>>,
    },
    /// No reading has ended yet.
    Pending,
}

impl Judged {
    /// Returns the decision, including one that is too old to be served.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Valued(decision) => Some(decision),
            Self::Failed { last_good, .. } => last_good.as_deref(),
            Self::Pending => None,
        }
    }
}

impl ViewState {
    /// Returns the sample of the last good reading and its age.
    #[must_use]
    pub fn sample(&self) -> Option<(&Arc<Sample>, Duration)> {
        self.reading().map(|(reading, age)| (reading.sample(), age))
    }

    fn reading(&self) -> Option<(&Reading, Duration)> {
        match self {
            Self::Pending => None,
            Self::Good { reading, age } => Some((reading, *age)),
            Self::Failing { last_good, .. } => last_good.as_ref().map(|(reading, age)| (&**reading, *age)),
        }
    }

    /// Returns what the newest failure has in common with those of other targets.
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Failing { cause, .. } => Some(cause),
            Self::Pending | Self::Good { .. } => None,
        }
    }

    /// Returns why readings fail, and since when.
    #[must_use]
    pub const fn failure(&self) -> Option<(&SourceError, Duration)> {
        match self {
            Self::Failing { error, failing_for, .. } => Some((error, *failing_for)),
            Self::Pending | Self::Good { .. } => None,
        }
    }
}

impl TargetView {
    pub(super) fn of(target: &Target, now: Moment) -> Self {
        let (callers, next_read_in) = {
            let (schedule, now) = (target.schedule.lock(), Instant::now());
            let next = (!schedule.in_flight).then(|| schedule.next_due.saturating_duration_since(now));
            (schedule.interests.callers.view(now), next)
        };
        // cloned, so that no reading waits for this view
        let known = target.known.borrow().clone();
        let reading = known.reading.map(|reading| (now.since(reading.sample().taken_at), reading));
        let state = match (&known.failure, reading) {
            (None, None) => ViewState::Pending,
            (None, Some((age, reading))) => ViewState::Good { reading, age },
            (Some(failure), reading) => ViewState::Failing {
                error: failure.error.clone(),
                failing_for: now.since(failure.since),
                cause: failure.cause.clone(),
                last_good: reading.map(|(age, reading)| (reading, age)),
            },
        };
        Self {
            source: target.source.clone(),
            state,
            callers,
            chart: known.chart,
            errors: known.errors,
            unmoved_for: known.moved_at.map(|at| now.since(at)),
            next_read_in,
            seen_at: now,
        }
    }

    /// Returns the time since a cause began; `None` if its readings succeed.
    pub(crate) fn time_since(&self, cause: &Cause) -> Option<Duration> {
        cause.since.map(|since| self.seen_at.since(since))
    }

    /// Returns the seconds from a point of the chart to this view.
    pub(crate) fn seconds_since(&self, point: &Point) -> f64 {
        point.seconds_before(self.seen_at)
    }

    /// Returns what KEDA gets for `caller`, by the same rules as the calls themselves.
    #[must_use]
    pub fn judge(&self, caller: &CallerView) -> Judged {
        let reading = self.state.reading();
        let decided = reading.map(|(reading, _)| reading.decide(&caller.policy));
        let failure = self.state.failure().map(|(error, _)| error);
        match (verdict(reading.map(|(_, age)| age), failure, caller.max_staleness), decided) {
            (Verdict::Serve | Verdict::ServeStale(_), Some(Ok(decision))) => Judged::Valued(decision),
            (Verdict::Serve | Verdict::ServeStale(_), Some(Err(error))) => Judged::Failed { error, last_good: None },
            (Verdict::Fail(error), decided) => Judged::Failed { error, last_good: decided.and_then(Result::ok) },
            (Verdict::Wait, _) | (_, None) => Judged::Pending,
        }
    }
}
