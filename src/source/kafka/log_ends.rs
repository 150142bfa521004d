//! The ends of the logs of a wave, as they are read.

use super::transport::{ByTopic, Leader, LogPosition, OffsetAndEpoch, RowError};

/// The ends of the logs by topic and partition.
pub(super) type Ends = ByTopic<PartitionEnds>;

/// The ends of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct PartitionEnds {
    start: End,
    end: End,
    /// Only sources that read committed records alone need it.
    stable_end: Option<Box<End>>,
}

/// One end of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    /// The newest answer.
    pub(super) row: Option<Result<OffsetAndEpoch, RowError>>,
    /// The leader that was asked last.
    asked: Option<Leader>,
    /// Whether its answer is still to come.
    awaited: bool,
}

impl PartitionEnds {
    /// The end at this position.
    pub(super) fn at(&self, position: LogPosition) -> Option<&End> {
        match position {
            LogPosition::Start => Some(&self.start),
            LogPosition::End => Some(&self.end),
            LogPosition::StableEnd => self.stable_end.as_deref(),
        }
    }

    /// The end at this position, to be changed.
    pub(super) fn at_mut(&mut self, position: LogPosition) -> &mut End {
        match position {
            LogPosition::Start => &mut self.start,
            LogPosition::End => &mut self.end,
            LogPosition::StableEnd => self.stable_end.get_or_insert_default(),
        }
    }

    /// What is known of a log before it is read.
    pub(super) fn of(start: Option<OffsetAndEpoch>) -> Self {
        Self { start: End { row: start.map(Ok), ..End::default() }, ..Self::default() }
    }

    /// Whether the start was known before and lies behind this end: the log has become another one.
    pub(super) fn contradicts(&self, end: OffsetAndEpoch) -> bool {
        let known = self.start.asked.is_none();
        known && matches!(self.start.row, Some(Ok(start)) if start.offset > end.offset)
    }
}

impl End {
    /// Whether it has been read well.
    pub(super) const fn is_good(&self) -> bool {
        matches!(self.row, Some(Ok(_)))
    }

    /// Whether to ask this leader: it is not the one that was asked last, or the last answer was that the leader is moving. If so, records the
    /// request.
    pub(super) fn ask(&mut self, leader: Leader, awaited: &mut usize) -> bool {
        let moving = matches!(self.row, Some(Err(RowError::Moving(_)))) && !self.awaited;
        let ask = moving || self.asked != Some(leader);
        if ask {
            *awaited += usize::from(!self.awaited);
            (self.asked, self.awaited) = (Some(leader), true);
        }
        ask
    }

    /// Takes an answer. One of the new leader is not undone by a late error of the old one.
    pub(super) fn take(&mut self, row: Result<OffsetAndEpoch, RowError>, awaited: &mut usize) {
        *awaited -= usize::from(std::mem::take(&mut self.awaited));
        if row.is_ok() || !self.is_good() {
            self.row = Some(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::Offset;
    use crate::source::kafka::transport::BrokerId;

    #[test]
    fn a_late_error_of_the_old_leader_does_not_undo_the_answer_of_the_new_one() {
        let (mut end, mut awaited) = (End::default(), 0);
        let leader = |id| Leader { broker: BrokerId(id), epoch: None };
        assert!(end.ask(leader(1), &mut awaited) && end.ask(leader(2), &mut awaited));
        assert!(!end.ask(leader(2), &mut awaited));
        assert_eq!(awaited, 1);
        end.take(Ok(OffsetAndEpoch { offset: Offset(7), epoch: None }), &mut awaited);
        end.take(Err(RowError::Overdue("late".to_owned())), &mut awaited);
        assert!(end.is_good());
        assert_eq!(awaited, 0);
    }
}
