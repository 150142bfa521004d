//! Round after round on librdkafka's mock cluster while something breaks and comes back.

use std::time::Duration;

use keda_stream_scaler::lag::{CommittedOffset, GroupObservation, Offset, PartitionObservation};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep};

use crate::support::asking::eventually;
use crate::support::mock_cluster::{Code, FIND_COORDINATOR, LIST_OFFSETS, METADATA, MockCluster, OFFSET_FETCH};
use crate::support::observer::{round, trigger};

const BROKERS: i32 = 3;
const PARTITIONS: i32 = 6;
const GROUPS: i32 = 8;
const TOPIC: &str = "orders";

/// A fault's name, and what causes it at this broker or at every broker.
type Fault = (&'static str, fn(&MockCluster, i32));

const FAULTS: [Fault; 11] = [
    ("a broker is down", |cluster, broker| cluster.down(broker)),
    ("a broker is slow", |cluster, broker| cluster.slow(broker, Duration::from_millis(60))),
    ("no coordinator", |cluster, _| {
        cluster.fail(FIND_COORDINATOR, Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 1_000);
    }),
    ("no answer about coordinators", |cluster, _| {
        cluster.fail(FIND_COORDINATOR, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 2);
    }),
    ("coordinators move", |cluster, _| cluster.fail(OFFSET_FETCH, Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 4)),
    ("coordinators load", |cluster, _| {
        cluster.fail(OFFSET_FETCH, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 4);
    }),
    ("no answer about commits", |cluster, _| cluster.fail(OFFSET_FETCH, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 4)),
    ("leaders move", |cluster, _| cluster.fail(LIST_OFFSETS, Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 3)),
    ("no answer about logs", |cluster, _| cluster.fail(LIST_OFFSETS, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 3)),
    ("no answer about topics", |cluster, _| cluster.fail(METADATA, Code::RD_KAFKA_RESP_ERR__TRANSPORT, 2)),
    ("a group has moved", |cluster, broker| cluster.coordinator(&group(0), broker)),
];

fn heal(cluster: &MockCluster) {
    for broker in 1..=BROKERS {
        cluster.up(broker);
        cluster.slow(broker, Duration::ZERO);
    }
    for api in [METADATA, FIND_COORDINATOR, OFFSET_FETCH, LIST_OFFSETS] {
        cluster.heal(api);
    }
}

fn rounds() -> usize {
    std::env::var("OUTAGE_ROUNDS").map_or(66, |rounds| rounds.parse().unwrap())
}

fn group(number: i32) -> String {
    format!("shop-{number}")
}

fn committed(group: i32, partition: i32) -> i32 {
    PARTITIONS * group + partition
}

fn end(partition: i32) -> i32 {
    PARTITIONS * GROUPS + partition
}

/// The committed and the last offset of this partition for each group are numbers that no other has.
fn assert_right(name: &str, read: &GroupObservation) {
    let number: i32 = name.trim_start_matches("shop-").parse().unwrap();
    let seen = |of: &PartitionObservation| match of.committed {
        CommittedOffset::At(offset) => (offset, of.watermarks.end),
        CommittedOffset::None => panic!("{name}: no commit in {of:?}"),
    };
    let expected =
        |partition| [committed(number, partition), end(partition)].map(|at| Offset(at.unsigned_abs().into()));
    let seen: Vec<_> = read.topics[0].partitions.iter().map(seen).map(<[Offset; 2]>::from).collect();
    assert_eq!(seen, (0..PARTITIONS).map(expected).collect::<Vec<_>>(), "{name}");
}

/// Reads all groups; what is no error is right. Returns how many are errors.
async fn errors(sources: &Sources, triggers: &[Trigger]) -> usize {
    let read = round(sources, triggers).await;
    assert_eq!(read.len(), triggers.len());
    for (name, read) in &read {
        if let Ok(read) = read {
            assert_right(name, read);
        }
    }
    read.values().filter(|read| read.is_err()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outage_makes_a_wrong_lag_and_each_one_ends_with_its_cause() {
    let cluster = MockCluster::new(BROKERS);
    cluster.topic(TOPIC, PARTITIONS, BROKERS);
    for partition in 0..PARTITIONS {
        cluster.produce(TOPIC, partition, usize::try_from(end(partition)).unwrap());
        for number in 0..GROUPS {
            cluster.commit(&group(number), TOPIC, &[partition], committed(number, partition).into());
        }
    }
    let servers = cluster.bootstrap();
    let triggers: Vec<_> = (0..GROUPS)
        .map(|number| trigger(&[("bootstrapServers", &servers), ("topic", TOPIC), ("consumerGroup", &group(number))]))
        .collect();
    let sources = Sources::new(Connections::unrestricted(), UpstreamMetrics::default());
    assert_eq!(errors(&sources, &triggers).await, 0);

    let (begun, mut failed, mut longest) = (Instant::now(), 0, Duration::ZERO);
    for (number, (fault, break_it)) in (0..rounds()).zip(FAULTS.iter().cycle()) {
        let broker = 1 + i32::try_from(number / FAULTS.len() % 3).unwrap();
        let breaking = async {
            // before, within and after the requests of a round
            sleep(Duration::from_millis(u64::try_from(number % 5).unwrap())).await;
            break_it(&cluster, broker);
        };
        let (during, ()) = tokio::join!(errors(&sources, &triggers), breaking);
        failed += during + errors(&sources, &triggers).await;
        heal(&cluster);
        let healed = Instant::now();
        eventually(fault, async || (errors(&sources, &triggers).await == 0).then_some(())).await;
        longest = longest.max(healed.elapsed());
    }
    assert!(failed > 0);
    println!("{} rounds in {:?}: {failed} errors; right at most {longest:?} after", rounds(), begun.elapsed());
}
