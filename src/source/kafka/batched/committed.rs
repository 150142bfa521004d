//! What groups committed.

use std::collections::HashMap;

use tokio::time::Instant;

use super::Asking;
use super::coordinators::Question;
use super::row_error::row_error;
use crate::lag::{Offset, PartitionId};
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{FetchedGroup, FetchedOffset, FetchedTopic, GroupOffsets, OffsetFetch};
use crate::source::kafka::transport::{
    CommittedRows, GroupId, LeaderEpoch, OffsetAndEpoch, PartitionsAsk, RowError, TopicPartition, TopicPartitions,
};
use crate::telemetry::UpstreamApi;

/// The question.
pub(super) struct Committed;

impl Question for Committed {
    type Of = PartitionsAsk;
    type Answer = CommittedRows;

    const API: UpstreamApi = UpstreamApi::KafkaOffsetFetch;

    fn weight(of: &PartitionsAsk) -> usize {
        match of {
            PartitionsAsk::Named(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
            // not known; few groups have committed to more
            PartitionsAsk::AllCommitted => 100,
        }
    }

    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[(GroupId, PartitionsAsk)],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<CommittedRows, RowError>)>, RowError> {
        let groups: Vec<_> = asked.iter().map(|(group, partitions)| group_offsets(group, partitions)).collect();
        let batches = connection.version::<OffsetFetch<'_>>().is_ok_and(|version| version >= OffsetFetch::BATCHES_FROM);
        let size = if batches { groups.len().max(1) } else { 1 };
        let requests: Vec<_> = groups.chunks(size).map(|groups| OffsetFetch { groups }).collect();
        let fetched = asking.ask_each(connection, Self::API, &requests, until).await?;
        let partitions: HashMap<_, _> = asked.iter().map(|(group, partitions)| (group, partitions)).collect();
        let rows = fetched.into_iter().flatten().filter_map(|FetchedGroup { group, error, offsets }| {
            let asked = partitions.get(&group)?;
            let rows = row_error(error).map_or_else(|| Ok(committed(offsets, asked)), Err);
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

/// A row for each partition that was asked for, or for all that came.
fn committed(offsets: Vec<FetchedOffset>, asked: &PartitionsAsk) -> CommittedRows {
    let came = offsets.into_iter().filter_map(|FetchedOffset { topic, partition, offset, leader_epoch, error }| {
        let partition = PartitionId(u32::try_from(partition).ok()?);
        let epoch = LeaderEpoch::from_wire(leader_epoch);
        let commit = || Ok(Offset::from_wire(offset).map(|offset| OffsetAndEpoch { offset, epoch }));
        Some((TopicPartition { topic, partition }, row_error(error).map_or_else(commit, Err)))
    });
    match asked {
        PartitionsAsk::AllCommitted => came.collect(),
        PartitionsAsk::Named(topics) => {
            let mut came: HashMap<_, _> = came.collect();
            let missing = || Err(RowError::Broker("the partition is not in the answer".to_owned()));
            let asked = topics.iter().flat_map(|TopicPartitions { name, partitions, .. }| {
                partitions.iter().map(|&partition| TopicPartition { topic: name.clone(), partition })
            });
            asked.map(|key| came.remove_entry(&key).unwrap_or_else(|| (key, missing()))).collect()
        }
    }
}
