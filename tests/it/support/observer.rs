//! The scaler's own reading of a real cluster: sources, sampler and policy, without the wire.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use keda_stream_scaler::lag::{GroupObservation, Observation, Observe as _, SourceError};
use keda_stream_scaler::sampler::{Answer, Rows, Sampler};
use keda_stream_scaler::scaling::{Decision, Step, decide};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::time::{Instant, sleep};

use super::driver::WITHIN;

/// Reads and judges as the service does.
pub struct Observer {
    sampler: Sampler<Sources>,
}

impl Observer {
    pub fn new() -> Self {
        Self::with(Connections::unrestricted())
    }

    /// With this text as the connections file.
    pub fn with_connections(text: &str) -> Self {
        Self::with(connections(text))
    }

    fn with(connections: Connections) -> Self {
        let metrics = Metrics::new("0", "none");
        let sources = Sources::new(connections, metrics.upstream.clone());
        Self { sampler: Sampler::new(sources, metrics.sampler) }
    }

    pub async fn answer(&self, trigger: &Trigger) -> Result<Answer, SourceError> {
        self.sampler.ask("shop", trigger, Duration::from_secs(10)).await
    }

    /// What KEDA would get now.
    pub async fn decision(&self, trigger: &Trigger) -> Result<Decision, SourceError> {
        self.answer(trigger).await.map(|answer| judge(trigger, &answer))
    }

    /// The partitions of the newest reading, as `explain` prints them.
    pub async fn rows(&self, trigger: &Trigger) -> Vec<String> {
        let answer = self.answer(trigger).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        let Rows::Partitions { partitions } = Rows::of(&answer.sample) else { panic!("partitions") };
        partitions.iter().map(ToString::to_string).collect()
    }

    /// Records behind, by the newest reading.
    pub async fn lag(&self, trigger: &Trigger) -> i64 {
        activity(&self.decision(trigger).await.unwrap_or_else(|error| panic!("{}", error.chain())))
    }

    /// Waits until the lag is so.
    pub async fn until_lag(&self, trigger: &Trigger, expected: i64) -> Decision {
        let begun = Instant::now();
        loop {
            match self.decision(trigger).await {
                Ok(decision) if activity(&decision) == expected => return decision,
                seen => assert!(begun.elapsed() < WITHIN, "expected {expected}, saw {seen:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Reads a connections file with this text.
pub fn connections(text: &str) -> Connections {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connections.yaml");
    fs::write(&file, text).unwrap();
    Connections::read(&file).unwrap()
}

/// Reads the sources of these triggers, all on one backend, in one round, and returns the outcome for each consumer group.
pub async fn round(sources: &Sources, triggers: &[Trigger]) -> HashMap<String, Result<GroupObservation, SourceError>> {
    let (came, outcomes) = mpsc::channel();
    let report = move |source: &Arc<SourceRef>, outcome: Result<Observation, SourceError>| {
        let SourceRef::Kafka(source) = source.as_ref() else { panic!("a Kafka source") };
        let group = outcome.map(|observation| match observation {
            Observation::Kafka(group) => group,
            other => panic!("{other:?}"),
        });
        came.send((source.group.to_string(), group)).unwrap();
    };
    let due: Vec<_> = triggers.iter().map(|trigger| Arc::new(trigger.source.clone())).collect();
    let backend = sources.admit("shop", &due[0]).unwrap();
    sources.observe(&backend, due, Arc::new(report)).await;
    outcomes.iter().collect()
}

pub fn judge(trigger: &Trigger, answer: &Answer) -> Decision {
    decide(&trigger.policy, &trigger.source, &answer.sample).unwrap()
}

/// Records behind, standing partitions included.
pub fn activity(decision: &Decision) -> i64 {
    let compared = |step: &Step| if let Step::Activation { lag, .. } = step { Some(*lag) } else { None };
    decision.steps.iter().find_map(compared).unwrap()
}

/// A trigger of these keys, read every 2 s, whose value is not limited by partitions.
pub fn trigger(metadata: &[(&str, &str)]) -> Trigger {
    let base = [("source", "kafka"), ("pollInterval", "2s")];
    let unlimited = [("allowIdleConsumers", "true")];
    let by_lag = metadata.iter().all(|(key, _)| *key != "scaleOn");
    let base = base.iter().chain(unlimited.iter().filter(|_| by_lag));
    let metadata = base.chain(metadata).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&metadata.collect()).unwrap()
}
