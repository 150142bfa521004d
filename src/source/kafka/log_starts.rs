//! Where logs begin, which is not read in each round.
//!
//! A log's start moves only as retention or an administrator deletes records. A start that is behind overstates a lag by records that
//! were deleted since it was read, and never understates one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::transport::{OffsetAndEpoch, TopicPartition};
use crate::lag::TopicId;

/// Deleted records count no longer after this time at the latest. Brokers look for what to delete every five minutes.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// The starts of the logs of one cluster.
#[derive(Debug, Default)]
pub(super) struct LogStarts {
    known: Mutex<HashMap<TopicPartition, Known>>,
}

#[derive(Debug)]
struct Known {
    topic: Option<TopicId>,
    start: OffsetAndEpoch,
    read_at: Instant,
}

impl LogStarts {
    fn known(&self) -> MutexGuard<'_, HashMap<TopicPartition, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The start of a log of this topic, unless it is to be read again.
    pub(super) fn get(&self, partition: &TopicPartition, topic: Option<TopicId>) -> Option<OffsetAndEpoch> {
        let known = self.known();
        let known = known.get(partition).filter(|known| known.topic == topic && known.is_fresh())?;
        Some(known.start)
    }

    /// A start that was just read.
    pub(super) fn insert(&self, partition: TopicPartition, topic: Option<TopicId>, start: OffsetAndEpoch) {
        self.known().insert(partition, Known { topic, start, read_at: Instant::now() });
    }

    /// The log has become another one.
    pub(super) fn remove(&self, partition: &TopicPartition) {
        self.known().remove(partition);
    }

    /// Forgets what is to be read again.
    pub(super) fn prune(&self) {
        self.known().retain(|_, known| known.is_fresh());
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < READ_AGAIN_AFTER
    }
}
