//! One end of the log, for the partitions of one leader.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Asking;
use super::row_error::row_error;
use crate::lag::{Offset, PartitionId};
use crate::source::kafka::protocol::{Isolation, ListOffsets, ListedOffset, OffsetAt};
use crate::source::kafka::transport::{BrokerId, LogPosition, RowError, TopicName, TopicPartition};
use crate::telemetry::UpstreamApi;

/// Partitions in one request.
const MAX_PARTITIONS: usize = 10_000;

type Row = (TopicPartition, Result<Offset, RowError>);

/// Reads chunk after chunk: a broker answers one request of a connection after the other.
pub(super) async fn read(
    asking: Arc<Asking>,
    leader: BrokerId,
    asked: Vec<TopicPartition>,
    at: LogPosition,
    until: Instant,
    rows: UnboundedSender<Row>,
) {
    for chunk in asked.chunks(MAX_PARTITIONS) {
        for row in once(&asking, leader, chunk, at, until).await {
            // a dropped receiver ends the loop below
            let _ = rows.send(row);
        }
        if rows.is_closed() {
            return;
        }
    }
}

async fn once(
    asking: &Asking,
    leader: BrokerId,
    asked: &[TopicPartition],
    at: LogPosition,
    until: Instant,
) -> Vec<Row> {
    let answer = async {
        let connection = asking.connection(leader, UpstreamApi::KafkaListOffsets, until).await?;
        let topics = by_topic(asked);
        let (at, isolation) = match at {
            LogPosition::Start => (OffsetAt::Earliest, Isolation::ReadUncommitted),
            LogPosition::End => (OffsetAt::Latest, Isolation::ReadUncommitted),
            LogPosition::StableEnd => (OffsetAt::Latest, Isolation::ReadCommitted),
        };
        let within = until.saturating_duration_since(Instant::now());
        let request = ListOffsets { topics: &topics, at, isolation, within };
        asking.ask(&connection, UpstreamApi::KafkaListOffsets, &request, until).await
    };
    let mut came: HashMap<TopicPartition, Result<Offset, RowError>> = match answer.await {
        Err(error) => return asked.iter().map(|key| (key.clone(), Err(error.clone()))).collect(),
        Ok(listed) => listed.into_iter().filter_map(row).collect(),
    };
    let missing = || Err(RowError::Broker("the partition is not in the answer".to_owned()));
    asked.iter().map(|key| (key.clone(), came.remove(key).unwrap_or_else(missing))).collect()
}

fn row(ListedOffset { topic, partition, error, offset }: ListedOffset) -> Option<Row> {
    let partition = PartitionId(u32::try_from(partition).ok()?);
    let negative = || RowError::Broker(format!("the broker says that the log ends at {offset}"));
    let value = row_error(error).map_or_else(|| Offset::from_wire(offset).ok_or_else(negative), Err);
    Some((TopicPartition { topic, partition }, value))
}

/// Partitions by topic, as requests have them.
pub(super) fn by_topic(partitions: &[TopicPartition]) -> Vec<(TopicName, Vec<i32>)> {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().extend(i32::try_from(partition.0));
    }
    topics.into_iter().map(|(topic, partitions)| (topic.clone(), partitions)).collect()
}
