//! The topics that are remembered between rounds: their ids, partitions and leaders.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::model::ByName;
use super::transport::{RowError, Topic, TopicName, TopicPartitions};
use crate::lag::{FORGET_AFTER, PartitionId};

/// The maximum time until added partitions are noticed. Consumers notice them after five minutes, unless they are
/// configured otherwise (`metadata.max.age.ms`).
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// The last known topics of one cluster.
#[derive(Debug, Default)]
pub(super) struct Topology {
    topics: ByName<Known>,
}

#[derive(Debug)]
struct Known {
    topic: Topic,
    partitions: Arc<[PartitionId]>,
    read_at: Instant,
    used_at: Instant,
    doubtful: bool,
}

impl Topology {
    /// Returns those of `names` that must be read before they are used.
    pub(super) fn unread<'a>(&self, names: impl Iterator<Item = &'a TopicName>, now: Instant) -> Vec<TopicName> {
        let good = |known: &Known| !known.doubtful && now.duration_since(known.read_at) < READ_AGAIN_AFTER;
        let unread: HashSet<_> = names.filter(|name| !self.topics.get(*name).is_some_and(good)).cloned().collect();
        unread.into_iter().collect()
    }

    /// Stores the cluster's answer about a topic. A deleted topic is removed at once.
    pub(super) fn learn(&mut self, name: &TopicName, row: &Result<Topic, RowError>, now: Instant) {
        match row {
            Ok(topic) => {
                let (topic, partitions) = (topic.clone(), topic.numbers());
                let known = Known { topic, partitions, read_at: now, used_at: now, doubtful: false };
                self.topics.insert(name.clone(), known);
            }
            Err(RowError::Gone(_) | RowError::Denied(_) | RowError::Blocked(_)) => {
                self.topics.remove(name);
            }
            Err(_) => {}
        }
    }

    /// Forgets topics that no source has used within [`FORGET_AFTER`].
    pub(super) fn prune(&mut self, now: Instant) {
        self.topics.retain(|_, known| now.duration_since(known.used_at) < FORGET_AFTER);
    }

    /// Returns all last known partitions of the topic.
    pub(super) fn partitions(&mut self, name: &TopicName, now: Instant) -> Option<TopicPartitions> {
        let known = self.topics.get_mut(name)?;
        known.used_at = now;
        Some(TopicPartitions { name: name.clone(), id: known.topic.id, partitions: known.partitions.clone() })
    }

    /// Returns the last known state of the topic. Does not count as use.
    pub(super) fn last(&self, name: &TopicName) -> Option<&Topic> {
        self.topics.get(name).map(|known| &known.topic)
    }

    /// Marks the topic as doubtful because a read failed: its leaders may have moved.
    pub(super) fn doubt(&mut self, name: &TopicName) {
        if let Some(known) = self.topics.get_mut(name) {
            known.doubtful = true;
        }
    }
}
