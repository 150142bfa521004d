//! One policy, replayed over a recording.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, bail};

use crate::lag::{Facts, Moment, Observation, SourceError};
use crate::recording::Metadata;
use crate::scaling::hpa::{Replicas, Target, Tolerance, replicas_for};
use crate::scaling::{Decision, Sample, decide};
use crate::trigger::keys::{Owner, find};
use crate::trigger::{Policy, Trigger};

/// A policy and its state after the readings so far.
pub(super) struct Course {
    /// The keys that distinguish it from the others.
    pub(super) name: String,
    trigger: Trigger,
    sample: Option<Sample>,
}

/// Creates a course for every recorded trigger, and for each policy that is compared with the first of them.
pub(super) fn courses(recorded: &BTreeSet<Metadata>, others: &[String]) -> anyhow::Result<Vec<Course>> {
    let mut courses = Vec::new();
    for metadata in recorded {
        courses.push(Course::new(policy_in_words(metadata), metadata).context("the recorded trigger is wrong")?);
    }
    let base = recorded.first().context("the recording does not say what was asked")?;
    for other in others {
        let metadata = changed(base, other)?;
        courses.push(Course::new(other.clone(), &metadata).with_context(|| format!("--with {other}"))?);
    }
    Ok(courses)
}

impl Course {
    fn new(name: String, metadata: &Metadata) -> anyhow::Result<Self> {
        let metadata: HashMap<_, _> = metadata.clone().into_iter().collect();
        Ok(Self { name, trigger: Trigger::parse(&metadata)?, sample: None })
    }

    /// Adds a reading.
    pub(super) fn see(&mut self, observation: &Observation, now: Moment) {
        let policy = if let Policy::CatchUp(policy) = &self.trigger.policy { Some(policy.clone()) } else { None };
        let policies = policy.as_slice();
        let sample = Sample::after(self.sample.as_ref(), &self.trigger.source, observation.clone(), policies, now);
        self.sample = Some(sample);
    }

    /// Returns the facts of the last reading; `None` before the first.
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.sample.as_ref().map(|sample| &sample.facts)
    }

    /// Returns what KEDA would have got right after the last reading; `None` before the first.
    pub(super) fn decide(&self) -> Option<Result<Decision, SourceError>> {
        let sample = self.sample.as_ref()?;
        Some(decide(&self.trigger.policy, &self.trigger.source, sample))
    }

    /// Returns the replicas that the HPA would have derived from a value, with the recorded number of consumers: an age is one number
    /// for the whole workload, any other value is divided by the replicas.
    pub(super) fn replicas(&self, decision: &Decision, consumers: Option<usize>) -> u64 {
        let wanted = decision.replicas();
        let Some(now) = consumers.and_then(|now| u32::try_from(now).ok()).filter(|now| *now > 0) else { return wanted };
        let target = decision.target.get();
        let whole = self.trigger.policy.is_for_the_whole_workload();
        let target = if whole { Target::Value(target) } else { Target::AverageValue(target) };
        let replicas = replicas_for(decision.value.get(), target, Replicas::settled(now), Tolerance::default());
        u64::from(replicas.max(1))
    }
}

/// Formats the policy's keys of a trigger.
fn policy_in_words(metadata: &Metadata) -> String {
    let keys = metadata.iter().filter(|(key, _)| *key == "scaleOn" || of_a_policy(key));
    let words: Vec<_> = keys.map(|(key, value)| format!("{key}={value}")).collect();
    if words.is_empty() { "as recorded".to_owned() } else { words.join(",") }
}

/// Returns the recorded metadata with these changes; if they name another policy, without the keys of the recorded one.
fn changed(base: &Metadata, changes: &str) -> anyhow::Result<Metadata> {
    let mut pairs = Vec::new();
    for change in changes.split(',') {
        match change.split_once('=') {
            Some((key, value)) => pairs.push((key.trim().to_owned(), value.trim().to_owned())),
            None => bail!("--with {changes}: {change:?} must be key=value"),
        }
    }
    let mut metadata = base.clone();
    let other_policy = pairs.iter().any(|(key, value)| key == "scaleOn" && base.get("scaleOn") != Some(value));
    metadata.retain(|key, _| !(other_policy && of_a_policy(key)));
    metadata.extend(pairs);
    Ok(metadata)
}

fn of_a_policy(key: &str) -> bool {
    find(key).is_some_and(|key| match key.owner {
        Owner::Lag | Owner::ShardCount | Owner::Age | Owner::CatchUp | Owner::WriteUtilization | Owner::Utilization => {
            true
        }
        Owner::Everyone
        | Owner::Kafka
        | Owner::KafkaOnly
        | Owner::KafkaAndAws
        | Owner::Aws
        | Owner::Kinesis
        | Owner::DynamoDb
        | Owner::Application
        | Owner::AwsIdentity
        | Owner::Keda
        | Owner::Connection => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::keys::KEYS;

    #[test]
    fn another_policy_takes_none_of_the_keys_of_the_recorded_one() {
        let base = |keys: &[(&str, &str)]| keys.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let recorded: Metadata =
            base(&[("scaleOn", "catchUp"), ("maxAge", "60s"), ("targetUtilization", "0.8"), ("topic", "t")]);
        let other = changed(&recorded, "scaleOn=lag, lagThreshold=9").expect("good");
        assert_eq!(other, base(&[("scaleOn", "lag"), ("lagThreshold", "9"), ("topic", "t")]));
        assert_eq!(
            changed(&recorded, "maxAge=30s").expect("good").len(),
            recorded.len(),
            "the same policy keeps its keys"
        );
        assert!(KEYS.iter().any(|key| key.owner == Owner::WriteUtilization && of_a_policy(key.name)));
    }
}
