//! Converts a reading and a policy to a decision. No I/O, no clock: rules that need time use the time of the reading.
//!
//! The same decision serves `GetMetrics`, `IsActive`, `/samples` and `explain`, so they always agree.

mod age_policy;
#[cfg(test)]
mod aws_tests;
pub mod catch_up;
mod decision;
pub mod hpa;
mod lag_policy;
mod sample;
mod shard_count_policy;
#[cfg(test)]
mod tests;
mod words;
pub mod write_utilization;

pub use self::words::counted;
pub use decision::{CapReason, Decision, Quantity, RetentionRisk, Step};
pub use sample::Sample;

use crate::lag::{Behind, History, Observation, SourceError, SourceErrorKind};
use crate::trigger::{Policy, SourceRef};

/// Evaluates a sample of `source` by `policy`: the same sample always gives the same decision.
///
/// # Errors
/// [`SourceErrorKind::Broken`] when the sample is not of the kind that the policy evaluates; [`SourceErrorKind::Missing`] when it does not
/// contain enough data.
pub fn decide(policy: &Policy, source: &SourceRef, sample: &Sample) -> Result<Decision, SourceError> {
    match (policy, source, &sample.observation) {
        (Policy::Lag(policy), ..) if let Some(reading) = reading_of_group(source, sample) => {
            Ok(lag_policy::decide(policy, reading))
        }
        (Policy::ShardCount(policy), SourceRef::Shards(source), Observation::Shards(shards)) => {
            Ok(shard_count_policy::decide(policy, &source.stream, *shards))
        }
        (Policy::WriteUtilization(policy), SourceRef::Writes(_), Observation::Writes(observation)) => {
            write_utilization::decide(policy, observation).map_err(|unknown| {
                SourceError::new(SourceErrorKind::Missing, format!("the shards that {source} need are unknown"))
                    .because(unknown)
            })
        }
        (Policy::Age(policy), SourceRef::Application(_), Observation::Application(application)) => {
            Ok(age_policy::decide(policy, application))
        }
        (Policy::CatchUp(policy), ..) if let Some(flow) = &sample.flow => {
            let mut decision = sample.catch_ups.decide(policy, flow).map_err(|unknown| {
                let error = SourceError::new(SourceErrorKind::Missing, format!("no consumers for {source}"));
                error.because(unknown).remedy("set capacityPerConsumer, or scale on lag")
            })?;
            if let Some(reading) = reading_of_group(source, sample)
                && let Some(rules) = reading.source.consumers
            {
                decision.steps.splice(0..0, lag_policy::first_steps(rules, reading));
            }
            Ok(decision)
        }
        _ => Err(SourceError::new(SourceErrorKind::Broken, format!("the reading of {source} is of another kind"))),
    }
}

fn reading_of_group<'a>(source: &'a SourceRef, sample: &'a Sample) -> Option<lag_policy::Reading<'a>> {
    match (source, &sample.observation, &sample.history, &sample.facts.behind) {
        (SourceRef::Kafka(source), Observation::Kafka(group), History::Kafka(history), Behind::Records(lag)) => {
            Some(lag_policy::Reading { source, group, history, lag, taken_at: sample.taken_at })
        }
        _ => None,
    }
}
