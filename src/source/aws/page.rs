//! One answer of `GetRecords`, of either kind of stream.

use std::time::Duration;

use aws_smithy_types::DateTime;
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::service::Service;
use crate::lag::streams::{SequenceNumber, Shard, Timestamp};

/// What stands behind an iterator.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// When the request was sent, after the wait for its turn.
    pub(super) at: Timestamp,
    /// The first records: two at most.
    pub(super) records: Vec<PageRecord>,
    /// Where to go on; `None` at the end of a closed shard.
    pub(super) next: Option<String>,
    /// How far before the tip the page ends, where the service reports it.
    pub(super) behind: Option<Duration>,
}

/// A record of a page.
#[derive(Clone, Debug)]
pub(super) struct PageRecord {
    /// Its sequence number; `None` where it is no number.
    pub(super) number: Option<SequenceNumber>,
    /// When it arrived.
    pub(super) arrived: Timestamp,
    /// The user records in it: more than one where the Kinesis Producer Library has packed them.
    pub(super) user_records: u64,
}

/// A record's time.
pub(super) fn timestamp(time: Option<&DateTime>) -> Result<Timestamp, Failure> {
    let milliseconds = time.and_then(|time| time.to_millis().ok()).and_then(|time| u64::try_from(time).ok());
    milliseconds
        .map(Timestamp::from_unix_ms)
        .ok_or_else(|| Failure::new(FailureKind::Other, "a record without the time of its arrival"))
}

/// A part of a list of shards.
#[derive(Clone, Debug)]
pub(super) struct ShardsPage {
    pub(super) requested: Requested,
    pub(super) shards: Vec<Shard>,
    /// Where the list goes on, if it does.
    pub(super) next: Option<String>,
}

/// When a request was sent, after the wait for its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requested {
    pub(super) at: Instant,
    /// The same moment by the service's clock.
    pub(super) service_time: Timestamp,
}

impl Requested {
    pub(super) fn now(service: &impl Service) -> Self {
        Self { at: Instant::now(), service_time: service.now() }
    }
}
