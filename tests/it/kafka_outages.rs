//! Brokers that die, fall silent or hand over, in a real cluster of three.

use std::time::Duration;

use keda_stream_scaler::lag::SourceErrorKind;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{KafkaCluster, three_nodes, unique};
use crate::support::observer::{Observer, activity, trigger};

/// One test at a time may take a broker away.
static CLUSTER: Mutex<()> = Mutex::const_new(());

/// A dead broker's partitions must be right again so soon after the cluster itself has new leaders.
const RIGHT_AGAIN_WITHIN: Duration = Duration::from_secs(1);

const PARTITIONS: i32 = 6;

/// Waits until the cluster's own metadata, by a client of its own, names leaders other than `node` for all partitions.
async fn new_leaders(cluster: &KafkaCluster, topic: &str, node: i32) -> Instant {
    let alive: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "watcher")
        .set("log_level", "0")
        .create()
        .unwrap();
    let begun = Instant::now();
    loop {
        if let Ok(metadata) = alive.fetch_metadata(Some(topic), Duration::from_secs(1)) {
            let partitions = metadata.topics()[0].partitions();
            if partitions.len() == 6
                && partitions.iter().all(|partition| partition.leader() > 0 && partition.leader() != node)
            {
                return Instant::now();
            }
        }
        assert!(begun.elapsed() < WITHIN, "the cluster elects no leaders");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A group whose coordinator is `node`.
fn group_of_coordinator(cluster: &KafkaCluster, driver: &Driver, topic: &str, node: &str) -> String {
    loop {
        let group = unique("order-service");
        driver.commit(&group, &[(topic, 0, 7)]);
        let state = cluster.consumer_groups(&["--describe", "--state", "--group", &group]);
        // the coordinator is written as host:port (id)
        if state.contains(&format!("({node})")) {
            return group;
        }
    }
}

async fn right_again_after(take: fn(&KafkaCluster), give_back: fn(&KafkaCluster)) {
    let _alone = CLUSTER.lock().await;
    let cluster = three_nodes();
    let servers = cluster.bootstrap_servers();
    let (driver, topic) = (Driver::new(&servers), unique("orders"));
    driver.create_topic(&topic, PARTITIONS, 3, &[]).await;
    let group = group_of_coordinator(cluster, &driver, &topic, "1");
    for partition in 0..PARTITIONS {
        driver.produce(&topic, partition, 10);
        driver.commit(&group, &[(&topic, partition, 7)]);
    }
    let trigger = trigger(&[("bootstrapServers", &servers), ("consumerGroup", &group), ("topic", &topic)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 18);

    take(cluster);
    let lost_at = Instant::now();
    let watched = tokio::spawn({
        let topic = topic.clone();
        async move { new_leaders(cluster, &topic, 3).await }
    });
    // a reading that was taken while the broker was away, and is right
    let right_at = loop {
        match observer.answer(&trigger).await {
            Ok(answer) => {
                let decision = crate::support::observer::judge(&trigger, &answer);
                assert_eq!(activity(&decision), 18, "never a wrong number, whatever is away");
                let age = answer.age;
                if answer.stale.is_none() && age < lost_at.elapsed() && watched.is_finished() {
                    break Instant::now();
                }
            }
            Err(error) => panic!("the last good answer must hold: {}", error.chain()),
        }
        assert!(lost_at.elapsed() < WITHIN, "it was never right again");
        sleep(Duration::from_millis(10)).await;
    };
    let elected_at = watched.await.unwrap();
    give_back(cluster);
    let after = right_at.saturating_duration_since(elected_at);
    println!("new leaders {:?} after the loss, right {after:?} later", elected_at - lost_at);
    assert!(after <= RIGHT_AGAIN_WITHIN, "right {after:?} after the election");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_brokers_partitions_are_right_within_a_second_of_their_new_leaders() {
    right_again_after(|cluster| cluster.kill(3), |cluster| cluster.restart(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_brokers_partitions_are_right_within_a_second_of_their_new_leaders() {
    right_again_after(|cluster| cluster.stop(3), |cluster| cluster.resume(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_coordinator_falls_silent_is_read_again_before_max_staleness() {
    let _alone = CLUSTER.lock().await;
    let cluster = three_nodes();
    let servers = cluster.bootstrap_servers();
    let (driver, topic) = (Driver::new(&servers), unique("orders"));
    driver.create_topic(&topic, 1, 3, &[]).await;
    driver.produce(&topic, 0, 10);
    let group = group_of_coordinator(cluster, &driver, &topic, "3");
    let trigger = trigger(&[("bootstrapServers", &servers), ("consumerGroup", &group), ("topic", &topic)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 3);
    cluster.stop(3);
    let begun = Instant::now();
    loop {
        let answer = observer.answer(&trigger).await.expect("the last good answer holds");
        if answer.stale.is_none() && answer.age + Duration::from_secs(4) < begun.elapsed() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("read again {:?} after its coordinator fell silent", begun.elapsed());
    cluster.resume(3);
    assert_eq!(observer.lag(&trigger).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_only_broker_is_away_is_an_error_after_max_staleness_and_others_go_on() {
    let _alone = CLUSTER.lock().await;
    let cluster = three_nodes();
    let servers = cluster.bootstrap_servers();
    let driver = Driver::new(&servers);
    // without replicas, a topic of three partitions has one on each broker
    let (lone, safe) = (unique("lone"), unique("safe"));
    driver.create_topic(&lone, 3, 1, &[]).await;
    driver.create_topic(&safe, 3, 3, &[]).await;
    let triggers = [&lone, &safe].map(|topic| {
        let group = unique("g");
        for partition in 0..3 {
            driver.produce(topic, partition, 5);
            driver.commit(&group, &[(topic, partition, 3)]);
        }
        let keys = [
            ("bootstrapServers", servers.as_str()),
            ("consumerGroup", &group),
            ("topic", topic),
            ("maxStaleness", "6s"),
        ];
        trigger(&keys)
    });
    let observer = Observer::new();
    for trigger in &triggers {
        assert_eq!(observer.lag(trigger).await, 6);
    }
    cluster.kill(3);
    let begun = Instant::now();
    let error = loop {
        match observer.decision(&triggers[0]).await {
            Ok(decision) => assert_eq!(activity(&decision), 6),
            Err(error) => break error,
        }
        assert_eq!(observer.lag(&triggers[1]).await, 6, "another topic is not harmed");
        assert!(begun.elapsed() < WITHIN, "an unknown is answered for ever");
        sleep(Duration::from_millis(50)).await;
    };
    let failed_after = begun.elapsed();
    assert_eq!(observer.lag(&triggers[1]).await, 6);
    cluster.restart(3);
    assert!(matches!(error.kind(), SourceErrorKind::Unreachable | SourceErrorKind::TimedOut), "{}", error.chain());
    assert!(failed_after > Duration::from_secs(3), "the last good answer held too short: {failed_after:?}");
    observer.until_lag(&triggers[0], 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_moves_is_followed() {
    let _alone = CLUSTER.lock().await;
    let cluster = three_nodes();
    let servers = cluster.bootstrap_servers();
    let (driver, topic, group) = (Driver::new(&servers), unique("orders"), unique("order-service"));
    driver.create_topic(&topic, 1, 3, &[]).await;
    driver.produce(&topic, 0, 10);
    driver.commit(&group, &[(&topic, 0, 7)]);
    let trigger = trigger(&[("bootstrapServers", &servers), ("consumerGroup", &group), ("topic", &topic)]);
    let observer = Observer::new();
    assert_eq!(observer.lag(&trigger).await, 3);
    for first in [1, 2, 3] {
        let order = [first, first % 3 + 1, (first + 1) % 3 + 1];
        let plan = format!(
            r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":[{},{},{}]}}]}}"#,
            order[0], order[1], order[2]
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), plan).unwrap();
        let file = file.path().to_str().unwrap();
        cluster.command(
            "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            &["--reassignment-json-file", file, "--execute"],
        );
        let election = ["--election-type", "preferred", "--topic", &topic, "--partition", "0"];
        cluster.command("org.apache.kafka.tools.LeaderElectionCommand", &election);
        driver.produce(&topic, 0, 1);
        observer.until_lag(&trigger, 3 + i64::from(first)).await;
    }
}
