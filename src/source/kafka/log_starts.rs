//! Where logs begin, which is not read in each round.
//!
//! A log's start moves only as retention or an administrator deletes records. A start that is behind overstates a lag by records that
//! were deleted since it was read, and never understates one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::transport::{ByPartition, OffsetAndEpoch, RowError, TopicName};
use crate::lag::{PartitionId, TopicId};

/// Deleted records count no longer after this time at the latest. Brokers look for what to delete every five minutes.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// The starts of the logs of one cluster.
#[derive(Debug, Default)]
pub(super) struct LogStarts {
    known: Mutex<HashMap<TopicName, Known>>,
}

/// Those of one topic.
#[derive(Debug)]
struct Known {
    topic: Option<TopicId>,
    /// None where a start is to be read again.
    starts: ByPartition<Option<Start>>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    offset: OffsetAndEpoch,
    read_at: Instant,
}

impl LogStarts {
    fn known(&self) -> MutexGuard<'_, HashMap<TopicName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The starts of the logs of this topic that need not be read again.
    pub(super) fn of(&self, name: &TopicName, topic: Option<TopicId>, now: Instant) -> ByPartition<OffsetAndEpoch> {
        let known = self.known();
        let known = known.get(name).filter(|known| known.topic == topic);
        let starts = known.iter().flat_map(|known| known.starts.as_slice());
        starts
            .filter_map(|(partition, start)| Some((*partition, start.filter(|start| start.is_fresh(now))?.offset)))
            .collect()
    }

    /// Starts that were just read.
    pub(super) fn insert(
        &self,
        name: &TopicName,
        topic: Option<TopicId>,
        rows: &ByPartition<Result<OffsetAndEpoch, RowError>>,
        now: Instant,
    ) {
        let starts = rows.as_slice().iter().filter_map(|(partition, row)| {
            Some((*partition, Some(Start { offset: *row.as_ref().ok()?, read_at: now })))
        });
        let mut known = self.known();
        match known.get_mut(name).filter(|known| known.topic == topic) {
            Some(known) => known.starts.extend(starts),
            None => drop(known.insert(name.clone(), Known { topic, starts: starts.collect() })),
        }
    }

    /// The log has become another one.
    pub(super) fn remove(&self, name: &TopicName, partition: PartitionId) {
        if let Some(start) = self.known().get_mut(name).and_then(|known| known.starts.get_mut(partition)) {
            *start = None;
        }
    }

    /// Forgets topics of which all is to be read again.
    pub(super) fn prune(&self, now: Instant) {
        let is_fresh = |start: &(PartitionId, Option<Start>)| start.1.is_some_and(|start| start.is_fresh(now));
        self.known().retain(|_, known| known.starts.as_slice().iter().any(is_fresh));
    }
}

impl Start {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.read_at) < READ_AGAIN_AFTER
    }
}
