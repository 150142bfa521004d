//! What producers, consumers and administrators do to a cluster, over the ordinary client library.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::Instant;

/// After this time a test gives up: long after what a starved broker or its client library may take.
pub const WITHIN: Duration = Duration::from_secs(90);

/// Acts on one cluster through its plain listener.
#[derive(Clone)]
pub struct Driver(String);

impl Driver {
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self(bootstrap_servers.into())
    }

    pub fn client<C: FromClientConfig>(&self, properties: &[(&str, &str)]) -> C {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.0).set("log_level", "3");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        config.create().unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[])
    }

    /// Makes a topic, also in place of one that is just being deleted, and waits until its leaders answer.
    pub async fn create_topic(&self, name: &str, partitions: i32, replicas: i32, settings: &[(&str, &str)]) {
        let admin = self.admin();
        let begun = Instant::now();
        loop {
            let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
            for (key, value) in settings {
                topic = topic.set(key, value);
            }
            match admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap().remove(0) {
                Ok(_) => break,
                Err(error) => assert!(begun.elapsed() < WITHIN, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let consumer: BaseConsumer = self.client(&[("group.id", "driver")]);
        for partition in 0..partitions {
            while consumer.fetch_watermarks(name, partition, Duration::from_secs(5)).is_err() {
                assert!(begun.elapsed() < WITHIN, "partition {partition} of {name} has no leader");
            }
        }
    }

    pub async fn delete_topic(&self, name: &str) {
        self.admin().delete_topics(&[name], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    }

    pub async fn add_partitions(&self, name: &str, partitions: usize) {
        let new = NewPartitions::new(name, partitions);
        self.admin().create_partitions(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    }

    /// Deletes the records before `offset`, as retention does.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let list = list(&[(topic, partition, offset)]);
        self.admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    /// Produces `count` records to one partition.
    pub fn produce(&self, topic: &str, partition: i32, count: usize) {
        let producer: BaseProducer = self.client(&[]);
        send(&producer, topic, partition, count);
    }

    /// A producer with a transaction open, in which it has sent `count` records.
    pub fn open_transaction(&self, topic: &str, partition: i32, count: usize) -> BaseProducer {
        let producer: BaseProducer = self.client(&[("transactional.id", topic)]);
        producer.init_transactions(WITHIN).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, topic, partition, count);
        producer
    }

    /// Commits for a group without joining it.
    pub fn commit(&self, group: &str, offsets: &[(&str, i32, i64)]) {
        let consumer: BaseConsumer = self.client(&[("group.id", group), ("enable.auto.commit", "false")]);
        let begun = Instant::now();
        while let Err(error) = consumer.commit(&list(offsets), CommitMode::Sync) {
            // the first commit of a cluster makes the topic that commits are kept in
            assert!(begun.elapsed() < WITHIN, "{error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A member of a group of the given protocol (`classic` or `consumer`), which has been given partitions.
    pub fn join(&self, group: &str, topic: &str, protocol: &str) -> BaseConsumer {
        let consumer: BaseConsumer = self.client(&[
            ("group.id", group),
            ("group.protocol", protocol),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ]);
        consumer.subscribe(&[topic]).unwrap();
        let begun = Instant::now();
        while consumer.assignment().unwrap().count() == 0 {
            assert!(begun.elapsed() < WITHIN, "nothing was given to the member");
            drop(consumer.poll(Duration::from_millis(50)));
        }
        consumer
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, count: usize) {
    for _ in 0..count {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(partition).payload("a record");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(WITHIN).unwrap();
}

fn list(offsets: &[(&str, i32, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
    }
    list
}
