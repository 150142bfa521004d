//! The log start offsets, which are not read in each round.
//!
//! A log's start moves only as retention or an administrator deletes records. An outdated start overstates a lag by the records that
//! were deleted since it was read, and never understates one.

use std::time::Duration;

use tokio::time::Instant;

use super::model::ByName;
use super::transport::{ByPartition, OffsetAndEpoch, RowError, TopicName, TopicPartitions};
use crate::lag::{PartitionId, TopicId};

/// The maximum time for which deleted records still count. Brokers delete expired records every five minutes.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// The log starts of one cluster.
#[derive(Debug, Default)]
pub(super) struct LogStarts(ByName<Known>);

/// The log starts of one topic.
#[derive(Debug)]
struct Known {
    topic: Option<TopicId>,
    /// `None` where a start must be read again.
    starts: ByPartition<Option<Start>>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    offset: OffsetAndEpoch,
    read_at: Instant,
}

impl LogStarts {
    /// Returns the log starts of this topic that need no new read.
    pub(super) fn fresh(
        &self,
        topic: &TopicPartitions,
        now: Instant,
    ) -> impl Fn(PartitionId) -> Option<OffsetAndEpoch> + use<'_> {
        let known = self.0.get(&topic.name).filter(|known| known.topic == topic.id);
        let since = now.checked_sub(READ_AGAIN_AFTER);
        let is_fresh = move |start: &Start| since.is_none_or(|since| start.read_at > since);
        move |partition| known?.starts.get(&partition)?.filter(is_fresh).map(|start| start.offset)
    }

    /// Stores log starts that were just read.
    pub(super) fn insert(
        &mut self,
        name: &TopicName,
        topic: Option<TopicId>,
        rows: &ByPartition<Result<OffsetAndEpoch, RowError>>,
        now: Instant,
    ) {
        let starts = rows.as_slice().iter().filter_map(|(partition, row)| {
            Some((*partition, Some(Start { offset: *row.as_ref().ok()?, read_at: now })))
        });
        match self.0.get_mut(name).filter(|known| known.topic == topic) {
            Some(known) => known.starts.extend(starts),
            None => drop(self.0.insert(name.clone(), Known { topic, starts: starts.collect() })),
        }
    }

    /// Removes the start of a log that was replaced by another one.
    pub(super) fn remove(&mut self, name: &TopicName, partition: PartitionId) {
        if let Some(start) = self.0.get_mut(name).and_then(|known| known.starts.get_mut(&partition)) {
            *start = None;
        }
    }

    /// Removes topics whose starts must all be read again.
    pub(super) fn prune(&mut self, now: Instant) {
        let is_fresh = |start: &(PartitionId, Option<Start>)| {
            start.1.is_some_and(|start| now.duration_since(start.read_at) < READ_AGAIN_AFTER)
        };
        self.0.retain(|_, known| known.starts.as_slice().iter().any(is_fresh));
    }
}
