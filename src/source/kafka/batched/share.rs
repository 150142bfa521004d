//! How far share groups have come.

use std::collections::HashMap;

use tokio::time::Instant;

use super::Asking;
use super::committed::{missing, rows, weight};
use super::coordinators::Question;
use super::row_error::row_error;
use crate::lag::PartitionId;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{DescribeShareGroupOffsets, Request as _, ShareGroupTopics, ShareOffset};
use crate::source::kafka::transport::{
    GroupId, PartitionsAsk, Progress, ProgressRows, RowError, TopicPartition, TopicPartitions,
};
use crate::telemetry::UpstreamApi;

/// The question.
pub(super) struct ShareGroups;

impl Question for ShareGroups {
    type Of = PartitionsAsk;
    type Answer = ProgressRows;

    const API: UpstreamApi = UpstreamApi::KafkaDescribeShareGroupOffsets;

    fn weight(of: &PartitionsAsk) -> usize {
        weight(of)
    }

    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[(GroupId, PartitionsAsk)],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<ProgressRows, RowError>)>, RowError> {
        if connection.version::<DescribeShareGroupOffsets<'_>>().is_err() {
            let name = DescribeShareGroupOffsets::NAME;
            let why = format!("{}: {name} 1 is unknown: the lag of share groups needs Kafka 4.2", connection.address);
            return Err(RowError::Unsupported(why));
        }
        let groups: Vec<_> = asked.iter().map(|(group, partitions)| wanted(group, partitions)).collect();
        let described =
            asking.ask(connection, Self::API, &DescribeShareGroupOffsets { groups: &groups }, until).await?;
        let partitions: HashMap<_, _> = asked.iter().map(|(group, partitions)| (group, partitions)).collect();
        let rows = described.into_iter().filter_map(|described| {
            let asked = partitions.get(&described.group)?;
            let rows = row_error(described.error).map_or_else(|| Ok(progress(described.offsets, asked)), Err);
            Some((described.group, rows))
        });
        Ok(rows.collect())
    }
}

fn wanted(group: &GroupId, partitions: &PartitionsAsk) -> ShareGroupTopics {
    let topic = |TopicPartitions { name, partitions, .. }: &TopicPartitions| {
        (name.clone(), partitions.iter().filter_map(|partition| i32::try_from(partition.0).ok()).collect())
    };
    let topics = match partitions {
        PartitionsAsk::Named(topics) => Some(topics.iter().map(topic).collect()),
        PartitionsAsk::AllCommitted => None,
    };
    ShareGroupTopics { group: group.clone(), topics }
}

/// A group without any partition is not there yet, and has read nothing.
fn progress(offsets: Vec<ShareOffset>, asked: &PartitionsAsk) -> ProgressRows {
    let missing = if offsets.is_empty() { Ok(Progress::None) } else { missing() };
    rows(offsets.into_iter().filter_map(row), asked, &missing)
}

fn row(offset: ShareOffset) -> Option<(TopicPartition, Result<Progress, RowError>)> {
    let ShareOffset { topic, partition, start_offset, lag, error } = offset;
    let partition = PartitionId(u32::try_from(partition).ok()?);
    let unknown =
        || RowError::Broker("the coordinator of the group does not know the lag of the partition yet".to_owned());
    let value = || match u64::try_from(lag) {
        Ok(lag) => Ok(Progress::Unacknowledged(lag)),
        Err(_) if start_offset < 0 => Ok(Progress::None),
        Err(_) => Err(unknown()),
    };
    Some((TopicPartition { topic, partition }, row_error(error).map_or_else(value, Err)))
}
