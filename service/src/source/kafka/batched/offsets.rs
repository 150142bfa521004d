//! The log start or log end offsets of the partitions of one leader.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::ClusterClient;
use super::answers::row_error;
use crate::source::kafka::protocol::{Isolation, ListOffsets, OffsetAt, Row};
use crate::source::kafka::transport::{
    BrokerId, ByPartition, LedPartitions, LogPosition, OffsetAndEpoch, OffsetRows, RowError,
};
use crate::telemetry::UpstreamApi;

/// The maximum number of partitions in one request, except for a topic that has more.
const MAX_PARTITIONS: usize = 10_000;

/// Reads chunk after chunk by `ListOffsets` (<https://kafka.apache.org/protocol.html>): a broker answers the requests of a connection one
/// after the other.
pub(super) async fn read(
    asking: Arc<ClusterClient>,
    leader: BrokerId,
    asked: LedPartitions,
    at: LogPosition,
    until: Instant,
    rows: UnboundedSender<OffsetRows>,
) {
    for chunk in chunks(asked) {
        if rows.send(once(&asking, leader, chunk, at, until).await).is_err() {
            return;
        }
    }
}

async fn once(
    asking: &ClusterClient,
    leader: BrokerId,
    asked: LedPartitions,
    at: LogPosition,
    until: Instant,
) -> OffsetRows {
    let answer = async {
        let connection = asking.connection(leader, UpstreamApi::KafkaListOffsets, until).await?;
        let (at, isolation) = match at {
            LogPosition::Start => (OffsetAt::Earliest, Isolation::ReadUncommitted),
            LogPosition::End => (OffsetAt::Latest, Isolation::ReadUncommitted),
            LogPosition::StableEnd => (OffsetAt::Latest, Isolation::ReadCommitted),
        };
        let within = until.saturating_duration_since(Instant::now());
        let request = ListOffsets { topics: &asked, at, isolation, within };
        asking.ask(&connection, UpstreamApi::KafkaListOffsets, &request, until).await
    };
    let (came, missing) = match answer.await {
        Err(error) => (Vec::new(), error),
        Ok(came) => (came, RowError::Broker("the partition is not in the answer".into())),
    };
    let mut came = came.into_iter();
    let rows = asked.into_iter().map(|(topic, partitions)| {
        let came: ByPartition<_> = came.next().unwrap_or_default();
        let asked = partitions.as_slice().iter().map(|(partition, _)| partition);
        (topic, came.each_of(asked, |offset| offset.map_or_else(|| Err(missing.clone()), row)))
    });
    rows.collect()
}

fn row(offset: Row<Option<OffsetAndEpoch>>) -> Result<OffsetAndEpoch, RowError> {
    let none = || RowError::Broker("the broker reports an end of the log that is no offset".into());
    offset.map_err(row_error)?.ok_or_else(none)
}

/// Splits the topics into requests of at most `MAX_PARTITIONS` partitions.
fn chunks(asked: LedPartitions) -> Vec<LedPartitions> {
    let mut chunks = Vec::new();
    let mut room = 0;
    for (topic, partitions) in asked {
        let wanted = partitions.as_slice().len();
        if room < wanted {
            chunks.push(LedPartitions::new());
            room = MAX_PARTITIONS;
        }
        room = room.saturating_sub(wanted);
        if let Some(chunk) = chunks.last_mut() {
            chunk.push((topic, partitions));
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::PartitionId;

    #[test]
    fn a_request_has_no_more_than_ten_thousand_partitions_unless_one_topic_has() {
        let topic = |name: &str, partitions: u32| {
            (name.into(), (0..partitions).map(|partition| (PartitionId(partition), None)).collect())
        };
        let asked = vec![topic("a", 6_000), topic("b", 4_000), topic("c", 1), topic("d", 12_000), topic("e", 3)];
        let names = |chunk: LedPartitions| chunk.into_iter().map(|(name, _)| name.to_string()).collect::<String>();
        assert_eq!(chunks(asked).into_iter().map(names).collect::<Vec<_>>(), ["ab", "c", "d", "e"]);
    }
}
