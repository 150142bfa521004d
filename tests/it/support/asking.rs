//! A client of the readings, and what tests ask it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use keda_stream_scaler::lag::{Offset, PartitionId};
use keda_stream_scaler::source::kafka::Batched;
use keda_stream_scaler::source::kafka::transport::{
    BrokerId, ByPartition, ClusterTransport as _, GroupAsk, GroupId, LogPosition, PartitionsAsk, Progress, RowError,
    Rows, TopicName, TopicPartition, TopicPartitions,
};
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::AllowedHosts;
use keda_stream_scaler::trigger::{GroupType, KafkaSecurity, Sasl, Tls};
use tokio::time::Instant;

pub const LONG: Duration = Duration::from_secs(10);

pub const OPEN: KafkaSecurity = KafkaSecurity { tls: Tls::Off, sasl: Sasl::None };

pub fn client_of(servers: &str, security: &KafkaSecurity) -> Batched {
    let servers: Vec<_> = servers.split(',').collect();
    Batched::new(&servers, security, AllowedHosts::Anywhere, &UpstreamMetrics::default()).unwrap()
}

pub fn partition(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionId(partition) }
}

pub fn partitions(topic: &str, number: u32) -> Vec<TopicPartition> {
    (0..number).map(|index| partition(topic, index)).collect()
}

pub fn asks<'a>(groups: impl IntoIterator<Item = &'a str>, partitions: &[TopicPartition]) -> Vec<GroupAsk> {
    let mut by_topic = BTreeMap::<_, BTreeSet<_>>::new();
    for TopicPartition { topic, partition } in partitions {
        by_topic.entry(topic).or_default().insert(*partition);
    }
    let topics = by_topic.into_iter().map(|(name, partitions)| TopicPartitions {
        name: name.clone(),
        id: None,
        partitions: partitions.into_iter().collect(),
    });
    let topics: Vec<_> = topics.collect();
    let ask = |group: &str| GroupAsk { group: group.into(), partitions: PartitionsAsk::Named(topics.clone()) };
    groups.into_iter().map(ask).collect()
}

pub async fn all<K: Eq + Hash, V>(mut rows: Rows<K, V>) -> HashMap<K, Result<V, RowError>> {
    let mut done = HashMap::new();
    while let Some((key, row)) = rows.recv().await {
        assert!(done.insert(key, row).is_none(), "each key is answered once");
    }
    done
}

/// A row of each partition, in order.
pub type Flat<V> = Vec<(TopicPartition, Result<V, RowError>)>;

pub fn flat<V>(rows: impl IntoIterator<Item = (TopicName, ByPartition<Result<V, RowError>>)>) -> Flat<V> {
    let of_topic = |(topic, of): (TopicName, ByPartition<_>)| {
        of.into_iter().map(move |(partition, row)| (TopicPartition { topic: topic.clone(), partition }, row))
    };
    let mut flat: Vec<_> = rows.into_iter().flat_map(of_topic).collect();
    flat.sort_by(|(one, _), (other, _)| one.cmp(other));
    flat
}

/// One end of the logs of these partitions, by the broker that is asked.
pub async fn offsets_at(
    client: &Batched,
    leader: i32,
    asked: &[TopicPartition],
    at: LogPosition,
    deadline: Duration,
) -> HashMap<TopicPartition, Result<Offset, RowError>> {
    let led = asks([""], asked).into_iter().flat_map(|ask| ask.partitions.named().unwrap().to_vec());
    let led = led.map(|topic| (topic.name, topic.partitions.iter().map(|&partition| (partition, None)).collect()));
    let mut rows = client.offsets(BrokerId(leader), led.collect(), at, deadline);
    let mut done = HashMap::new();
    while let Some(rows) = rows.recv().await {
        for (key, row) in flat(rows) {
            assert!(done.insert(key, row.map(|end| end.offset)).is_none(), "each partition is answered once");
        }
    }
    done
}

pub async fn committed(client: &Batched, group: &str, asked: &[TopicPartition]) -> Result<Flat<Progress>, RowError> {
    committed_by(client, group, asked, LONG).await
}

pub async fn committed_by(
    client: &Batched,
    group: &str,
    asked: &[TopicPartition],
    deadline: Duration,
) -> Result<Flat<Progress>, RowError> {
    let mut rows = all(client.progress(GroupType::Consumer, asks([group], asked), deadline)).await;
    rows.remove(&GroupId::from(group)).unwrap().map(flat)
}

/// Repeats `attempt` until it gives something; says what was waited for when it does not in time.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + 2 * LONG;
    loop {
        if let Some(got) = attempt().await {
            return got;
        }
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
