//! How far behind a group is in one partition: from the commit, the ends of the log and the past.

use super::{CommittedOffset, Moment, PAST_END_GRACE, PartitionHistory, PartitionObservation};
use crate::trigger::{Compat, IsolationLevel, OffsetReset, ResetRules, WithoutCommit};

/// How far behind a group is in one partition, independent of any trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Records that the log holds and the group has not read; `None` without a valid commit.
    pub records_behind: Option<u64>,
    /// The position from which the records were counted.
    pub basis: LagBasis,
}

/// The position from which the records behind were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum LagBasis {
    /// Counted from the committed offset.
    Committed,
    /// Counted from the start of the log: retention has deleted records that the group had not read.
    LogStart {
        /// The number of records that are lost to the group.
        lost: u64,
    },
    /// The partition has no commit.
    NoCommit,
    /// The commit lies past the end of the log: for a short time that is a leader change race, then the commit is invalid.
    PastEnd {
        /// The number of records between the end and the commit.
        by: u64,
    },
}

/// The lag that one partition adds to a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedLag {
    /// The records behind.
    RecordsBehind(u64),
    /// The lag that the trigger's reset policy counts without a valid commit.
    ByResetPolicy(u64),
    /// The lag as KEDA counts it, with `compat: strict`: the end of the log less the commit; negative where the commit lies past the end.
    AsBuiltIn(i64),
}

// === impl PartitionLag ===

impl PartitionLag {
    /// Calculates the lag of a partition that was read at `taken_at`.
    #[must_use]
    pub fn of(
        partition: &PartitionObservation,
        past: &PartitionHistory,
        isolation: IsolationLevel,
        taken_at: Moment,
    ) -> Self {
        let CommittedOffset::At(committed) = partition.committed else {
            return Self { records_behind: None, basis: LagBasis::NoCommit };
        };
        let (start, end) = (partition.watermarks.start, partition.watermarks.end);
        if committed > end {
            let lasting = past.past_end_since.is_some_and(|since| taken_at.since(since) >= PAST_END_GRACE);
            // past the last stable offset a commit may well be valid: the group reads uncommitted records
            let valid = !lasting || isolation == IsolationLevel::ReadCommitted;
            let basis = LagBasis::PastEnd { by: committed.records_since(end) };
            return Self { records_behind: valid.then_some(0), basis };
        }
        let basis = match start.records_since(committed) {
            0 => LagBasis::Committed,
            lost => LagBasis::LogStart { lost },
        };
        Self { records_behind: Some(end.records_since(committed.max(start))), basis }
    }

    /// The number of records that retention deleted before the group read them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        if let LagBasis::LogStart { lost } = self.basis { lost } else { 0 }
    }

    /// Returns what a trigger counts for `partition`, whose lag this is.
    #[must_use]
    pub fn counted(&self, partition: &PartitionObservation, rules: ResetRules, compat: Compat) -> CountedLag {
        let end = partition.watermarks.end;
        if let (CommittedOffset::At(committed), Compat::Strict) = (partition.committed, compat) {
            return CountedLag::AsBuiltIn(signed(end.records_since(committed)) - signed(committed.records_since(end)));
        }
        match (self.records_behind, rules.without_commit, rules.offset_reset) {
            (Some(records), ..) => CountedLag::RecordsBehind(records),
            (None, WithoutCommit::CountsZero, _) => CountedLag::ByResetPolicy(0),
            // so that a consumer starts and then commits (KEDA's rule)
            (None, WithoutCommit::CountsByResetPolicy, OffsetReset::Latest) => CountedLag::ByResetPolicy(1),
            (None, WithoutCommit::CountsByResetPolicy, OffsetReset::Earliest) => {
                CountedLag::ByResetPolicy(end.records_since(partition.watermarks.start))
            }
        }
    }
}

// === impl CountedLag ===

impl CountedLag {
    /// The number of records that the trigger counts for the partition.
    #[must_use]
    pub fn records(self) -> i64 {
        match self {
            Self::RecordsBehind(records) | Self::ByResetPolicy(records) => signed(records),
            Self::AsBuiltIn(records) => records,
        }
    }
}

fn signed(records: u64) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}
