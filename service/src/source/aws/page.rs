//! One answer of `GetRecords`, of either kind of stream.

use std::time::Duration;

use aws_smithy_types::DateTime;
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
