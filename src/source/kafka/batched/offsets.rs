//! One end of the log, for the partitions of one leader.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Asking;
use super::row_error::row_error;
use crate::source::kafka::protocol::{self, Isolation, ListOffsets, ListedTopic, OffsetAt};
use crate::source::kafka::transport::{
    BrokerId, LeaderEpoch, LogPosition, OffsetAndEpoch, RowError, TopicName, TopicPartition,
};
use crate::telemetry::UpstreamApi;

/// Partitions in one request.
const MAX_PARTITIONS: usize = 10_000;

type Row = (TopicPartition, Result<OffsetAndEpoch, RowError>);
/// A partition, and the epoch that its leader must have.
type Asked = (TopicPartition, Option<LeaderEpoch>);

/// Reads chunk after chunk: a broker answers one request of a connection after the other.
pub(super) async fn read(
    asking: Arc<Asking>,
    leader: BrokerId,
    asked: Vec<Asked>,
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

async fn once(asking: &Asking, leader: BrokerId, asked: &[Asked], at: LogPosition, until: Instant) -> Vec<Row> {
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
    let mut came: HashMap<TopicPartition, Result<OffsetAndEpoch, RowError>> = match answer.await {
        Err(error) => return asked.iter().map(|(key, _)| (key.clone(), Err(error.clone()))).collect(),
        Ok(listed) => listed.into_iter().map(|(key, offset)| (key, row(offset))).collect(),
    };
    let missing = || Err(RowError::Broker("the partition is not in the answer".to_owned()));
    asked.iter().map(|(key, _)| (key.clone(), came.remove(key).unwrap_or_else(missing))).collect()
}

fn row(offset: protocol::Row<Option<OffsetAndEpoch>>) -> Result<OffsetAndEpoch, RowError> {
    let none = || RowError::Broker("the broker reports an end of the log that is no offset".to_owned());
    offset.map_err(row_error)?.ok_or_else(none)
}

/// Partitions by topic, as requests have them.
fn by_topic(partitions: &[Asked]) -> Vec<ListedTopic> {
    let mut topics: BTreeMap<&TopicName, Vec<_>> = BTreeMap::new();
    for (TopicPartition { topic, partition }, epoch) in partitions {
        topics.entry(topic).or_default().push((*partition, *epoch));
    }
    topics.into_iter().map(|(name, partitions)| ListedTopic { name: name.clone(), partitions }).collect()
}
