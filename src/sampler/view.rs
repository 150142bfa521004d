//! What operators may see of the targets: read-only, without secrets.

use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use crate::lag::{Moment, SourceError};
use crate::scaling::Sample;
use crate::trigger::SourceRef;

/// One target as it is now.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// What is observed.
    pub source: Arc<SourceRef>,
    /// What is known of it.
    pub state: ViewState,
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

impl TargetView {
    pub(super) fn of(target: &Target, now: Moment) -> Self {
        let known = target.known.borrow();
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
        Self { source: target.source.clone(), state }
    }
}
