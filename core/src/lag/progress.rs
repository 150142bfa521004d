//! Whether consumers make progress: positions that moved between two readings.

use std::sync::Arc;

use super::streams::{Checkpoint, ShardId, Survey};
use super::{CommittedOffset, GroupObservation, Observation, PartitionId};

impl Observation {
    /// Whether the consumers' positions differ from those of an `earlier` reading of the same source; `None` where readings contain no
    /// positions. A new partition or shard with a position counts as progress, once.
    #[must_use]
    pub fn progressed_since(&self, earlier: &Self) -> Option<bool> {
        match (self, earlier) {
            (Self::Kafka(now), Self::Kafka(earlier)) => Some(commits(now).ne(commits(earlier))),
            (Self::Application(now), Self::Application(earlier)) => {
                Some(checkpoints(&now.survey).ne(checkpoints(&earlier.survey)))
            }
            _ => None,
        }
    }
}

fn commits(group: &GroupObservation) -> impl Iterator<Item = (&Arc<str>, PartitionId, CommittedOffset)> {
    let partitions = group.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |of| (&topic.name, of)));
    partitions.map(|(topic, partition)| (topic, partition.partition, partition.committed))
}

fn checkpoints(survey: &Survey) -> impl Iterator<Item = (&ShardId, &Checkpoint)> {
    survey.shards.iter().filter_map(|report| Some((&report.shard, &report.lease.as_ref()?.checkpoint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{Offset, PartitionObservation, ShardsObservation, TopicObservation, Watermarks};

    fn group(commits: &[Option<u64>], end: u64) -> Observation {
        let partitions = (0..).zip(commits).map(|(number, committed)| PartitionObservation {
            partition: PartitionId(number),
            committed: committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
            watermarks: Watermarks { start: Offset(0), end: Offset(end) },
            owner: None,
        });
        let partitions: Vec<_> = partitions.collect();
        let topic = TopicObservation {
            name: "orders".into(),
            id: None,
            partition_count: u32::try_from(partitions.len()).expect("few"),
            partitions,
        };
        Observation::Kafka(GroupObservation { topics: vec![topic], ..GroupObservation::default() })
    }

    #[test]
    fn only_a_commit_is_progress_not_what_arrives() {
        let before = group(&[Some(5), None], 10);
        assert_eq!(group(&[Some(5), None], 99).progressed_since(&before), Some(false));
        assert_eq!(group(&[Some(5), Some(0)], 10).progressed_since(&before), Some(true));
        assert_eq!(group(&[Some(6), None], 10).progressed_since(&before), Some(true));
        let shards = Observation::Shards(ShardsObservation { open: 1, closed: 0 });
        assert_eq!(shards.progressed_since(&shards), None);
    }
}
