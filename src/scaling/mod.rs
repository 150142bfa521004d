//! Reading, policy and moment in; decision out. No I/O, no clock.
//!
//! The same decision serves `GetMetrics`, `IsActive`, `/samples` and `explain`, so none of them can disagree.

mod decision;
mod even;
mod lag_policy;
#[cfg(test)]
mod tests;

pub use decision::{CapReason, Decision, Quantity, Step};

use crate::lag::{History, Moment, Observation};
use crate::trigger::{Policy, SourceRef};

/// Judges `observation` of `source` by `policy` at `now`.
#[must_use]
pub fn decide(
    policy: &Policy,
    source: &SourceRef,
    observation: &Observation,
    history: &History,
    now: Moment,
) -> Decision {
    let (Policy::Lag(policy), SourceRef::Kafka(source)) = (policy, source);
    let (Observation::Kafka(observation), History::Kafka(history)) = (observation, history);
    lag_policy::decide(policy, source.isolation, observation, history, now)
}
