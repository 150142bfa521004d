//! Somebody who sees what is asked and what is read.

use std::collections::HashMap;

use crate::lag::Observation;
use crate::trigger::SourceRef;

/// Sees what is asked and what is read, on the way of every answer and every round: it must neither block nor take long.
pub trait ReadingObserver: Send + Sync {
    /// A trigger of these metadata asks about `source`.
    fn asked(&self, source: &SourceRef, metadata: &HashMap<String, String>);

    /// `source` was read well.
    fn read(&self, source: &SourceRef, observation: &Observation);
}
