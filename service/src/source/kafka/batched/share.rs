//! The progress of share groups.

use tokio::time::Instant;

use super::ClusterClient;
use super::answers::in_order_of;
use super::committed::{missing, rows};
use super::coordinators::{Answers, OfGroup as _, Question};
use super::row_error::row_error;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{DescribeShareGroupOffsets, Request as _, Row, ShareOffset};
use crate::source::kafka::transport::{ByTopic, GroupAsk, PartitionsAsk, Progress, ProgressRows, RowError};
use crate::telemetry::UpstreamApi;

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
