//! The log end offsets of a wave, as they are read.

use super::model::ByName;
use super::transport::{ByPartition, Leader, LogPosition, OffsetAndEpoch, RowError};
use crate::lag::PartitionId;

/// The log ends by topic.
pub(super) type Ends = ByName<TopicEnds>;

/// The log ends of one topic.
#[derive(Debug, Default)]
pub(super) struct TopicEnds {
    partitions: ByPartition<PartitionEnds>,
    /// The number of outstanding answers.
    awaited: usize,
}

/// The ends of one log.
#[derive(Debug, Default)]
pub(super) struct PartitionEnds {
    start: End,
    end: End,
    /// The last stable offset; only sources that read committed records need it.
    stable_end: Option<Box<End>>,
}

/// Which log an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeenLog {
    /// The known log, as far as the offsets show.
    Same,
    /// Another log: it ends before the known start.
    Another,
}

/// One end of a log.
#[derive(Debug, Default)]
struct End {
    /// The newest answer.
    row: Option<Result<OffsetAndEpoch, RowError>>,
    /// The leader that was queried last.
    asked: Option<Leader>,
    /// Whether its answer is outstanding.
    awaited: bool,
}

impl TopicEnds {
    /// Adds the partitions that are not included yet, which are in order, with their known log starts.
    pub(super) fn add(
        &mut self,
        partitions: &[PartitionId],
        known_start: impl Fn(PartitionId) -> Option<OffsetAndEpoch>,
    ) {
        let new = |&partition: &PartitionId| {
            let start = End { row: known_start(partition).map(Ok), ..End::default() };
            (partition, PartitionEnds { start, ..PartitionEnds::default() })
        };
        let missing = partitions.iter().filter(|partition| self.partitions.get(partition).is_none());
        let mut ends = Vec::with_capacity(partitions.len());
        ends.extend(missing.map(new));
        self.partitions.extend(ends);
    }

    /// Returns the ends of a partition.
    pub(super) fn of(&self, partition: PartitionId) -> Option<&PartitionEnds> {
        self.partitions.get(&partition)
    }

    /// Whether these ends of a partition were read without an error.
    pub(super) fn are_good(&self, partition: PartitionId, positions: &[LogPosition]) -> bool {
        self.of(partition).is_some_and(|ends| positions.iter().all(|at| matches!(ends.row(*at), Some(Ok(_)))))
    }

    /// Whether an answer is outstanding.
    pub(super) const fn are_awaited(&self) -> bool {
        self.awaited > 0
    }

    /// Whether to query this leader about a partition that was not read well: it is not the leader that was queried last, or the last
    /// answer was that the leader is moving. If so, records the request.
    pub(super) fn ask(&mut self, partition: PartitionId, at: LogPosition, leader: Leader) -> bool {
        let Some(ends) = self.partitions.get_mut(&partition) else { return false };
        let end = ends.at_mut(at);
        let moving = matches!(end.row, Some(Err(RowError::Moving(_)))) && !end.awaited;
        let ask = moving || end.asked != Some(leader);
        if ask {
            self.awaited += usize::from(!end.awaited);
            (end.asked, end.awaited) = (Some(leader), true);
        }
        ask
    }

    /// Adds an answer. A late error of the old leader does not replace an answer of the new one; the start of another log is removed.
    pub(super) fn take(
        &mut self,
        partition: PartitionId,
        at: LogPosition,
        row: Result<OffsetAndEpoch, RowError>,
    ) -> SeenLog {
        let Some(ends) = self.partitions.get_mut(&partition) else { return SeenLog::Same };
        let another = at != LogPosition::Start && row.as_ref().is_ok_and(|end| ends.is_another_log(*end));
        if another {
            ends.start = End::default();
        }
        let end = ends.at_mut(at);
        self.awaited -= usize::from(std::mem::take(&mut end.awaited));
        if row.is_ok() || !end.is_good() {
            end.row = Some(row);
        }
        if another { SeenLog::Another } else { SeenLog::Same }
    }
}

impl PartitionEnds {
    /// Returns the newest answer about the end at this position.
    pub(super) fn row(&self, at: LogPosition) -> Option<&Result<OffsetAndEpoch, RowError>> {
        match at {
            LogPosition::Start => self.start.row.as_ref(),
            LogPosition::End => self.end.row.as_ref(),
            LogPosition::StableEnd => self.stable_end.as_ref()?.row.as_ref(),
        }
    }

    /// Whether the known start is after this end.
    fn is_another_log(&self, end: OffsetAndEpoch) -> bool {
        self.start.asked.is_none() && matches!(self.start.row, Some(Ok(start)) if start.offset > end.offset)
    }

    fn at_mut(&mut self, position: LogPosition) -> &mut End {
        match position {
            LogPosition::Start => &mut self.start,
            LogPosition::End => &mut self.end,
            LogPosition::StableEnd => self.stable_end.get_or_insert_default(),
        }
    }
}

impl End {
    const fn is_good(&self) -> bool {
        matches!(self.row, Some(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::Offset;
    use crate::source::kafka::transport::BrokerId;

    const PARTITION: PartitionId = PartitionId(3);

    fn at(offset: u64) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: Offset(offset), epoch: None }
    }

    fn row(ends: &TopicEnds, at: LogPosition) -> Option<Result<OffsetAndEpoch, RowError>> {
        ends.of(PARTITION).and_then(|of| of.row(at)).cloned()
    }

    #[test]
    fn a_late_error_of_the_old_leader_does_not_undo_the_answer_of_the_new_one() {
        let mut ends = TopicEnds::default();
        ends.add(&[PARTITION], |_| None);
        let leader = |id| Leader { broker: BrokerId(id), epoch: None };
        let position = LogPosition::End;
        assert!(ends.ask(PARTITION, position, leader(1)) && ends.ask(PARTITION, position, leader(2)));
        assert!(!ends.ask(PARTITION, position, leader(2)));
        assert!(ends.are_awaited());
        for row in [Ok(at(7)), Err(RowError::Overdue("late".into()))] {
            assert_eq!(ends.take(PARTITION, position, row), SeenLog::Same);
        }
        assert_eq!(row(&ends, position), Some(Ok(at(7))));
        assert!(!ends.are_awaited());
    }

    #[test]
    fn partitions_that_are_added_again_keep_what_is_known_of_them() {
        let mut ends = TopicEnds::default();
        ends.add(&[PARTITION], |_| Some(at(5)));
        ends.add(&[PartitionId(1), PARTITION, PartitionId(4)], |_| None);
        assert_eq!(row(&ends, LogPosition::Start), Some(Ok(at(5))));
        assert!([1, 3, 4].into_iter().all(|partition| ends.of(PartitionId(partition)).is_some()));
    }
}
