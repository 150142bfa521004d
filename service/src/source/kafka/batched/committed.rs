//! The committed offsets of consumer groups.

use tokio::time::Instant;

use super::ClusterClient;
use super::answers::in_order_of;
use super::coordinators::{Answers, OfGroup, Question};
use super::row_error::row_error;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{OffsetFetch, Row};
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
