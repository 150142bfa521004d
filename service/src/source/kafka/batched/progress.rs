//! The progress of groups: committed offsets of consumer groups, unacknowledged records of share groups.

use tokio::time::Instant;

use super::ClusterClient;
use super::answers::{in_order_of, row_error};
use super::coordinators::{Answers, OfGroup, Question};
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{DescribeShareGroupOffsets, OffsetFetch, Request as _, Row, ShareOffset};
use crate::source::kafka::transport::{
    ByPartition, ByTopic, GroupAsk, GroupId, PartitionsAsk, Progress, ProgressRows, RowError,
};
use crate::telemetry::UpstreamApi;

/// Reads committed offsets by `OffsetFetch` (<https://kafka.apache.org/protocol.html>): one request per coordinator from version 8 on,
/// one per group before that.
pub(super) struct Committed;

impl Question for Committed {
    type Of = GroupAsk;
    type Answer = ProgressRows;

    const API: UpstreamApi = UpstreamApi::KafkaOffsetFetch;

    async fn ask(
        asking: &ClusterClient,
        connection: &LoggedIn,
        asked: &[GroupAsk],
        until: Instant,
    ) -> Result<Answers<ProgressRows>, RowError> {
        let batches = connection.version::<OffsetFetch<'_>>().is_ok_and(|version| version >= OffsetFetch::BATCHES_FROM);
        let size = if batches { asked.len().max(1) } else { 1 };
        let requests: Vec<_> = asked.chunks(size).map(|groups| OffsetFetch { groups }).collect();
        let fetched = asking.ask_each(connection, Self::API, &requests, until).await?.into_iter().flatten().collect();
        let row = |row: Row<Progress>| row.map_err(row_error);
        let answer = |(asked, offsets): (&GroupAsk, Option<Row<_>>)| {
            let offsets = offsets?.map_err(row_error);
            Some(offsets.map(|offsets| rows(offsets, &asked.partitions, row, missing)))
        };
        let fetched = in_order_of(asked.iter().map(GroupAsk::group), fetched);
        Ok(asked.iter().zip(fetched).map(answer).collect())
    }
}

impl OfGroup for GroupAsk {
    fn group(&self) -> &GroupId {
        &self.group
    }

    /// Where all committed partitions are requested, their number is not known; few groups have committed to more than 100.
    fn weight(&self) -> usize {
        self.partitions.named().map_or(100, |topics| topics.iter().map(|topic| topic.partitions.len()).sum())
    }
}

/// Returns a row for each requested partition, or for all in the answer. A partition that the answer lacks counts as `missing`.
pub(super) fn rows<V>(
    mut came: ByTopic<V>,
    asked: &PartitionsAsk,
    row: impl Fn(V) -> Result<Progress, RowError>,
    missing: impl Fn() -> Result<Progress, RowError>,
) -> ProgressRows {
    let Some(asked) = asked.named() else {
        let all = |of: ByPartition<V>| of.into_iter().map(|(partition, value)| (partition, row(value))).collect();
        return came.into_iter().map(|(topic, of)| (topic, all(of))).collect();
    };
    let asked = asked.iter().map(|topic| {
        let came = came.get_mut(&topic.name).map(std::mem::take).unwrap_or_default();
        (topic.name.clone(), came.each_of(topic.partitions.iter(), |value| value.map_or_else(&missing, &row)))
    });
    asked.collect()
}

/// Returns the error of a requested partition that the answer lacks.
pub(super) fn missing() -> Result<Progress, RowError> {
    Err(RowError::Broker("the partition is not in the answer".into()))
}

/// Reads the lag of share groups by `DescribeShareGroupOffsets` (<https://kafka.apache.org/protocol.html>), in one request per coordinator.
pub(super) struct ShareGroups;

impl Question for ShareGroups {
    type Of = GroupAsk;
    type Answer = ProgressRows;

    const API: UpstreamApi = UpstreamApi::KafkaDescribeShareGroupOffsets;

    async fn ask(
        asking: &ClusterClient,
        connection: &LoggedIn,
        asked: &[GroupAsk],
        until: Instant,
    ) -> Result<Answers<ProgressRows>, RowError> {
        if connection.version::<DescribeShareGroupOffsets<'_>>().is_err() {
            let name = DescribeShareGroupOffsets::NAME;
            let why = format!("{}: {name} 1 is unknown: the lag of share groups needs Kafka 4.2", connection.address);
            return Err(RowError::Unsupported(why.into()));
        }
        let request = DescribeShareGroupOffsets { groups: asked };
        let described = asking.ask(connection, Self::API, &request, until).await?;
        let answer = |(asked, offsets): (&GroupAsk, Option<Row<_>>)| {
            Some(offsets?.map_err(row_error).map(|offsets| progress(offsets, &asked.partitions)))
        };
        let described = in_order_of(asked.iter().map(GroupAsk::group), described);
        Ok(asked.iter().zip(described).map(answer).collect())
    }
}

/// Returns the progress of a group. A group without any partition does not exist yet, and has read nothing.
fn progress(offsets: ByTopic<Row<ShareOffset>>, asked: &PartitionsAsk) -> ProgressRows {
    let no_group = offsets.as_slice().is_empty();
    rows(offsets, asked, row, || if no_group { Ok(Progress::None) } else { missing() })
}

fn row(offset: Row<ShareOffset>) -> Result<Progress, RowError> {
    let ShareOffset { start_offset, lag } = offset.map_err(row_error)?;
    match u64::try_from(lag) {
        Ok(lag) => Ok(Progress::Unacknowledged(lag)),
        Err(_) if start_offset < 0 => Ok(Progress::None),
        Err(_) => {
            let unknown = "the coordinator of the group does not know the lag of the partition yet";
            Err(RowError::Broker(unknown.into()))
        }
    }
}
