//! Topics and groups on a real broker, of which every right lag is known: the test alone produces and commits.

use std::ops::RangeInclusive;
use std::sync::Mutex;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::committer::{Commit, commit};
use super::driver::{Driver, WITHIN};

/// How many groups there are; each has a number.
pub const GROUPS: i32 = 300;
const TOPICS: i32 = 30;
const PARTITIONS: i32 = 4;
/// Records in each partition at first; no group is further behind there.
const RECORDS: i32 = 100;

/// The topics and groups of one broker. A change is the same for all groups.
pub struct KnownLags {
    pub servers: String,
    producer: BaseProducer,
    produced: Mutex<Vec<Change>>,
    committed: Mutex<Vec<Change>>,
}

/// A change of every lag that has begun, and when the broker had acknowledged it.
struct Change {
    records: i32,
    acknowledged: Option<Instant>,
}

pub fn topic(group: i32) -> String {
    format!("orders-{}", group % TOPICS)
}

/// Another lag for each group.
fn first_lag(group: i32) -> i32 {
    group + 1
}

impl KnownLags {
    pub async fn new(servers: String) -> Self {
        let driver = Driver::new(&servers);
        for number in 0..TOPICS {
            driver.create_topic(&topic(number), PARTITIONS, 1, &[]).await;
        }
        let producer = driver.client(&[("enable.idempotence", "true")]);
        let lags = Self { servers, producer, produced: Mutex::default(), committed: Mutex::default() };
        for partition in 0..PARTITIONS {
            lags.send(partition, RECORDS);
            lags.commit_each(partition, 0).await;
        }
        lags
    }

    /// Adds two records and then commits one more for each group, in one partition of each topic. This needs every leader and
    /// coordinator.
    pub async fn change(&self, number: i32) {
        let partition = number % PARTITIONS;
        begin(&self.produced, 2);
        block_in_place(|| self.send(partition, 2));
        end(&self.produced);
        begin(&self.committed, 1);
        self.commit_each(partition, number / PARTITIONS + 1).await;
        end(&self.committed);
    }

    /// The lags of a group that may have been read since this time.
    pub fn since(&self, group: i32, time: Instant) -> RangeInclusive<i32> {
        let first = first_lag(group);
        let (produced, committed) = (since(&self.produced, time), since(&self.committed, time));
        first + produced.start() - committed.end()..=first + produced.end() - committed.start()
    }

    fn send(&self, partition: i32, records: i32) {
        for topic in (0..TOPICS).map(topic) {
            for _ in 0..records {
                let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).partition(partition).payload("a record");
                self.producer.send(record).map_err(|(error, _)| error).unwrap();
            }
        }
        self.producer.flush(WITHIN).unwrap();
    }

    /// Commits for each group in one partition, after so many changes of it.
    async fn commit_each(&self, partition: i32, changes: i32) {
        let commits = (0..GROUPS).map(|group| {
            let behind = (first_lag(group) + partition) / PARTITIONS;
            let offset = i64::from(RECORDS + changes - behind);
            Commit { group: group.to_string(), topic: topic(group), partition, offset }
        });
        commit(&self.servers, commits.collect()).await;
    }
}

fn begin(changes: &Mutex<Vec<Change>>, records: i32) {
    changes.lock().unwrap().push(Change { records, acknowledged: None });
}

fn end(changes: &Mutex<Vec<Change>>) {
    changes.lock().unwrap().last_mut().unwrap().acknowledged = Some(Instant::now());
}

/// The records of all changes that had happened by this time, and of those that have happened since.
fn since(changes: &Mutex<Vec<Change>>, time: Instant) -> RangeInclusive<i32> {
    let changes = changes.lock().unwrap();
    let before = changes.iter().filter(|change| change.acknowledged.is_some_and(|at| at <= time));
    before.map(|change| change.records).sum()..=changes.iter().map(|change| change.records).sum()
}
