//! Share groups of a real broker, with real share consumers.

use std::time::Duration;

use keda_stream_scaler::lag::SourceErrorKind;
use keda_stream_scaler::sampler::Rows;
use keda_stream_scaler::scaling::Step;
use keda_stream_scaler::trigger::Trigger;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::{Instant, sleep};

use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{KafkaCluster, one_node, unique};
use crate::support::observer::{Observer, activity};
use crate::support::share_workers::ShareWorkers;

const SHARE_GROUPS: &str = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";

/// A topic of three partitions, and a share group that reads it from the beginning.
struct Scene {
    cluster: &'static KafkaCluster,
    driver: Driver,
    topic: String,
    group: String,
}

impl Scene {
    async fn new() -> Self {
        let cluster = one_node();
        let driver = Driver::new(cluster.bootstrap_servers());
        let scene = Self { cluster, driver, topic: unique("jobs"), group: unique("workers") };
        scene.driver.create_topic(&scene.topic, 3, 1, &[]).await;
        let configs = ["--alter", "--entity-type", "groups", "--entity-name", &scene.group];
        let earliest = ["--add-config", "share.auto.offset.reset=earliest"];
        cluster.command("kafka.admin.ConfigCommand", &[&configs[..], &earliest].concat());
        scene
    }

    fn trigger(&self, changes: &[(&str, &str)]) -> Trigger {
        let servers = self.cluster.bootstrap_servers();
        let mut metadata = vec![
            ("bootstrapServers", servers.as_str()),
            ("consumerGroup", &self.group),
            ("topic", &self.topic),
            ("offsetResetPolicy", "earliest"),
            ("pollInterval", "2s"),
            ("source", "kafka"),
        ];
        metadata.extend(changes);
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Trigger::parse(&metadata.collect()).unwrap()
    }

    fn produce(&self, each: usize) {
        for partition in 0..3 {
            self.driver.produce(&self.topic, partition, each);
        }
    }

    /// The lag of each partition, by Kafka's own command.
    fn lag_by_kafka(&self) -> Vec<i64> {
        let text = self.cluster.command(SHARE_GROUPS, &["--describe", "--offsets", "--group", &self.group]);
        let rows = text.lines().filter(|line| line.starts_with(&self.group));
        rows.map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap()).collect()
    }

    /// Waits for a lag, and compares its reading with Kafka's own command and with librdkafka.
    async fn until_lag(&self, observer: &Observer, trigger: &Trigger, expected: i64) {
        observer.until_lag(trigger, expected).await;
        let answer = observer.answer(trigger).await.unwrap();
        let Rows::Partitions { partitions: rows } = Rows::of(&answer.sample) else { panic!("no partitions") };
        let client: BaseConsumer = self.driver.client(&[]);
        for row in &rows {
            let ends = client.fetch_watermarks(&row.topic, row.partition.cast_signed(), WITHIN).unwrap();
            assert_eq!([row.start, row.end].map(u64::cast_signed), [ends.0, ends.1], "{row}");
        }
        let lags: Vec<_> = rows.iter().map(|row| (row.end - row.committed.unwrap()).cast_signed()).collect();
        assert_eq!(lags, self.lag_by_kafka());
    }
}

#[tokio::test]
async fn three_partitions_are_drained_by_eight_share_consumers() {
    let scene = Scene::new().await;
    scene.produce(300);
    let observer = Observer::new();
    // nothing tells the type of a group that is not there yet
    let (auto, share) = (scene.trigger(&[("lagThreshold", "50")]), scene.trigger(&[("groupType", "share")]));
    for trigger in [&auto, &share] {
        assert_eq!(observer.lag(trigger).await, 900);
    }

    let mut workers = ShareWorkers::start(&scene.cluster.bootstrap_servers(), &scene.group, &scene.topic, 50);
    workers.set(1);
    let begun = Instant::now();
    let mut most = 0;
    loop {
        // auto shows the type within ten seconds of the first consumer's start
        let decision = observer.decision(&auto).await.unwrap();
        let knows = decision.steps.contains(&Step::ShareGroup);
        if activity(&decision) == 0 {
            break;
        }
        if knows {
            let wanted = decision.replicas().clamp(1, 8);
            most = most.max(wanted);
            workers.set(wanted);
        }
        assert!(begun.elapsed() < WITHIN * 4, "{decision:?}, processed {:?}", workers.set(most.max(1)));
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(most, 8, "more than there are partitions");
    assert_eq!(scene.lag_by_kafka(), [0; 3]);
}

#[tokio::test]
async fn the_lag_of_a_share_group_is_what_kafkas_own_command_says() {
    let scene = Scene::new().await;
    let trigger = scene.trigger(&[("groupType", "share")]);
    let observer = Observer::new();
    let mut workers = ShareWorkers::start(&scene.cluster.bootstrap_servers(), &scene.group, &scene.topic, 1);
    workers.set(2);
    scene.produce(20);
    scene.until_lag(&observer, &trigger, 0).await;
    workers.set(0);
    scene.produce(10);
    scene.until_lag(&observer, &trigger, 30).await;
    assert_eq!(scene.lag_by_kafka(), [10; 3]);
    let reset = ["--reset-offsets", "--to-earliest", "--execute", "--all-topics", "--group", &scene.group];
    scene.cluster.command(SHARE_GROUPS, &reset);
    scene.until_lag(&observer, &trigger, 90).await;
    scene.driver.delete_records(&scene.topic, 0, 25).await;
    // starts of logs are not read in each round
    scene.until_lag(&Observer::new(), &trigger, 65).await;
}

#[tokio::test]
async fn a_share_group_is_followed_as_one_queue() {
    let scene = Scene::new().await;
    let observer = Observer::new();
    let trigger = scene.trigger(&[("scaleOn", "catchUp"), ("capacityPerConsumer", "10"), ("maxAge", "60s")]);
    let mut workers = ShareWorkers::start(&scene.cluster.bootstrap_servers(), &scene.group, &scene.topic, 50);
    workers.set(4);
    scene.produce(20);
    let begun = Instant::now();
    let words = loop {
        let decision = observer.decision(&trigger).await.unwrap();
        let words = decision.steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        if decision.steps.contains(&Step::ShareGroup) && words.contains("4 consumers for 3 partitions") {
            break words;
        }
        assert!(begun.elapsed() < WITHIN, "{words}");
        sleep(Duration::from_millis(500)).await;
    };
    let rows = observer.rows(&trigger).await;
    assert!(rows.iter().all(|row| row.contains("every consumer")), "{rows:?}");
    assert!(!words.contains("busiest:") && !words.contains("useful counts"), "{words}");
}

#[tokio::test]
async fn a_consumer_group_is_no_share_group_and_a_share_group_no_consumer_group() {
    let scene = Scene::new().await;
    scene.produce(10);
    let observer = Observer::new();
    scene.driver.commit(&scene.group, &[(&scene.topic, 0, 4), (&scene.topic, 1, 4), (&scene.topic, 2, 4)]);
    assert_eq!(observer.lag(&scene.trigger(&[])).await, 18);
    let error = observer.decision(&scene.trigger(&[("groupType", "share")])).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing);
    assert!(error.chain().contains("it is a consumer group; correct groupType"), "{}", error.chain());

    let scene = Scene::new().await;
    let mut workers = ShareWorkers::start(&scene.cluster.bootstrap_servers(), &scene.group, &scene.topic, 1);
    workers.set(1);
    scene.produce(10);
    observer.until_lag(&scene.trigger(&[]), 0).await;
    let error = observer.decision(&scene.trigger(&[("groupType", "consumer")])).await.unwrap_err();
    assert!(error.chain().contains("it is a share group; correct groupType"), "{}", error.chain());
}
