//! How far behind a group is in one partition: from the commit, the ends of the log and the past.

use super::{CommittedOffset, Moment, PAST_END_GRACE, PartitionHistory, PartitionObservation};
use crate::trigger::{Compat, IsolationLevel, OffsetReset, ResetRules, WithoutCommit};

/// How far behind a group is in one partition. No trigger changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Records that the log holds and the group has not read; `None` without a valid commit.
    pub records_behind: Option<u64>,
    /// What they were counted from.
    pub basis: LagBasis,
}

/// What the records behind were counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum LagBasis {
    /// The committed offset.
    Committed,
    /// The start of the log: retention has deleted records that the group had not read.
    LogStart {
        /// How many records are lost to the group.
        lost: u64,
    },
    /// There is no commit.
    NoCommit,
    /// The commit lies past the end of the log; for a short while that is a race of leaders, then the commit is not valid.
    PastEnd {
        /// By how many records.
        by: u64,
    },
}

/// What one partition adds to the lag of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedLag {
    /// The records behind.
    RecordsBehind(u64),
    /// Without a valid commit: what the trigger's reset policy counts.
    ByResetPolicy(u64),
    /// With `compat: strict`: the end of the log less the commit, as KEDA counts; negative where the commit lies past the end.
    AsBuiltIn(i64),
}

// === impl PartitionLag ===

impl PartitionLag {
    /// The lag of a partition that was read at `taken_at`.
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
            // behind the last stable offset a commit may well lie further: the group reads uncommitted records
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

    /// Records that retention deleted before the group read them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        if let LagBasis::LogStart { lost } = self.basis { lost } else { 0 }
    }

    /// What a trigger counts for `partition`, whose lag this is.
    #[must_use]
    pub fn counted(&self, partition: &PartitionObservation, rules: ResetRules, compat: Compat) -> CountedLag {
        let end = partition.watermarks.end;
        if let (CommittedOffset::At(committed), Compat::Strict) = (partition.committed, compat) {
            return CountedLag::AsBuiltIn(signed(end.records_since(committed)) - signed(committed.records_since(end)));
        }
        match (self.records_behind, rules.without_commit, rules.offset_reset) {
            (Some(records), ..) => CountedLag::RecordsBehind(records),
            (None, WithoutCommit::CountsZero, _) => CountedLag::ByResetPolicy(0),
            // so that a consumer is started which then commits (KEDA's rule)
            (None, WithoutCommit::CountsByResetPolicy, OffsetReset::Latest) => CountedLag::ByResetPolicy(1),
            (None, WithoutCommit::CountsByResetPolicy, OffsetReset::Earliest) => {
                CountedLag::ByResetPolicy(end.records_since(partition.watermarks.start))
            }
        }
    }
}

// === impl CountedLag ===

impl CountedLag {
    /// The number of records that the partition counts.
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
