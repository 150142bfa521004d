//! The lag of real groups of a real broker. What depends on the broker's version is in `kafka_versions`.

use keda_stream_scaler::lag::SourceErrorKind;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use crate::support::driver::WITHIN;
use crate::support::kafka::{Version, one_node, unique};
use crate::support::kafka_scene::Scene;
use crate::support::observer::{Observer, activity};

#[tokio::test]
async fn a_partition_that_is_added_counts_soon() {
    let scene = Scene::new(Version::V4_3, 1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest")]);
    scene.driver.produce(&scene.topic, 0, 5);
    scene.commit(&[(0, 5)]);
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &trigger).await, 0);
    scene.driver.add_partitions(&scene.topic, 3).await;
    scene.driver.produce(&scene.topic, 2, 7);
    scene.until_lag(&observer, &trigger, 7).await;
}

#[tokio::test]
async fn only_the_limited_partitions_count() {
    let scene = Scene::new(Version::V4_3, 4).await;
    for partition in 0..4 {
        scene.driver.produce(&scene.topic, partition, 10);
    }
    scene.commit(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &scene.trigger(&[("partitionLimitation", "1-2")])).await, 20);
    let capped = scene.trigger(&[("allowIdleConsumers", "false"), ("lagThreshold", "3")]);
    let decision = scene.decision(&observer, &capped).await;
    assert_eq!((decision.value.ceil(), activity(&decision)), (12, 40));
}

#[tokio::test]
async fn several_topics_add_up_and_an_absent_one_is_an_error_but_for_strict_apache_kafka() {
    let scene = Scene::new(Version::V4_3, 1).await;
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
    assert_eq!(scene.lag(&observer, &several(&both, "fixed")).await, 20);
    let absent = unique("absent");
    let with_absent = format!("{both},{absent}");
    assert_eq!(scene.lag(&observer, &several(&with_absent, "strict")).await, 20);
    let error = observer.decision(&several(&with_absent, "fixed")).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing, "{}", error.chain());
    assert!(error.chain().contains(&absent), "{}", error.chain());
}

#[tokio::test]
async fn a_topic_that_a_member_was_given_counts_before_its_first_commit() {
    for protocol in ["classic", "consumer"] {
        let scene = Scene::new(Version::V4_3, 1).await;
        scene.driver.produce(&scene.topic, 0, 10);
        let member = scene.driver.join(&scene.group, &scene.topic, protocol);
        let observer = Observer::new();
        let all = scene.trigger(&[("topic", ""), ("offsetResetPolicy", "earliest")]);
        scene.until_lag(&observer, &all, 10).await;
        read(&member, 4);
        member.commit_consumer_state(CommitMode::Sync).unwrap();
        scene.until_lag(&observer, &all, 6).await;
        drop(member);
        assert_eq!(
            scene.lag(&observer, &scene.trigger(&[])).await,
            6,
            "a group without members is the case of zero replicas"
        );
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

#[tokio::test]
async fn the_port_of_a_controller_is_reported_as_that_and_not_as_an_old_broker() {
    let scene = Scene::new(Version::V4_3, 1).await;
    let trigger = scene.trigger(&[("bootstrapServers", &one_node().controller())]);
    let error = Observer::new().decision(&trigger).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unreachable, "{}", error.chain());
    let text = error.chain();
    assert!(text.contains("a controller of the cluster listens there") && text.contains("bootstrapServers"), "{text}");
}
