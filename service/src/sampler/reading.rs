//! One reading of a source with the decisions on it.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::lag::SourceError;
use crate::scaling::{Decision, Sample, decide};
use crate::trigger::{Policy, SourceRef};

/// The maximum number of decisions that are kept, for policies that change while a source cannot be read.
const MOST_DECISIONS: usize = 128;

/// The result of a policy for one reading.
pub(super) type Decided = Result<Arc<Decision>, SourceError>;

/// A reading with the decisions that were made on it. A decision depends on nothing else, so the next reading begins without any.
#[derive(Debug)]
pub struct Reading {
    source: Arc<SourceRef>,
    sample: Arc<Sample>,
    decisions: Mutex<Vec<(Arc<Policy>, Decided)>>,
}

impl Reading {
    pub(super) fn new(source: Arc<SourceRef>, sample: Sample) -> Self {
        Self { source, sample: Arc::new(sample), decisions: Mutex::default() }
    }

    /// Returns the sample of this reading.
    #[must_use]
    pub const fn sample(&self) -> &Arc<Sample> {
        &self.sample
    }

    /// Evaluates the reading by `policy`, once however often it is shown.
    pub(super) fn decide(&self, policy: &Arc<Policy>) -> Decided {
        let mut decisions = self.decisions.lock();
        if let Some((_, decided)) = decisions.iter().find(|(known, _)| known == policy) {
            return decided.clone();
        }
        let decided = decide(policy, &self.source, &self.sample).map(Arc::new);
        if decisions.len() == MOST_DECISIONS {
            decisions.clear();
        }
        decisions.push((policy.clone(), decided.clone()));
        decided
    }
}
