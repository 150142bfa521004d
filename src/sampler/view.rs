//! What operators may see of the targets: read-only, without secrets.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::callers::{CallerView, CallersView};
use super::chart::{Chart, Point};
use super::target::{ErrorCounts, Target};
use super::verdict::{Verdict, verdict};
use crate::lag::{Moment, SourceError};
use crate::scaling::{Decision, Sample, decide};
use crate::trigger::SourceRef;

/// One target as it is now.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// What is observed.
    pub source: Arc<SourceRef>,
    /// What is known of it.
    pub state: ViewState,
    /// Who asks about it.
    pub askers: CallersView,
    /// How it went.
    pub chart: Arc<Chart>,
    /// How often readings have failed.
    pub errors: ErrorCounts,
    /// For how long its consumers have moved no position, as far as it was seen; `None` where readings tell no positions.
    pub unmoved_for: Option<Duration>,
    seen_at: Moment,
}

/// What is known of a target.
#[derive(Clone, Debug)]
pub enum ViewState {
    /// No reading has ended yet.
    Pending,
    /// The newest reading is good.
    Good {
        /// It.
        sample: Arc<Sample>,
        /// Since it began.
        age: Duration,
    },
    /// Readings fail.
    Failing {
        /// The newest error.
        error: SourceError,
        /// Since the first of them.
        failing_for: Duration,
        /// The last good reading and its age, if there was one.
        last_good: Option<(Arc<Sample>, Duration)>,
    },
}

/// What KEDA gets for one trigger.
#[derive(Clone, Debug)]
pub enum Judged {
    /// A value.
    Valued(Decision),
    /// An error, and the value that the last good reading would have.
    Failed {
        /// Why.
        error: SourceError,
        /// That value.
        last_good: Option<Decision>,
    },
    /// Nothing yet.
    Pending,
}

impl Judged {
    /// The decision, also one that has become too old to be given.
    #[must_use]
    pub const fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Valued(decision) => Some(decision),
            Self::Failed { last_good, .. } => last_good.as_ref(),
            Self::Pending => None,
        }
    }
}

impl ViewState {
    /// The last good reading and its age.
    #[must_use]
    pub fn sample(&self) -> Option<(&Arc<Sample>, Duration)> {
        match self {
            Self::Pending => None,
            Self::Good { sample, age } => Some((sample, *age)),
            Self::Failing { last_good, .. } => last_good.as_ref().map(|(sample, age)| (sample, *age)),
        }
    }

    /// Why readings fail, and since when.
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
        let askers = target.schedule().interests.askers.view(Instant::now());
        // copied, so that no reading waits for this view
        let known = target.known.borrow().clone();
        let sample = known.sample.clone().map(|sample| (now.since(sample.taken_at), sample));
        let state = match (&known.failure, sample) {
            (None, None) => ViewState::Pending,
            (None, Some((age, sample))) => ViewState::Good { sample, age },
            (Some(failure), sample) => ViewState::Failing {
                error: failure.error.clone(),
                failing_for: now.since(failure.since),
                last_good: sample.map(|(age, sample)| (sample, age)),
            },
        };
        Self {
            source: target.source.clone(),
            state,
            askers,
            chart: known.chart.clone(),
            errors: known.errors,
            unmoved_for: known.moved_at.map(|at| now.since(at)),
            seen_at: now,
        }
    }

    /// Seconds from a point of the chart to this view.
    #[must_use]
    pub fn seconds_since(&self, point: &Point) -> f64 {
        point.seconds_before(self.seen_at)
    }

    /// What KEDA gets for `asker`, by the rules of the calls themselves.
    #[must_use]
    pub fn judge(&self, asker: &CallerView) -> Judged {
        let sample = self.state.sample();
        let decided = sample.map(|(sample, _)| decide(&asker.policy, &self.source, sample));
        let failure = self.state.failure().map(|(error, _)| error);
        match (verdict(sample.map(|(_, age)| age), failure, asker.max_staleness), decided) {
            (Verdict::Serve | Verdict::ServeStale(_), Some(Ok(decision))) => Judged::Valued(decision),
            (Verdict::Serve | Verdict::ServeStale(_), Some(Err(error))) => Judged::Failed { error, last_good: None },
            (Verdict::Fail(error), decided) => Judged::Failed { error, last_good: decided.and_then(Result::ok) },
            (Verdict::Wait, _) | (_, None) => Judged::Pending,
        }
    }
}
