//! An observer of all requests and of all successful readings.

use std::collections::HashMap;

use crate::lag::Observation;
use crate::trigger::SourceRef;

/// Gets every request and every successful reading. The sampler calls it within every answer and every round: it must neither block
/// nor take long.
pub trait ReadingObserver: Send + Sync {
    /// Called when a trigger with this metadata queries `source`.
    fn asked(&self, source: &SourceRef, metadata: &HashMap<String, String>);

    /// Called after a successful reading of `source`.
    fn read(&self, source: &SourceRef, observation: &Observation);
}
