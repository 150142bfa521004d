//! What consumer groups committed.

use std::collections::HashMap;

use tokio::time::Instant;

use super::Asking;
use super::coordinators::{OfGroup, Question};
use super::row_error::row_error;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{OffsetFetch, Row};
use crate::source::kafka::transport::{
    GroupAsk, GroupId, PartitionsAsk, Progress, ProgressRows, RowError, TopicPartition, TopicPartitions,
};
use crate::telemetry::UpstreamApi;

/// The question.
pub(super) struct Committed;

impl Question for Committed {
    type Of = GroupAsk;
    type Answer = ProgressRows;

    const API: UpstreamApi = UpstreamApi::KafkaOffsetFetch;

    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[GroupAsk],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<ProgressRows, RowError>)>, RowError> {
        let batches = connection.version::<OffsetFetch<'_>>().is_ok_and(|version| version >= OffsetFetch::BATCHES_FROM);
        let size = if batches { asked.len().max(1) } else { 1 };
        let requests: Vec<_> = asked.chunks(size).map(|groups| OffsetFetch { groups }).collect();
        let fetched = asking.ask_each(connection, Self::API, &requests, until).await?;
        let partitions = of_groups(asked);
        let rows = fetched.into_iter().flatten().filter_map(|(group, offsets)| {
            let asked = partitions.get(&group)?;
            let value = |(key, row): (TopicPartition, Row<Progress>)| (key, row.map_err(row_error));
            let offsets = offsets.map_err(row_error);
            Some((group, offsets.map(|offsets| rows(offsets.into_iter().map(value), asked, &missing()))))
        });
        Ok(rows.collect())
    }
}

/// What was asked of each group.
pub(super) fn of_groups(asked: &[GroupAsk]) -> HashMap<&GroupId, &PartitionsAsk> {
    asked.iter().map(|GroupAsk { group, partitions }| (group, partitions)).collect()
}

impl OfGroup for GroupAsk {
    fn group(&self) -> &GroupId {
        &self.group
    }

    /// Of all partitions it is not known; few groups have committed to more.
    fn weight(&self) -> usize {
        self.partitions.named().map_or(100, |topics| topics.iter().map(|topic| topic.partitions.len()).sum())
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
