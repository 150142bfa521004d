//! The lag of real groups of a real broker.

use keda_stream_scaler::lag::{LagBasis, SourceErrorKind};
use keda_stream_scaler::scaling::Step;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::Producer as _;

use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{KafkaCluster, one_node, unique};
use crate::support::observer::{Observer, activity, trigger};

/// A cluster, with a topic and a group of the test's own.
struct Scene {
    cluster: &'static KafkaCluster,
    driver: Driver,
    servers: String,
    topic: String,
    group: String,
}

impl Scene {
    async fn new(partitions: i32) -> Self {
        let cluster = one_node();
        let servers = cluster.bootstrap_servers();
        let scene = Self {
            cluster,
            driver: Driver::new(&servers),
            servers,
            topic: unique("orders"),
            group: unique("order-service"),
        };
        scene.driver.create_topic(&scene.topic, partitions, 1, &[]).await;
        scene
    }

    fn trigger(&self, changes: &[(&str, &str)]) -> keda_stream_scaler::trigger::Trigger {
        let mut metadata =
            vec![("bootstrapServers", self.servers.as_str()), ("consumerGroup", &self.group), ("topic", &self.topic)];
        metadata.extend(changes);
        trigger(&metadata)
    }

    /// Commits of several partitions of the topic.
    fn commit(&self, offsets: &[(i32, i64)]) {
        let offsets: Vec<_> =
            offsets.iter().map(|(partition, offset)| (self.topic.as_str(), *partition, *offset)).collect();
        self.driver.commit(&self.group, &offsets);
    }

    /// The lag by Kafka's own command.
    fn lag_by_kafka(&self) -> i64 {
        let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let text = self.cluster.command(class, &["--describe", "--group", &self.group]);
        let rows = text.lines().filter(|line| line.starts_with(&self.group));
        rows.map(|line| line.split_whitespace().nth(5).unwrap().parse::<i64>().unwrap()).sum()
    }
}

#[tokio::test]
async fn the_lag_is_what_kafkas_own_command_says() {
    let scene = Scene::new(3).await;
    for (partition, count) in [(0, 10), (1, 20), (2, 30)] {
        scene.driver.produce(&scene.topic, partition, count);
    }
    scene.commit(&[(0, 10), (1, 5), (2, 1)]);
    let lag = Observer::new().lag(&scene.trigger(&[])).await;
    assert_eq!(lag, 44);
    assert_eq!(scene.lag_by_kafka(), lag);
}

#[tokio::test]
async fn a_group_that_nobody_has_seen_counts_by_the_reset_policy() {
    let scene = Scene::new(2).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.driver.delete_records(&scene.topic, 0, 4).await;
    let observer = Observer::new();
    assert_eq!(observer.lag(&scene.trigger(&[])).await, 2, "1 a partition, so that a consumer is started");
    assert_eq!(observer.lag(&scene.trigger(&[("offsetResetPolicy", "earliest")])).await, 6);
    assert_eq!(observer.lag(&scene.trigger(&[("scaleToZeroOnInvalidOffset", "true")])).await, 0);
}

#[tokio::test]
async fn retention_past_the_commit_counts_from_the_log_start_and_is_reported_as_loss() {
    let scene = Scene::new(1).await;
    scene.driver.produce(&scene.topic, 0, 100);
    scene.commit(&[(0, 40)]);
    scene.driver.delete_records(&scene.topic, 0, 80).await;
    let observer = Observer::new();
    let decision = observer.decision(&scene.trigger(&[])).await.unwrap();
    assert_eq!(activity(&decision), 20);
    assert!(decision.steps.contains(&Step::Unusual { basis: LagBasis::LogStart { lost: 40 }, partitions: 1 }));
    assert_eq!(observer.lag(&scene.trigger(&[("compat", "strict")])).await, 60, "KEDA counts deleted records");
}

#[tokio::test]
async fn a_topic_that_is_deleted_is_an_error_and_a_recreated_one_has_commits_of_its_own() {
    let scene = Scene::new(1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest"), ("maxStaleness", "4s")]);
    scene.driver.produce(&scene.topic, 0, 50);
    scene.commit(&[(0, 30)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 20);

    scene.driver.delete_topic(&scene.topic).await;
    let begun = tokio::time::Instant::now();
    let error = loop {
        match observer.decision(&trigger).await {
            Ok(_) => assert!(begun.elapsed() < WITHIN, "a deleted topic is still answered for"),
            Err(error) => break error,
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(error.kind(), SourceErrorKind::Missing, "{}", error.chain());

    scene.driver.create_topic(&scene.topic, 1, 1, &[]).await;
    scene.driver.produce(&scene.topic, 0, 35);
    let decision = observer.until_lag(&trigger, 35).await;
    assert!(decision.steps.contains(&Step::Unusual { basis: LagBasis::NoCommit, partitions: 1 }), "{decision:?}");
    scene.commit(&[(0, 30)]);
    observer.until_lag(&trigger, 5).await;
}

#[tokio::test]
async fn offsets_that_are_gone_count_by_the_reset_policy() {
    let scene = Scene::new(1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest")]);
    scene.driver.produce(&scene.topic, 0, 50);
    scene.commit(&[(0, 30)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 20);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &scene.servers).create().unwrap();
    admin.delete_groups(&[&scene.group], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    observer.until_lag(&trigger, 50).await;
}

#[tokio::test]
async fn a_partition_that_is_added_counts_soon() {
    let scene = Scene::new(1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest")]);
    scene.driver.produce(&scene.topic, 0, 5);
    scene.commit(&[(0, 5)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 0);
    scene.driver.add_partitions(&scene.topic, 3).await;
    scene.driver.produce(&scene.topic, 2, 7);
    observer.until_lag(&trigger, 7).await;
}

#[tokio::test]
async fn an_open_transaction_counts_up_to_the_end_that_the_trigger_reads() {
    let scene = Scene::new(1).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.commit(&[(0, 4)]);
    let producer = scene.driver.open_transaction(&scene.topic, 0, 7);
    let observer = Observer::new();
    assert_eq!(observer.lag(&scene.trigger(&[])).await, 13);
    let committed = scene.trigger(&[("isolationLevel", "readCommitted")]);
    assert_eq!(observer.lag(&committed).await, 6);
    producer.commit_transaction(WITHIN).unwrap();
    observer.until_lag(&committed, 14).await;
}

#[tokio::test]
async fn only_the_limited_partitions_count() {
    let scene = Scene::new(4).await;
    for partition in 0..4 {
        scene.driver.produce(&scene.topic, partition, 10);
    }
    scene.commit(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&scene.trigger(&[("partitionLimitation", "1-2")])).await, 20);
    let capped = scene.trigger(&[("allowIdleConsumers", "false"), ("lagThreshold", "3")]);
    let decision = observer.decision(&capped).await.unwrap();
    assert_eq!((decision.value.ceil(), activity(&decision)), (12, 40));
}

#[tokio::test]
async fn several_topics_add_up_and_an_absent_one_is_an_error_but_for_strict_apache_kafka() {
    let scene = Scene::new(1).await;
    let second = unique("payments");
    scene.driver.create_topic(&second, 1, 1, &[]).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.driver.produce(&second, 0, 20);
    scene.driver.commit(&scene.group, &[(&scene.topic, 0, 5), (&second, 0, 5)]);
    let observer = Observer::new();
    let both = format!("{},{second}", scene.topic);
    let several = |topics: &str, compat: &str| {
        scene.trigger(&[("source", "apache-kafka"), ("topic", topics), ("compat", compat)])
    };
    assert_eq!(observer.lag(&several(&both, "fixed")).await, 20);
    let absent = unique("absent");
    let with_absent = format!("{both},{absent}");
    assert_eq!(observer.lag(&several(&with_absent, "strict")).await, 20);
    let error = observer.decision(&several(&with_absent, "fixed")).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing, "{}", error.chain());
    assert!(error.chain().contains(&absent), "{}", error.chain());
}

#[tokio::test]
async fn asking_for_a_topic_never_makes_it() {
    let scene = Scene::new(1).await;
    let absent = unique("never-made");
    let observer = Observer::new();
    for compat in ["fixed", "strict"] {
        let trigger = scene.trigger(&[("topic", &absent), ("compat", compat)]);
        assert_eq!(observer.decision(&trigger).await.unwrap_err().kind(), SourceErrorKind::Missing);
    }
    let topics = scene.cluster.command("org.apache.kafka.tools.TopicCommand", &["--list"]);
    assert!(topics.contains(&scene.topic) && !topics.contains(&absent), "{topics}");
}

#[tokio::test]
async fn without_a_topic_all_topics_of_the_group_count() {
    let scene = Scene::new(1).await;
    let second = unique("payments");
    scene.driver.create_topic(&second, 2, 1, &[]).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.driver.produce(&second, 1, 20);
    let all = scene.trigger(&[("topic", "")]);
    let observer = Observer::new();
    let error = observer.decision(&all).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing);
    assert!(error.chain().ends_with("name them with topic"), "{}", error.chain());
    scene.driver.commit(&scene.group, &[(&scene.topic, 0, 4), (&second, 1, 5)]);
    // 1 for the other partition of the second topic, which has no commit
    observer.until_lag(&all, 6 + 15 + 1).await;
}

#[tokio::test]
async fn a_topic_that_a_member_was_given_counts_before_its_first_commit() {
    for protocol in ["classic", "consumer"] {
        let scene = Scene::new(1).await;
        scene.driver.produce(&scene.topic, 0, 10);
        let member = scene.driver.join(&scene.group, &scene.topic, protocol);
        let observer = Observer::new();
        let all = scene.trigger(&[("topic", ""), ("offsetResetPolicy", "earliest")]);
        observer.until_lag(&all, 10).await;
        read(&member, 4);
        member.commit_consumer_state(CommitMode::Sync).unwrap();
        observer.until_lag(&all, 6).await;
        drop(member);
        assert_eq!(observer.lag(&scene.trigger(&[])).await, 6, "a group without members is the case of zero replicas");
    }
}

/// Reads so many records, which then count as processed.
fn read(member: &BaseConsumer, records: usize) {
    let begun = tokio::time::Instant::now();
    let mut read = 0;
    while read < records {
        assert!(begun.elapsed() < WITHIN, "the records did not come");
        if let Some(record) = member.poll(std::time::Duration::from_millis(50)) {
            record.unwrap();
            read += 1;
        }
    }
}
