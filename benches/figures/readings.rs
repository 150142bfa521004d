//! Targets that are read by the real sampler and the real AWS adapter from a scripted AWS, and polled as KEDA polls.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::{Observation, Observe, Report, SourceError};
use keda_stream_scaler::sampler::{PATIENCE, Sampler};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::{Metrics, UpstreamMetrics};
use keda_stream_scaler::tenancy::{Backend, Connections};
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::scripted_aws::ScriptedAws;

/// The interval of every target here.
pub const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// One source of one application.
pub fn trigger(aws: &ScriptedAws, source: &str, more: &[(&str, &str)]) -> Trigger {
    let endpoint = aws.endpoint();
    let base = [
        ("source", source),
        ("scaleOn", "age"),
        ("pollInterval", "10s"),
        ("awsRegion", "eu-west-1"),
        ("awsEndpoint", &endpoint),
        ("awsAccessKeyIDFromEnv", "AKIDEXAMPLE"),
        ("awsSecretAccessKeyFromEnv", "a-secret"),
    ];
    let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&metadata.collect::<HashMap<_, _>>()).unwrap()
}

/// An application on a Kinesis stream.
pub fn kinesis(aws: &ScriptedAws, stream: &str, application: &str) -> Trigger {
    trigger(aws, "aws-kinesis-stream", &[("streamName", stream), ("applicationName", application)])
}

/// An application on the stream of a DynamoDB table.
pub fn dynamodb(aws: &ScriptedAws, table: &str, application: &str) -> Trigger {
    trigger(aws, "aws-dynamodb-streams", &[("tableName", table), ("applicationName", application)])
}

/// The sources of AWS, with the duration of each round.
pub struct TimedSources {
    sources: Sources,
    rounds: Arc<Mutex<Vec<Duration>>>,
}

impl Observe for TimedSources {
    type Backend = Backend;

    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Backend, SourceError> {
        self.sources.admit(namespace, source)
    }

    async fn observe(&self, backend: &Backend, due: Vec<Arc<SourceRef>>, report: Report) {
        let begun = Instant::now();
        self.sources.observe(backend, due, report).await;
        self.rounds.lock().unwrap().push(begun.elapsed());
    }

    fn is_current(&self, backend: &Backend) -> bool {
        self.sources.is_current(backend)
    }

    fn forget(&self, backend: &Backend) {
        self.sources.forget(backend);
    }
}

/// What one poll returned.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The number of the target, in the order of the triggers.
    pub target: usize,
    /// Since the scaler's start.
    pub at: Duration,
    /// The age by which the target is scaled.
    pub age: Result<Duration, String>,
}

/// A scaler that has just started, and the polls of its targets.
pub struct Polls {
    sampler: Sampler<TimedSources>,
    rounds: Arc<Mutex<Vec<Duration>>>,
    polled: Arc<Mutex<Vec<Polled>>>,
    tasks: Vec<JoinHandle<()>>,
    begun: Instant,
}

impl Polls {
    /// Starts a scaler and polls all targets at once, and then `every` so often.
    pub fn start(triggers: Vec<Trigger>, every: Duration) -> Self {
        let (rounds, polled): (Arc<Mutex<Vec<_>>>, Arc<Mutex<Vec<_>>>) = (Arc::default(), Arc::default());
        let sources = Sources::new(permissive(), UpstreamMetrics::default());
        let source = TimedSources { sources, rounds: rounds.clone() };
        let sampler = Sampler::new(source, Metrics::new("0", "none").sampler.clone());
        let begun = Instant::now();
        let polls = triggers.into_iter().enumerate().map(|(target, trigger)| {
            let (sampler, polled) = (sampler.clone(), polled.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    sleep_until(begun + every * number).await;
                    let answer = sampler.ask("shop", &trigger, PATIENCE).await;
                    let age = answer.map(|answer| age(&answer.sample.observation)).map_err(|error| error.chain());
                    polled.lock().unwrap().push(Polled { target, at: begun.elapsed(), age });
                }
            })
        });
        Self { tasks: polls.collect(), sampler, rounds, polled, begun }
    }

    pub async fn until(&self, since_start: Duration) {
        sleep_until(self.begun + since_start).await;
    }

    /// Every poll so far.
    pub fn polled(&self) -> Vec<Polled> {
        self.polled.lock().unwrap().clone()
    }

    /// How long each round took so far, in the order of their ends.
    pub fn rounds(&self) -> Vec<Duration> {
        self.rounds.lock().unwrap().clone()
    }

    /// When the last of the targets got its first age, in intervals.
    pub fn first_ages_after(&self) -> f64 {
        let first = (0..self.tasks.len()).map(|target| self.first_age(target).unwrap_or(Duration::MAX)).max();
        first.unwrap_or_default().as_secs_f64() / POLL_INTERVAL.as_secs_f64()
    }

    /// When a target got its first age.
    pub fn first_age(&self, target: usize) -> Option<Duration> {
        let polled = self.polled.lock().unwrap();
        polled.iter().find(|polled| polled.target == target && polled.age.is_ok()).map(|polled| polled.at)
    }

    /// How many readings failed so far.
    pub fn failed_readings(&self) -> u64 {
        self.sampler.view().iter().flat_map(|view| view.errors.by_kind()).map(|(_, count)| count).sum()
    }

    /// How many polls got an error after the first age of their target; the first one is printed. Polls before that wait for 2.5 s
    /// at most, whatever the reading takes.
    pub fn failed_polls(&self) -> usize {
        let first: Vec<_> = (0..self.tasks.len()).map(|target| self.first_age(target)).collect();
        let polled = self.polled();
        let late = polled.iter().filter(|polled| first[polled.target].is_some_and(|first| polled.at > first));
        let failed: Vec<_> = late.filter_map(|polled| Some((polled, polled.age.as_ref().err()?))).collect();
        if let Some((polled, error)) = failed.first() {
            println!("target {} after {:.1} s: {error}", polled.target, polled.at.as_secs_f64());
        }
        failed.len()
    }

    /// Both.
    pub fn errors(&self) -> f64 {
        self.failed_readings() as f64 + self.failed_polls() as f64
    }
}

impl Drop for Polls {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn age(observation: &Observation) -> Duration {
    match observation {
        Observation::Application(application) => application.survey.age(),
        other => panic!("{other:?}"),
    }
}

fn permissive() -> Connections {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
    Connections::read(file.path()).unwrap()
}
