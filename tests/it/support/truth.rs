//! How far behind a real consumer is: what the scaler says, and what is true.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::types::ScalingType;
use aws_smithy_types::Blob;
use keda_stream_scaler::lag::{Observation, Observe as _};
use keda_stream_scaler::source::{Connections, Sources};
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep, sleep_until};

use super::aws_services::{Clients, Consumer, aws_services};

const SECOND: Duration = Duration::from_secs(1);
/// A consumer that takes this long for a record, and writes a checkpoint every ten.
pub const RECORD_TAKES: Duration = Duration::from_millis(200);
pub const CHECKPOINTS_APART: Duration = Duration::from_secs(2);
/// Checkpoints are shared for a second, and shards are read once a second.
pub const ROUND: Duration = Duration::from_millis(1200);

/// What the scaler says of one trigger, round by round.
pub struct Scaler {
    sources: Sources,
    trigger: Trigger,
}

impl Scaler {
    pub async fn new(source: &str, more: &[(&str, &str)]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
        let sources = Sources::new(Connections::read(file.path()).unwrap(), UpstreamMetrics::default());
        let endpoint = aws_services().endpoint().await;
        let base = [
            ("source", source),
            ("awsRegion", "us-east-1"),
            ("awsEndpoint", &endpoint),
            ("awsAccessKeyIDFromEnv", "test"),
            ("awsSecretAccessKeyFromEnv", "test"),
        ];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let trigger = Trigger::parse(&all.collect::<HashMap<_, _>>()).unwrap();
        Self { sources, trigger }
    }

    pub async fn observe(&self) -> Observation {
        let source = Arc::new(self.trigger.source.clone());
        let backend = self.sources.admit("shop", &source).unwrap();
        let outcome = Arc::new(Mutex::new(None));
        let into = outcome.clone();
        let report = Arc::new(move |_: &_, observed| *into.lock().unwrap() = Some(observed));
        self.sources.observe(&backend, vec![source], report).await;
        let outcome = outcome.lock().unwrap().take();
        outcome.expect("the source is reported").unwrap()
    }

    pub async fn age(&self) -> Duration {
        match self.observe().await {
            Observation::Application(application) => application.survey.age(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn open_shards(&self) -> u64 {
        match self.observe().await {
            Observation::Shards(shards) => shards.open,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nothing is unread.
    pub async fn wait_until_caught_up(&self) {
        let begun = Instant::now();
        while self.age().await > Duration::ZERO {
            assert!(begun.elapsed() < SECOND * 60, "{:?}", self.observe().await);
            sleep(ROUND).await;
        }
    }
}

/// An age and what it should be. While the scaler reads, the truth moves.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    pub ours: Duration,
    least: Duration,
    most: Duration,
}

impl Compared {
    /// The nearest that is true.
    pub fn truth(&self) -> Duration {
        self.ours.clamp(self.least, self.most)
    }

    /// By how much less than the truth is said.
    pub const fn below(&self) -> Duration {
        self.least.saturating_sub(self.ours)
    }

    /// By how much more.
    pub const fn above(&self) -> Duration {
        self.ours.saturating_sub(self.most)
    }
}

/// What was put, and when: the truth is told by this and by the consumer's own log.
pub struct Truth {
    pub clients: Clients,
    stream: String,
    /// Each record's number, and between which moments it arrived.
    put: Vec<(String, Instant, Instant)>,
}

impl Truth {
    pub async fn new(stream: &str, shards: i32) -> Self {
        let clients = aws_services().clients().await;
        clients.kinesis.create_stream().stream_name(stream).shard_count(shards).send().await.unwrap();
        let truth = Self { clients, stream: stream.to_owned(), put: Vec::new() };
        truth.wait_until_active().await;
        truth
    }

    async fn wait_until_active(&self) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < SECOND * 20, "the stream does not become active");
            let answer = self.clients.kinesis.describe_stream_summary().stream_name(&self.stream).send().await.unwrap();
            if answer.stream_description_summary.unwrap().stream_status.as_str() == "ACTIVE" {
                return;
            }
            sleep(SECOND / 20).await;
        }
    }

    pub async fn put(&mut self, count: usize) {
        for _ in 0..count {
            let key = format!("key-{}", self.put.len());
            let at = Instant::now();
            let request = self.clients.kinesis.put_record().stream_name(&self.stream).partition_key(key);
            let answer = request.data(Blob::new("a record")).send().await.unwrap();
            self.put.push((answer.sequence_number, at, Instant::now()));
        }
    }

    /// As many shards as that, from now on.
    pub async fn reshard(&self, shards: i32) {
        let update = self.clients.kinesis.update_shard_count().stream_name(&self.stream).target_shard_count(shards);
        update.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        self.wait_until_active().await;
    }

    /// Puts so many records a second, and compares after each round.
    pub async fn follow(
        &mut self,
        (scaler, consumers): (&Scaler, &[&Consumer]),
        rounds: u32,
        per_second: u32,
    ) -> Vec<Compared> {
        let mut compared = Vec::new();
        for _ in 0..rounds {
            let begun = Instant::now();
            let mut next = begun;
            while per_second > 0 && begun.elapsed() < ROUND {
                self.put(1).await;
                next += SECOND / per_second;
                sleep_until(next).await;
            }
            sleep_until(begun + ROUND).await;
            compared.push(self.compare(scaler, consumers).await);
        }
        compared
    }

    /// Compares round by round until the consumers have done everything.
    pub async fn follow_to_the_end(&mut self, scaler: &Scaler, consumers: &[&Consumer]) -> Vec<Compared> {
        let (begun, mut compared) = (Instant::now(), Vec::new());
        while !self.oldest_undone(consumers).is_zero() {
            assert!(begun.elapsed() < SECOND * 90, "not everything was done: {compared:?}");
            compared.extend(self.follow((scaler, consumers), 1, 0).await);
        }
        // what was done last has yet to be checkpointed and read, and until then the whole age stands: its end is waited for
        compared.retain(|compared| !compared.most.is_zero());
        compared
    }

    /// What the scaler says now, and what is true.
    pub async fn compare(&self, scaler: &Scaler, consumers: &[&Consumer]) -> Compared {
        let before = self.bounds(consumers);
        let ours = scaler.age().await;
        let after = self.bounds(consumers);
        Compared { ours, least: before.0.min(after.0), most: before.1.max(after.1) }
    }

    /// How long ago, at most, the oldest record arrived that no consumer has done.
    pub fn oldest_undone(&self, consumers: &[&Consumer]) -> Duration {
        self.bounds(consumers).1
    }

    /// The same, at least and at most: a record arrives after it was sent and before that is answered.
    fn bounds(&self, consumers: &[&Consumer]) -> (Duration, Duration) {
        let done: Vec<_> = consumers.iter().flat_map(|consumer| consumer.events("done")).collect();
        let numbers: HashSet<_> = done.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let mut undone = self.put.iter().filter(|(number, ..)| !numbers.contains(number.as_str()));
        let Some((_, sent, answered)) = undone.next() else { return (Duration::ZERO, Duration::ZERO) };
        (answered.elapsed(), sent.elapsed())
    }
}
