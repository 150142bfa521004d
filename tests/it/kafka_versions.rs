//! Readings of brokers of several versions. Each number is compared with Kafka's own command of that version and with librdkafka.

use std::fmt::Write as _;
use std::time::Duration;

use keda_stream_scaler::lag::{CommittedOffset, LagBasis, SourceErrorKind};
use keda_stream_scaler::scaling::Step;
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use keda_stream_scaler::tenancy::Connections;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::Producer as _;
use tokio::time::{Instant, sleep};

use crate::catch_up::working;
use crate::support::driver::WITHIN;
use crate::support::kafka::{Version, unique};
use crate::support::kafka_scene::{Scene, command_rows};
use crate::support::observer::{Observer, activity, round};

/// Runs each test against each version.
macro_rules! on_each_version {
    ($tests:tt) => {
        mod kafka_2_8 {
            on_each_version! { V2_8 $tests }
        }
        mod kafka_3_9 {
            on_each_version! { V3_9 $tests }
        }
        mod kafka_4_3 {
            on_each_version! { V4_3 $tests }
        }
    };
    ($version:ident { $($test:ident)* }) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Version::$version).await;
            }
        )*
    };
}

on_each_version! {{
    the_lag_is_what_kafkas_own_command_and_librdkafka_show
    a_group_that_nobody_has_seen_counts_by_the_reset_policy
    retention_past_the_commit_counts_from_the_log_start_and_is_reported_as_loss
    a_topic_that_is_deleted_is_an_error_and_a_recreated_one_has_commits_of_its_own
    offsets_that_are_gone_count_by_the_reset_policy
    an_open_transaction_counts_up_to_the_end_that_the_trigger_reads
    asking_for_a_topic_never_makes_it
    without_a_topic_all_topics_of_the_group_count
    consumers_are_counted_by_what_they_were_given
    groups_of_one_coordinator_share_a_request_where_the_broker_takes_it
}}

async fn the_lag_is_what_kafkas_own_command_and_librdkafka_show(version: Version) {
    let scene = Scene::new(version, 3).await;
    for (partition, count) in [(0, 10), (1, 20), (2, 30)] {
        scene.driver.produce(&scene.topic, partition, count);
    }
    scene.commit(&[(0, 10), (1, 5), (2, 1)]);
    assert_eq!(scene.lag(&Observer::new(), &scene.trigger(&[])).await, 44);
}

async fn a_group_that_nobody_has_seen_counts_by_the_reset_policy(version: Version) {
    let scene = Scene::new(version, 2).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.driver.delete_records(&scene.topic, 0, 4).await;
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &scene.trigger(&[])).await, 2, "1 a partition, so that a consumer is started");
    assert_eq!(scene.lag(&observer, &scene.trigger(&[("offsetResetPolicy", "earliest")])).await, 6);
    assert_eq!(scene.lag(&observer, &scene.trigger(&[("scaleToZeroOnInvalidOffset", "true")])).await, 0);
}

async fn retention_past_the_commit_counts_from_the_log_start_and_is_reported_as_loss(version: Version) {
    let scene = Scene::new(version, 1).await;
    scene.driver.produce(&scene.topic, 0, 100);
    scene.commit(&[(0, 40)]);
    scene.driver.delete_records(&scene.topic, 0, 80).await;
    let observer = Observer::new();
    let decision = scene.decision(&observer, &scene.trigger(&[])).await;
    assert_eq!(activity(&decision), 20);
    assert!(decision.steps.contains(&Step::Unusual { basis: LagBasis::LogStart { lost: 40 }, partitions: 1 }));
    assert_eq!(scene.lag(&observer, &scene.trigger(&[("compat", "strict")])).await, 60, "KEDA counts deleted records");
}

async fn a_topic_that_is_deleted_is_an_error_and_a_recreated_one_has_commits_of_its_own(version: Version) {
    let scene = Scene::new(version, 1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest"), ("maxStaleness", "4s")]);
    scene.driver.produce(&scene.topic, 0, 50);
    scene.commit(&[(0, 30)]);
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &trigger).await, 20);

    scene.driver.delete_topic(&scene.topic).await;
    let begun = Instant::now();
    let error = loop {
        match observer.decision(&trigger).await {
            Ok(_) => assert!(begun.elapsed() < WITHIN, "a deleted topic is still answered for"),
            Err(error) => break error,
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(error.kind(), SourceErrorKind::Missing, "{}", error.chain());

    scene.driver.create_topic(&scene.topic, 1, 1, &[]).await;
    scene.driver.produce(&scene.topic, 0, 35);
    let decision = scene.until_lag(&observer, &trigger, 35).await;
    assert!(decision.steps.contains(&Step::Unusual { basis: LagBasis::NoCommit, partitions: 1 }), "{decision:?}");
    scene.commit(&[(0, 30)]);
    scene.until_lag(&observer, &trigger, 5).await;
}

async fn offsets_that_are_gone_count_by_the_reset_policy(version: Version) {
    let scene = Scene::new(version, 1).await;
    let trigger = scene.trigger(&[("offsetResetPolicy", "earliest")]);
    scene.driver.produce(&scene.topic, 0, 50);
    scene.commit(&[(0, 30)]);
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &trigger).await, 20);
    let admin: AdminClient<DefaultClientContext> = scene.driver.client(&[]);
    admin.delete_groups(&[&scene.group], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    scene.until_lag(&observer, &trigger, 50).await;
}

async fn an_open_transaction_counts_up_to_the_end_that_the_trigger_reads(version: Version) {
    let scene = Scene::new(version, 1).await;
    scene.driver.produce(&scene.topic, 0, 10);
    scene.commit(&[(0, 4)]);
    let producer = scene.driver.open_transaction(&scene.topic, 0, 7);
    let observer = Observer::new();
    assert_eq!(scene.lag(&observer, &scene.trigger(&[])).await, 13);
    let committed = scene.trigger(&[("isolationLevel", "readCommitted")]);
    assert_eq!(scene.lag(&observer, &committed).await, 6);
    producer.commit_transaction(WITHIN).unwrap();
    scene.until_lag(&observer, &committed, 14).await;
}

async fn asking_for_a_topic_never_makes_it(version: Version) {
    let scene = Scene::new(version, 1).await;
    let absent = unique("never-made");
    let observer = Observer::new();
    for compat in ["fixed", "strict"] {
        let trigger = scene.trigger(&[("topic", &absent), ("compat", compat)]);
        assert_eq!(observer.decision(&trigger).await.unwrap_err().kind(), SourceErrorKind::Missing);
    }
    let client: BaseConsumer = scene.driver.client(&[]);
    let metadata = client.fetch_metadata(None, WITHIN).unwrap();
    let topics: Vec<_> = metadata.topics().iter().map(MetadataTopic::name).collect();
    assert!(topics.contains(&&*scene.topic) && !topics.contains(&&*absent), "{topics:?}");
}

async fn without_a_topic_all_topics_of_the_group_count(version: Version) {
    let scene = Scene::new(version, 1).await;
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
    scene.until_lag(&observer, &all, 6 + 15 + 1).await;
}

async fn consumers_are_counted_by_what_they_were_given(version: Version) {
    let protocols: &[_] = if version == Version::V2_8 { &["classic"] } else { &["classic", "consumer"] };
    for protocol in protocols {
        let scene = Scene::new(version, 4).await;
        scene.driver.produce(&scene.topic, 3, 10);
        scene.commit(&[(0, 0), (1, 0), (2, 0), (3, 4)]);
        let _members = ["worker-0", "worker-1"]
            .map(|client_id| scene.cluster.consumer(&scene.group, &scene.topic, protocol, client_id));
        let (observer, trigger) = (Observer::new(), scene.trigger(&[("scaleOn", "catchUp")]));
        let begun = Instant::now();
        while working(&observer, &trigger).await != 2 {
            assert!(begun.elapsed() < WITHIN * 2, "two consumers of protocol {protocol} are not seen");
            sleep(Duration::from_millis(100)).await;
        }
        let answer = observer.answer(&trigger).await.unwrap();
        assert_eq!(scene.compare(&trigger, &answer), Some(6));
    }
}

async fn groups_of_one_coordinator_share_a_request_where_the_broker_takes_it(version: Version) {
    const GROUPS: usize = 300;
    let scene = Scene::new(version, 2).await;
    for partition in 0..2 {
        scene.driver.produce(&scene.topic, partition, GROUPS);
    }
    let groups: Vec<_> = (0..GROUPS).map(|number| format!("{}-{number}", scene.group)).collect();
    let groups: Vec<_> = groups.iter().map(String::as_str).collect();
    let mut plan = String::new();
    for (number, group) in groups.iter().enumerate() {
        writeln!(plan, "{group},{topic},0,{number}\n{group},{topic},1,{}", GROUPS - number, topic = scene.topic)
            .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plan).unwrap();
    let mut commit = vec!["--reset-offsets", "--execute", "--from-file", file.path().to_str().unwrap()];
    commit.extend(groups.iter().flat_map(|group| ["--group", group]));
    scene.cluster.consumer_groups(&commit);

    let requests = UpstreamMetrics::default();
    let sources = Sources::new(Connections::unrestricted(), requests.clone());
    let triggers: Vec<_> = groups.iter().map(|group| scene.trigger(&[("consumerGroup", group)])).collect();
    let command = command_rows(scene.cluster, &groups);
    assert_eq!(command.len(), 2 * groups.len());
    for rounds in 1..=2 {
        let read = round(&sources, &triggers).await;
        assert_eq!(read.len(), groups.len());
        for (group, outcome) in read {
            let read = outcome.unwrap_or_else(|error| panic!("{}", error.chain()));
            for partition in &read.topics[0].partitions {
                let command = &command[&(group.clone(), scene.topic.clone(), partition.partition.0)];
                let CommittedOffset::At(committed) = partition.committed else { panic!("{group}: {partition:?}") };
                let [committed, end] = [committed, partition.watermarks.end].map(|offset| offset.0.cast_signed());
                let shown = [command.committed, command.end, command.lag];
                assert_eq!([committed, end, end - committed].map(Some), shown, "{group}: {partition:?}");
            }
            assert_eq!(read.topics[0].partitions.len(), 2);
        }
        let expected = if version == Version::V2_8 { 300 } else { 1 };
        assert_eq!(requests.count(UpstreamApi::KafkaOffsetFetch, UpstreamOutcome::Ok), rounds * expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_group_is_an_error_where_the_broker_has_none() {
    for version in [Version::V2_8, Version::V3_9] {
        let scene = Scene::new(version, 1).await;
        let error = Observer::new().decision(&scene.trigger(&[("groupType", "share")])).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Broken, "{}", error.chain());
        assert!(error.chain().contains("the lag of share groups needs Kafka 4.2"), "{}", error.chain());
    }
}
