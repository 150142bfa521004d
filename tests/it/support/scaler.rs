//! What the scaler says of triggers on the real servers, round by round.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::{Observation, Observe as _, SourceError};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep};

use super::aws_services::{AwsServices, Endpoint, Requests, aws_services};
use super::truth::ROUND;

const LONGEST_CATCH_UP: Duration = Duration::from_secs(60);

/// One trigger; several may share a process and what that has read.
pub struct Scaler {
    sources: Arc<Sources>,
    endpoint: Arc<Endpoint>,
    kind: String,
    trigger: Trigger,
}

impl Scaler {
    pub async fn new(source: &str, more: &[(&str, &str)]) -> Self {
        Self::on(aws_services(), source, more).await
    }

    pub async fn on(services: &AwsServices, source: &str, more: &[(&str, &str)]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
        let sources = Sources::new(Connections::read(file.path()).unwrap(), UpstreamMetrics::default());
        let endpoint = services.endpoint().await;
        let trigger = trigger(source, &endpoint.address, more);
        Self { sources: Arc::new(sources), endpoint: Arc::new(endpoint), kind: source.to_owned(), trigger }
    }

    /// Another trigger of the same process.
    pub fn beside(&self, more: &[(&str, &str)]) -> Self {
        let trigger = trigger(&self.kind, &self.endpoint.address, more);
        Self { sources: self.sources.clone(), endpoint: self.endpoint.clone(), kind: self.kind.clone(), trigger }
    }

    /// The requests of the whole process.
    pub fn requests(&self) -> &Requests {
        &self.endpoint.requests
    }

    /// What one round reports of these triggers, which share a process.
    pub async fn observe_together(scalers: &[&Self]) -> Vec<Result<Observation, SourceError>> {
        let all: Vec<_> = scalers.iter().map(|scaler| Arc::new(scaler.trigger.source.clone())).collect();
        let sources = &scalers[0].sources;
        let backend = sources.admit("shop", &all[0]).unwrap();
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let into = outcomes.clone();
        let report = Arc::new(move |source: &Arc<_>, outcome| into.lock().unwrap().push((Arc::clone(source), outcome)));
        sources.observe(&backend, all.clone(), report).await;
        let mut outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
        let outcome = |source: &Arc<_>| {
            let index = outcomes.iter().position(|(of, _)| Arc::ptr_eq(of, source));
            outcomes.swap_remove(index.expect("the source is reported")).1
        };
        all.iter().map(outcome).collect()
    }

    pub async fn outcome(&self) -> Result<Observation, SourceError> {
        Self::observe_together(&[self]).await.remove(0)
    }

    pub async fn age(&self) -> Duration {
        age_of(&self.outcome().await.unwrap())
    }

    pub async fn open_shards(&self) -> u64 {
        match self.outcome().await.unwrap() {
            Observation::Shards(shards) => shards.open,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nothing is unread.
    pub async fn wait_until_caught_up(&self) {
        let begun = Instant::now();
        while self.age().await > Duration::ZERO {
            assert!(begun.elapsed() < LONGEST_CATCH_UP, "{:?}", self.outcome().await);
            sleep(ROUND).await;
        }
    }
}

/// The age of the oldest unread record.
pub fn age_of(observation: &Observation) -> Duration {
    match observation {
        Observation::Application(application) => application.survey.age(),
        other => panic!("{other:?}"),
    }
}

fn trigger(source: &str, endpoint: &str, more: &[(&str, &str)]) -> Trigger {
    let base = [
        ("source", source),
        ("awsRegion", "us-east-1"),
        ("awsEndpoint", endpoint),
        ("awsAccessKeyIDFromEnv", "test"),
        ("awsSecretAccessKeyFromEnv", "test"),
    ];
    let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&all.collect::<HashMap<_, _>>()).unwrap()
}
