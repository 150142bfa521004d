//! One answer of `GetRecords`, of either kind of stream.

use std::time::Duration;

use aws_smithy_types::DateTime;

use super::failure::{Failure, FailureKind};
use crate::lag::streams::Timestamp;

/// What stands behind an iterator.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// When the first record arrived, if there is one.
    pub(super) first: Option<Timestamp>,
    /// Where to go on; `None` at the end of a closed shard.
    pub(super) next: Option<String>,
    /// How far before the tip the page ends, as far as the service says.
    pub(super) behind: Duration,
}

/// A record's time.
pub(super) fn timestamp(time: Option<&DateTime>) -> Result<Timestamp, Failure> {
    let milliseconds = time.and_then(|time| time.to_millis().ok()).and_then(|time| u64::try_from(time).ok());
    milliseconds
        .map(Timestamp::from_unix_ms)
        .ok_or_else(|| Failure::new(FailureKind::Other, "a record without the time of its arrival"))
}
