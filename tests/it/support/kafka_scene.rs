//! A topic and a group of one test. Each number that the scaler reads of them is compared with two other clients: Kafka's own
//! command and librdkafka.

use std::collections::HashMap;
use std::time::Duration;

use keda_stream_scaler::sampler::{Answer, PartitionRow, Rows};
use keda_stream_scaler::scaling::Decision;
use keda_stream_scaler::trigger::{Compat, IsolationLevel, Policy, SourceRef, Trigger};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep};

use super::driver::{Driver, WITHIN};
use super::kafka::{KafkaCluster, Version, one_node_of, unique};
use super::observer::{Observer, activity, judge, trigger};

/// A broker, and a topic and a group that no other test uses.
pub struct Scene {
    pub cluster: &'static KafkaCluster,
    pub driver: Driver,
    pub topic: String,
    pub group: String,
}

/// A partition as Kafka's own command shows it.
#[derive(Debug)]
pub struct CommandRow {
    pub committed: Option<i64>,
    pub end: Option<i64>,
    pub lag: Option<i64>,
    /// The client id of the member that the partition is assigned to.
    pub owner: Option<String>,
}

impl Scene {
    pub async fn new(version: Version, partitions: i32) -> Self {
        let cluster = one_node_of(version);
        let driver = Driver::new(cluster.bootstrap_servers());
        let scene = Self { cluster, driver, topic: unique("orders"), group: unique("order-service") };
        // a broker that has just started has neither a controller nor coordinators, and answers so for a moment
        let client: BaseConsumer = scene.driver.client(&[("group.id", &scene.group)]);
        let mut first = TopicPartitionList::new();
        first.add_partition(&scene.topic, 0);
        let begun = Instant::now();
        while let Err(error) = client.committed_offsets(first.clone(), WITHIN) {
            let starting = [NotCoordinator, CoordinatorNotAvailable, CoordinatorLoadInProgress].map(Some);
            assert!(starting.contains(&error.rdkafka_error_code()) && begun.elapsed() < WITHIN, "{error}");
            sleep(Duration::from_millis(100)).await;
        }
        scene.driver.create_topic(&scene.topic, partitions, 1, &[]).await;
        scene
    }

    pub fn trigger(&self, changes: &[(&str, &str)]) -> Trigger {
        let servers = self.cluster.bootstrap_servers();
        let mut metadata =
            vec![("bootstrapServers", servers.as_str()), ("consumerGroup", &self.group), ("topic", &self.topic)];
        metadata.extend(changes);
        trigger(&metadata)
    }

    /// Commits offsets of several partitions of the topic.
    pub fn commit(&self, offsets: &[(i32, i64)]) {
        let offsets: Vec<_> =
            offsets.iter().map(|(partition, offset)| (self.topic.as_str(), *partition, *offset)).collect();
        self.driver.commit(&self.group, &offsets);
    }

    /// Compares the newest reading with the other clients, and returns its lag.
    pub async fn lag(&self, observer: &Observer, trigger: &Trigger) -> i64 {
        activity(&self.decision(observer, trigger).await)
    }

    /// Waits for a lag, and compares the reading that shows it.
    pub async fn until_lag(&self, observer: &Observer, trigger: &Trigger, expected: i64) -> Decision {
        observer.until_lag(trigger, expected).await;
        let decision = self.decision(observer, trigger).await;
        assert_eq!(activity(&decision), expected);
        decision
    }

    /// Compares the newest reading, and returns what KEDA would get.
    pub async fn decision(&self, observer: &Observer, trigger: &Trigger) -> Decision {
        let answer = observer.answer(trigger).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        let decision = judge(trigger, &answer);
        if let Some(lag) = self.compare(trigger, &answer) {
            assert_eq!(activity(&decision), lag, "by Kafka's command");
        }
        decision
    }

    /// Compares each row of a reading, and returns the lag by Kafka's command where that shows it for each of them.
    pub fn compare(&self, trigger: &Trigger, answer: &Answer) -> Option<i64> {
        let SourceRef::Kafka(source) = &trigger.source else { panic!("a Kafka source") };
        let strict = matches!(&trigger.policy, Policy::Lag(policy) if policy.compat == Compat::Strict);
        let Rows::Partitions { partitions: rows } = Rows::of(&answer.sample) else { panic!("no partitions") };
        let librdkafka = self.by_librdkafka(&rows, source.isolation);
        let command = command_rows(self.cluster, &[&self.group]);
        let lags = rows.iter().zip(librdkafka).map(|(row, librdkafka)| {
            let [committed, start, end] =
                [row.committed, Some(row.start), Some(row.end)].map(|offset| offset.map(u64::cast_signed));
            assert_eq!([committed, start, end], librdkafka, "{row}: by librdkafka");
            let command = command.get(&(self.group.clone(), row.topic.clone(), row.partition));
            assert_eq!(committed, command.and_then(|command| command.committed), "{row}: by Kafka's command");
            if row.owner.is_some() {
                assert_eq!(row.owner, command.and_then(|command| command.owner.clone()), "{row}: by Kafka's command");
            }
            if source.isolation == IsolationLevel::ReadCommitted {
                // Kafka's command reads to the end of the log
                return None;
            }
            let (lag, deleted) = (command?.lag?, (start? - committed?).max(0));
            assert_eq!(end, command?.end, "{row}: by Kafka's command");
            assert_eq!(row.records_behind.map(u64::cast_signed), Some(lag - deleted), "{row}: by Kafka's command");
            Some(if strict { lag } else { lag - deleted })
        });
        lags.collect::<Vec<_>>().into_iter().sum()
    }

    /// Reads committed offset, start and end of each row's partition.
    fn by_librdkafka(&self, rows: &[PartitionRow], isolation: IsolationLevel) -> Vec<[Option<i64>; 3]> {
        let isolation = match isolation {
            IsolationLevel::ReadCommitted => "read_committed",
            IsolationLevel::ReadUncommitted => "read_uncommitted",
        };
        let client: BaseConsumer = self.driver.client(&[("group.id", &self.group), ("isolation.level", isolation)]);
        let mut partitions = TopicPartitionList::new();
        for row in rows {
            partitions.add_partition(&row.topic, row.partition.cast_signed());
        }
        let committed = client.committed_offsets(partitions, WITHIN).unwrap();
        let offsets = committed.elements().into_iter().map(|partition| {
            partition.error().unwrap();
            let committed = match partition.offset() {
                Offset::Offset(offset) => Some(offset),
                Offset::Invalid => None,
                other => panic!("{other:?}"),
            };
            let (start, end) = client.fetch_watermarks(partition.topic(), partition.partition(), WITHIN).unwrap();
            [committed, Some(start), Some(end)]
        });
        offsets.collect()
    }
}

/// Runs Kafka's own command, and returns its rows by group, topic and partition.
pub fn command_rows(cluster: &KafkaCluster, groups: &[&str]) -> HashMap<(String, String, u32), CommandRow> {
    let mut arguments = vec!["--describe"];
    arguments.extend(groups.iter().flat_map(|group| ["--group", group]));
    cluster.consumer_groups(&arguments).lines().filter_map(command_row).collect()
}

/// Parses a line of its output; headings are no rows.
fn command_row(line: &str) -> Option<((String, String, u32), CommandRow)> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let [group, topic, partition, committed, end, lag, _, _, owner] = columns[..] else { return None };
    let key = (group.to_owned(), topic.to_owned(), partition.parse().ok()?);
    let number = |column: &str| (column != "-").then(|| column.parse().unwrap());
    let owner = (owner != "-").then(|| owner.to_owned());
    Some((key, CommandRow { committed: number(committed), end: number(end), lag: number(lag), owner }))
}
