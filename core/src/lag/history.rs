//! The history that the rules need, updated at sampling time only: how often KEDA calls must not change an answer.
//!
//! Its size is bounded by the partitions of the last observation: whatever has left the source is dropped.

use std::time::Duration;

use super::{
    CommittedOffset, GroupObservation, Moment, Observation, PartitionId, PartitionObservation, Renewals,
    TopicObservation,
};

/// A commit past the end of the log is a leader change race for this long; after it, the commit is invalid.
///
/// A new leader's high watermark may lag for moments (KIP-207), and counting the whole log then would request every consumer.
pub const PAST_END_GRACE: Duration = Duration::from_secs(30);

/// The remembered past of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// The history of a Kafka consumer group.
    Kafka(GroupHistory),
    /// The history of an application on a stream.
    Application(Renewals),
    /// No history, for sources that need none.
    None,
}

/// The remembered past of a group: one entry for each topic of its last observation, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GroupHistory {
    topics: Vec<TopicHistory>,
}

/// The remembered past of a topic: one entry for each partition of its last observation, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TopicHistory {
    observed: std::sync::Arc<str>,
    id: Option<super::TopicId>,
    partitions: Vec<(PartitionId, PartitionHistory)>,
}

/// The remembered past of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionHistory {
    committed: CommittedOffset,
    /// When the commit was first observed at its present offset.
    pub unchanged_since: Moment,
    /// When the commit was first observed past the end of the log, if it is there now.
    pub past_end_since: Option<Moment>,
}

// === impl History ===

impl History {
    /// Returns the history after `observation`, taken at `now`.
    #[must_use]
    pub fn fold(past: Option<&Self>, observation: &Observation, now: Moment) -> Self {
        match (observation, past) {
            (Observation::Kafka(group), Some(Self::Kafka(past))) => {
                Self::Kafka(GroupHistory::fold(Some(past), group, now))
            }
            (Observation::Kafka(group), _) => Self::Kafka(GroupHistory::fold(None, group, now)),
            (Observation::Application(application), Some(Self::Application(past))) => {
                Self::Application(Renewals::fold(Some(past), &application.survey, now))
            }
            (Observation::Application(application), _) => {
                Self::Application(Renewals::fold(None, &application.survey, now))
            }
            (Observation::Shards(_) | Observation::Writes(_), _) => Self::None,
        }
    }
}

impl GroupHistory {
    fn fold(past: Option<&Self>, observation: &GroupObservation, now: Moment) -> Self {
        let topics = observation.topics.iter().map(|topic| {
            let before = past.and_then(|past| past.topics.iter().find(|before| before.observed == topic.name));
            TopicHistory::fold(before, topic, now)
        });
        Self { topics: topics.collect() }
    }

    /// The number of partitions.
    pub(super) fn partitions(&self) -> usize {
        self.topics.iter().map(|topic| topic.partitions.len()).sum()
    }

    /// Iterates over each partition of `observation` with its history; `observation` is the one that was folded in last.
    pub fn with<'a>(
        &'a self,
        observation: &'a GroupObservation,
    ) -> impl Iterator<Item = (&'a TopicObservation, &'a PartitionObservation, &'a PartitionHistory)> {
        observation.topics.iter().zip(&self.topics).flat_map(|(topic, history)| {
            topic.partitions.iter().zip(&history.partitions).map(move |(now, (_, past))| (topic, now, past))
        })
    }
}

impl TopicHistory {
    fn fold(past: Option<&Self>, topic: &TopicObservation, now: Moment) -> Self {
        // a recreated topic has no past
        let past = past.filter(|past| past.id == topic.id || past.id.is_none() || topic.id.is_none());
        let partitions = topic.partitions.iter().enumerate().map(|(index, partition)| {
            let before = past.and_then(|past| past.partition(index, partition.partition));
            (partition.partition, PartitionHistory::fold(before, partition, now))
        });
        Self { observed: topic.name.clone(), id: topic.id, partitions: partitions.collect() }
    }

    /// Finds the history of a partition, which is usually at the same index as before.
    fn partition(&self, index: usize, partition: PartitionId) -> Option<&PartitionHistory> {
        let same = self.partitions.get(index).filter(|(number, _)| *number == partition);
        let searched =
            || self.partitions.get(self.partitions.binary_search_by_key(&partition, |(number, _)| *number).ok()?);
        same.or_else(searched).map(|(_, history)| history)
    }
}

impl PartitionHistory {
    fn fold(past: Option<&Self>, partition: &PartitionObservation, now: Moment) -> Self {
        let committed = partition.committed;
        let unchanged = past.filter(|past| past.committed == committed && committed != CommittedOffset::None);
        let past_end = matches!(committed, CommittedOffset::At(offset) if offset > partition.watermarks.end);
        Self {
            committed,
            unchanged_since: unchanged.map_or(now, |past| past.unchanged_since),
            past_end_since: past_end.then(|| past.and_then(|past| past.past_end_since).unwrap_or(now)),
        }
    }
}
