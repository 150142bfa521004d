//! One answer of `GetRecords`, of either kind of stream, and the records in it that the Kinesis Producer Library aggregated.

use std::time::Duration;

use aws_smithy_types::DateTime;
use prost::Message as _;
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::service::Service;
use crate::lag::streams::{SequenceNumber, Shard, Timestamp};

/// The records that follow an iterator.
#[derive(Clone, Debug)]
pub struct Page {
    /// When the request was sent, after the wait for its turn.
    pub at: Timestamp,
    /// The first records: two at most.
    pub records: Vec<PageRecord>,
    /// The next iterator; `None` at the end of a closed shard.
    pub next: Option<String>,
    /// How far before the tip the page ends, where the service reports it.
    pub behind: Option<Duration>,
}

/// A record of a page.
#[derive(Clone, Debug)]
pub struct PageRecord {
    /// The sequence number; `None` where it cannot be parsed.
    pub number: Option<SequenceNumber>,
    /// When the record arrived.
    pub arrived: Timestamp,
    /// The number of user records in it: more than one where the Kinesis Producer Library aggregated them.
    pub user_records: u64,
}

/// Converts a record's arrival time.
///
/// # Errors
/// Fails without a time, or with one before 1970.
pub fn timestamp(time: Option<&DateTime>) -> Result<Timestamp, Failure> {
    let milliseconds = time.and_then(|time| time.to_millis().ok()).and_then(|time| u64::try_from(time).ok());
    milliseconds
        .map(Timestamp::from_unix_ms)
        .ok_or_else(|| Failure::new(FailureKind::Other, "a record without the time of its arrival"))
}

/// One page of a list of shards.
#[derive(Clone, Debug)]
pub struct ShardsPage {
    /// When the page was requested.
    pub requested: Requested,
    /// The shards of the page.
    pub shards: Vec<Shard>,
    /// The share of the hash key space that the widest open shard covers; `None` where a shard has no range.
    pub widest: Option<f64>,
    /// The token of the next page, if any.
    pub next: Option<String>,
}

/// When a request was sent, after the wait for its turn.
#[derive(Clone, Copy, Debug)]
pub struct Requested {
    /// The moment by this machine's clock.
    pub at: Instant,
    /// The same moment by the service's clock.
    pub service_time: Timestamp,
}

impl Requested {
    /// The present moment, by both clocks.
    pub fn now(service: &impl Service) -> Self {
        Self { at: Instant::now(), service_time: service.now() }
    }
}

/// The magic bytes at the start of an aggregated record, and the length of the checksum at its end (the library's `aggregation-format.md`).
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const CHECKSUM_BYTES: usize = 16;

/// The fields of the library's `AggregatedRecord` that are needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct AggregatedRecord {
    #[prost(bytes = "vec", repeated, tag = "3")]
    records: Vec<Vec<u8>>,
}

/// Returns the number of user records in a record: 1 for one that is not aggregated.
pub(super) fn user_records(data: &[u8]) -> u64 {
    let packed = data.strip_prefix(&MAGIC).and_then(|rest| rest.get(..rest.len().checked_sub(CHECKSUM_BYTES)?));
    let records =
        packed.and_then(|packed| AggregatedRecord::decode(packed).ok()).map_or(0, |packed| packed.records.len());
    u64::try_from(records).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(records: usize) -> Vec<u8> {
        let message = AggregatedRecord { records: vec![b"\x08\x00\x1a\x01x".to_vec(); records] };
        [&MAGIC[..], &message.encode_to_vec(), &[7; CHECKSUM_BYTES]].concat()
    }

    #[test]
    fn user_records_are_counted_in_packed_records_only() {
        assert_eq!(user_records(&packed(3)), 3);
        for plain in [&b""[..], b"{}", &MAGIC, &packed(3)[..10], &packed(3)[1..], &packed(0)] {
            assert_eq!(user_records(plain), 1);
        }
    }
}
