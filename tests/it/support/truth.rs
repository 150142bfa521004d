//! How far behind a real consumer is: what the scaler says, and what is true.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_kinesis::types::ScalingType;
use aws_smithy_types::Blob;
use tokio::time::{Instant, sleep, sleep_until};

use super::aws_services::{Clients, Consumer, aws_services};
use super::scaler::{Scaler, age_of};

const SECOND: Duration = Duration::from_secs(1);
/// A consumer that takes this long for a record, and writes a checkpoint every ten.
pub const RECORD_TAKES: Duration = Duration::from_millis(200);
pub const CHECKPOINTS_APART: Duration = Duration::from_secs(2);
/// Checkpoints are shared for a second, and shards are read once a second.
pub const ROUND: Duration = Duration::from_millis(1200);

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

/// An application, and what the scaler and its consumers report about it.
pub struct Application<'a> {
    pub scaler: &'a Scaler,
    pub consumers: Vec<&'a Consumer>,
    /// The application started behind this many records, and never reads them.
    pub skipped: usize,
}

/// Records that a test has put.
pub trait Records {
    async fn put(&mut self, count: usize);

    /// How long ago the oldest record arrived that an application had not processed by `then`, at least and at most.
    fn unread(&self, consumers: &[&Consumer], skipped: usize, then: Instant) -> (Duration, Duration);

    /// What the scaler says of each application in one round, and what is true. A checkpoint is written and read within `written`:
    /// until then a record that was processed may count as unread.
    async fn compare_all(&self, applications: &[&Application<'_>], written: Duration) -> Vec<Compared> {
        let bounds =
            |application: &&Application<'_>, then| self.unread(&application.consumers, application.skipped, then);
        let begun = Instant::now();
        let before: Vec<_> = applications.iter().map(|application| bounds(application, begun).0).collect();
        let scalers: Vec<_> = applications.iter().map(|application| application.scaler).collect();
        let outcomes = Scaler::observe_together(&scalers).await;
        let compared = applications.iter().zip(before).zip(outcomes).map(|((application, before), outcome)| {
            let ours = age_of(&outcome.unwrap_or_else(|error| panic!("{}", error.chain())));
            let (after, most) = (bounds(application, Instant::now()).0, bounds(application, begun - written).1);
            Compared { ours, least: before.min(after), most }
        });
        compared.collect()
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

    /// Splits one shard in the middle of its hash keys.
    pub async fn split(&self, shard: &str) {
        let shards = self.clients.kinesis.list_shards().stream_name(&self.stream).send().await.unwrap().shards.unwrap();
        let range = shards.into_iter().find(|one| one.shard_id == shard).unwrap().hash_key_range.unwrap();
        let [from, to] = [&range.starting_hash_key, &range.ending_hash_key].map(|key| key.parse::<u128>().unwrap());
        let middle = (from + (to - from) / 2).to_string();
        let split = self.clients.kinesis.split_shard().stream_name(&self.stream).shard_to_split(shard);
        split.new_starting_hash_key(middle).send().await.unwrap();
        self.wait_until_active().await;
    }

    /// Merges two adjacent shards.
    pub async fn merge(&self, one: &str, other: &str) {
        let merge = self.clients.kinesis.merge_shards().stream_name(&self.stream).shard_to_merge(one);
        merge.adjacent_shard_to_merge(other).send().await.unwrap();
        self.wait_until_active().await;
    }

    /// Deletes the stream and creates it again under its name; what was put is gone.
    pub async fn recreate(&mut self, shards: i32) {
        let clients = &self.clients.kinesis;
        clients.delete_stream().stream_name(&self.stream).send().await.unwrap();
        let begun = Instant::now();
        while clients.describe_stream_summary().stream_name(&self.stream).send().await.is_ok() {
            assert!(begun.elapsed() < SECOND * 20, "the stream is not deleted");
            sleep(SECOND / 10).await;
        }
        clients.create_stream().stream_name(&self.stream).shard_count(shards).send().await.unwrap();
        self.wait_until_active().await;
        self.put.clear();
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
        let before = self.unread(consumers, 0, Instant::now());
        let ours = scaler.age().await;
        let after = self.unread(consumers, 0, Instant::now());
        Compared { ours, least: before.0.min(after.0), most: before.1.max(after.1) }
    }

    /// The records that were put.
    pub fn len(&self) -> usize {
        self.put.len()
    }

    /// How long ago, at most, the oldest record arrived that no consumer has done.
    pub fn oldest_undone(&self, consumers: &[&Consumer]) -> Duration {
        self.unread(consumers, 0, Instant::now()).1
    }
}

impl Records for Truth {
    async fn put(&mut self, count: usize) {
        for _ in 0..count {
            let key = format!("key-{}", self.put.len());
            let at = Instant::now();
            let request = self.clients.kinesis.put_record().stream_name(&self.stream).partition_key(key);
            let answer = request.data(Blob::new([b'x'; 1000])).send().await.unwrap();
            self.put.push((answer.sequence_number, at, Instant::now()));
        }
    }

    /// A record arrives after it was sent and before that is answered.
    fn unread(&self, consumers: &[&Consumer], skipped: usize, then: Instant) -> (Duration, Duration) {
        let done = processed(consumers, then);
        let mut undone = self.put.iter().skip(skipped).filter(|(number, ..)| !done.contains(number));
        let Some((_, sent, answered)) = undone.next() else { return (Duration::ZERO, Duration::ZERO) };
        (answered.elapsed(), sent.elapsed())
    }
}

/// The sequence numbers of the records that were processed by `then`.
pub fn processed(consumers: &[&Consumer], then: Instant) -> HashSet<String> {
    let done = consumers.iter().flat_map(|consumer| consumer.events_by("done", then));
    done.filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect()
}
