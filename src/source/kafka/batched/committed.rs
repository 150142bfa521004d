//! What consumer groups committed.

use std::collections::HashMap;

use tokio::time::Instant;

use super::Asking;
use super::coordinators::Question;
use super::row_error::row_error;
use crate::lag::{Offset, PartitionId};
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{FetchedGroup, FetchedOffset, FetchedTopic, GroupOffsets, OffsetFetch};
use crate::source::kafka::transport::{
    GroupId, LeaderEpoch, OffsetAndEpoch, PartitionsAsk, Progress, ProgressRows, RowError, TopicPartition,
    TopicPartitions,
};
use crate::telemetry::UpstreamApi;

/// The question.
pub(super) struct Committed;

impl Question for Committed {
    type Of = PartitionsAsk;
    type Answer = ProgressRows;

    const API: UpstreamApi = UpstreamApi::KafkaOffsetFetch;

    fn weight(of: &PartitionsAsk) -> usize {
        weight(of)
    }

    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[(GroupId, PartitionsAsk)],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<ProgressRows, RowError>)>, RowError> {
        let groups: Vec<_> = asked.iter().map(|(group, partitions)| group_offsets(group, partitions)).collect();
        let batches = connection.version::<OffsetFetch<'_>>().is_ok_and(|version| version >= OffsetFetch::BATCHES_FROM);
        let size = if batches { groups.len().max(1) } else { 1 };
        let requests: Vec<_> = groups.chunks(size).map(|groups| OffsetFetch { groups }).collect();
        let fetched = asking.ask_each(connection, Self::API, &requests, until).await?;
        let partitions: HashMap<_, _> = asked.iter().map(|(group, partitions)| (group, partitions)).collect();
        let rows = fetched.into_iter().flatten().filter_map(|FetchedGroup { group, error, offsets }| {
            let asked = partitions.get(&group)?;
            let rows =
                row_error(error).map_or_else(|| Ok(rows(offsets.into_iter().filter_map(row), asked, &missing())), Err);
            Some((group, rows))
        });
        Ok(rows.collect())
    }
}

fn group_offsets(group: &GroupId, partitions: &PartitionsAsk) -> GroupOffsets {
    let topics = match partitions {
        PartitionsAsk::Named(topics) => Some(topics.iter().map(fetched_topic).collect()),
        PartitionsAsk::AllCommitted => None,
    };
    GroupOffsets { group: group.clone(), topics }
}

fn fetched_topic(TopicPartitions { name, id, partitions }: &TopicPartitions) -> FetchedTopic {
    let partitions = partitions.iter().filter_map(|partition| i32::try_from(partition.0).ok());
    FetchedTopic { name: name.clone(), id: id.map_or(0, |id| id.0), partitions: partitions.collect() }
}

fn row(offset: FetchedOffset) -> Option<(TopicPartition, Result<Progress, RowError>)> {
    let FetchedOffset { topic, partition, offset, leader_epoch, error } = offset;
    let partition = PartitionId(u32::try_from(partition).ok()?);
    let epoch = LeaderEpoch::from_wire(leader_epoch);
    let committed = |offset| Progress::Committed(OffsetAndEpoch { offset, epoch });
    let value = || Ok(Offset::from_wire(offset).map_or(Progress::None, committed));
    Some((TopicPartition { topic, partition }, row_error(error).map_or_else(value, Err)))
}

/// How many rows the answer may have.
pub(super) fn weight(of: &PartitionsAsk) -> usize {
    match of {
        PartitionsAsk::Named(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
        // not known; few groups have committed to more
        PartitionsAsk::AllCommitted => 100,
    }
}

/// A row for each partition that was asked for, or for all that came. One that has not come counts as `missing`.
pub(super) fn rows(
    came: impl Iterator<Item = (TopicPartition, Result<Progress, RowError>)>,
    asked: &PartitionsAsk,
    missing: &Result<Progress, RowError>,
) -> ProgressRows {
    match asked {
        PartitionsAsk::AllCommitted => came.collect(),
        PartitionsAsk::Named(topics) => {
            let mut came: HashMap<_, _> = came.collect();
            let asked = topics.iter().flat_map(|TopicPartitions { name, partitions, .. }| {
                partitions.iter().map(|&partition| TopicPartition { topic: name.clone(), partition })
            });
            asked.map(|key| came.remove_entry(&key).unwrap_or_else(|| (key, missing.clone()))).collect()
        }
    }
}

/// A partition that was asked for is not in the answer.
pub(super) fn missing() -> Result<Progress, RowError> {
    Err(RowError::Broker("the partition is not in the answer".to_owned()))
}
