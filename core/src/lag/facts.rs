//! What one reading shows of a source, derived once for decisions, pages, metrics, charts and replays.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    GroupHistory, GroupObservation, History, Members, Moment, Observation, PartitionHistory, PartitionLag,
    PartitionObservation, TopicObservation,
};
use crate::trigger::{IsolationLevel, SourceRef};

/// What one reading shows of a source, independent of any trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The unread data of the source.
    pub behind: Behind,
    /// Members of the group, or lease owners that were alive at the time of the reading; `None` where they are not read.
    pub consumers: Option<usize>,
}

/// The unread data of a source, in the unit that the source reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Behind {
    /// The records of a consumer group.
    Records(GroupLag),
    /// The age of an application's oldest unread record.
    Age {
        /// The number of shards of the stream, and of shards that only its checkpoints name.
        shards: usize,
        /// The age of that record, as an upper bound; zero where nothing is unread.
        oldest: Duration,
        /// The stream deletes a record after this time, where that is known.
        retention: Option<Duration>,
    },
    /// Only the shards of a stream are counted.
    Shards {
        /// The number of shards that accept records.
        open: u64,
        /// The number of closed shards that the service still lists.
        closed: u64,
    },
    /// The writes to a stream; nothing else of it is read.
    Writes {
        /// The number of shards that accept records.
        open: u32,
        /// The number of shards that the writes of the last minutes fill.
        filled: f64,
        /// The capacity in shards: the widest range of hash keys is full first.
        capacity: f64,
        /// The share of records that were throttled within the last five minutes, between 0 and 1.
        throttled: f64,
    },
}

/// How far behind a group is, in each partition that was read and in total.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GroupLag {
    partitions: Vec<PartitionLag>,
    records_behind: u64,
    partitions_behind: u64,
    without_commit: u64,
    lost: u64,
}

/// Throttled records are counted over this time.
const THROTTLED_OVER: Duration = Duration::from_secs(300);

// === impl Facts ===

impl Facts {
    /// Derives the facts of an observation of `source`, taken at `taken_at`, that was folded into `history` last.
    #[must_use]
    pub fn of(source: &SourceRef, observation: &Observation, history: &History, taken_at: Moment) -> Self {
        let behind = match (observation, history) {
            (Observation::Kafka(group), History::Kafka(history)) => {
                let isolation = match source {
                    SourceRef::Kafka(source) => source.isolation,
                    SourceRef::Shards(_) | SourceRef::Application(_) | SourceRef::Writes(_) => {
                        IsolationLevel::ReadUncommitted
                    }
                };
                Behind::Records(GroupLag::of(group, history, isolation, taken_at))
            }
            (Observation::Kafka(_), _) => Behind::Records(GroupLag::default()),
            (Observation::Application(application), _) => Behind::Age {
                shards: application.survey.shards.len(),
                oldest: application.survey.age(),
                retention: application.retention,
            },
            (Observation::Shards(shards), _) => Behind::Shards { open: shards.open, closed: shards.closed },
            (Observation::Writes(observation), _) => Behind::Writes {
                open: observation.shards.open,
                filled: observation.writes.load(),
                capacity: observation.shards.capacity(),
                throttled: observation.writes.throttled(THROTTLED_OVER, Duration::ZERO),
            },
        };
        Self { behind, consumers: consumers(observation, history, taken_at) }
    }
}

/// Counts the consumers as of the reading; its present age changes nothing.
fn consumers(observation: &Observation, history: &History, taken_at: Moment) -> Option<usize> {
    match (observation, history) {
        (Observation::Kafka(group), _) => match &group.members {
            Members::Unread => None,
            Members::Settled(members) => Some(members.len()),
            Members::Rebalancing(members) => Some(*members),
        },
        (Observation::Application(application), History::Application(renewals)) => {
            let leases = application.survey.shards.iter().filter_map(|report| report.lease.as_ref());
            let alive = leases.filter(|lease| renewals.alive(lease, taken_at));
            Some(alive.filter_map(|lease| lease.owner.as_ref()).collect::<BTreeSet<_>>().len())
        }
        _ => None,
    }
}

// === impl Behind ===

impl Behind {
    /// The unread data as one number: records, seconds or shards; `None` where it is not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for figures and metrics, whose numbers are floats")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Records(lag) => lag.records_behind().map(|records| records as f64),
            Self::Age { oldest, .. } => Some(oldest.as_secs_f64()),
            Self::Shards { open, .. } => Some(*open as f64),
            Self::Writes { filled, .. } => Some(*filled),
        }
    }
}

// === impl GroupLag ===

impl GroupLag {
    fn of(group: &GroupObservation, history: &GroupHistory, isolation: IsolationLevel, taken_at: Moment) -> Self {
        let mut all = Self { partitions: Vec::with_capacity(history.partitions()), ..Self::default() };
        for (_, partition, past) in history.with(group) {
            let lag = PartitionLag::of(partition, past, isolation, taken_at);
            match lag.records_behind {
                None => all.without_commit += 1,
                Some(0) => {}
                Some(records) => {
                    all.records_behind = all.records_behind.saturating_add(records);
                    all.partitions_behind += 1;
                }
            }
            all.lost = all.lost.saturating_add(lag.lost());
            all.partitions.push(lag);
        }
        all
    }

    /// Iterates over each partition of `group` with its past and its lag; `self` must be the lag of `group` and `history`.
    pub fn with<'a>(
        &'a self,
        group: &'a GroupObservation,
        history: &'a GroupHistory,
    ) -> impl Iterator<Item = (&'a TopicObservation, &'a PartitionObservation, &'a PartitionHistory, PartitionLag)>
    {
        history.with(group).zip(&self.partitions).map(|((topic, partition, past), lag)| (topic, partition, past, *lag))
    }

    /// The number of partitions that were read.
    #[must_use]
    pub const fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Records that the logs hold and the group has not read, over the partitions with a valid commit. `None` where no partition has one:
    /// the backlog is then unknown.
    #[must_use]
    pub fn records_behind(&self) -> Option<u64> {
        let known = self.partitions.is_empty() || self.partitions.iter().any(|lag| lag.records_behind.is_some());
        known.then_some(self.records_behind)
    }

    /// The number of partitions with records behind.
    pub(crate) const fn partitions_behind(&self) -> u64 {
        self.partitions_behind
    }

    /// The number of partitions without a valid commit.
    #[must_use]
    pub const fn without_commit(&self) -> u64 {
        self.without_commit
    }

    /// The number of records that retention deleted before the group read them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{CommittedOffset, Offset, PAST_END_GRACE, PartitionId, Watermarks};

    fn group(rows: &[(Option<u64>, u64, u64)]) -> GroupObservation {
        let partitions = rows.iter().zip(0..).map(|(&(committed, start, end), number)| PartitionObservation {
            partition: PartitionId(number),
            committed: committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
            watermarks: Watermarks { start: Offset(start), end: Offset(end) },
            owner: None,
        });
        let partitions: Vec<_> = partitions.collect();
        let partition_count = u32::try_from(partitions.len()).expect("few");
        let topic = TopicObservation { name: "t".into(), id: None, partition_count, partitions };
        GroupObservation { topics: vec![topic], ..GroupObservation::default() }
    }

    /// The lag of a reading that shows the same as one taken `after` earlier.
    fn lag(rows: &[(Option<u64>, u64, u64)], isolation: IsolationLevel, after: Duration) -> GroupLag {
        let (first, now) = (Moment::after_epoch(Duration::ZERO), Moment::after_epoch(after));
        let observation = Observation::Kafka(group(rows));
        let past = History::fold(None, &observation, first);
        let History::Kafka(history) = History::fold(Some(&past), &observation, now) else { panic!("a group") };
        GroupLag::of(&group(rows), &history, isolation, now)
    }

    #[test]
    fn records_behind_are_those_that_the_log_still_holds() {
        let rows = [(Some(130), 0, 400), (Some(300), 0, 300), (None, 0, 120), (Some(100), 5000, 6000)];
        let lag = lag(&rows, IsolationLevel::ReadUncommitted, Duration::ZERO);
        assert_eq!((lag.records_behind(), lag.partitions_behind()), (Some(1270), 2));
        assert_eq!((lag.partitions(), lag.without_commit(), lag.lost()), (4, 1, 4900));
    }

    #[test]
    fn without_a_valid_commit_nothing_is_known_to_be_behind() {
        let behind = |rows: &[_]| lag(rows, IsolationLevel::ReadUncommitted, Duration::ZERO).records_behind();
        assert_eq!(behind(&[(None, 0, 0), (None, 0, 70)]), None);
        assert_eq!(behind(&[(None, 0, 70), (Some(70), 0, 70)]), Some(0));
        assert_eq!(behind(&[]), Some(0), "no partition is no lag");
    }

    #[test]
    fn a_commit_that_stays_past_the_end_is_not_valid() {
        let rows = [(Some(160), 20, 150), (Some(100), 0, 150)];
        let seen = |isolation, after| {
            let lag = lag(&rows, isolation, after);
            (lag.records_behind(), lag.without_commit())
        };
        let (uncommitted, committed) = (IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted);
        assert_eq!(seen(uncommitted, Duration::ZERO), (Some(50), 0));
        assert_eq!(seen(uncommitted, PAST_END_GRACE), (Some(50), 1));
        assert_eq!(seen(committed, PAST_END_GRACE), (Some(50), 0), "past the last stable offset is no fault");
    }
}
