//! How far behind one partition is: the rules, from the commit, the ends of the log and the past.

use super::{CommittedOffset, Moment, PAST_END_GRACE, PartitionHistory, PartitionObservation};
use crate::trigger::{Compat, IsolationLevel, OffsetReset, WithoutCommit};

/// What of a trigger decides the lag of a partition.
#[derive(Clone, Copy, Debug)]
pub struct LagRules {
    /// Where consumers begin without a valid commit.
    pub offset_reset: OffsetReset,
    /// What a partition without a commit counts.
    pub without_commit: WithoutCommit,
    /// Which end of the log was read.
    pub isolation: IsolationLevel,
    /// The built-in's number, or the right one.
    pub compat: Compat,
}

/// The lag of one partition and what it was counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// Records behind. Negative only under `compat: strict`, where a commit past the end lowers the sum as in KEDA.
    pub records: i64,
    /// What it was counted from.
    pub basis: LagBasis,
}

/// What a lag was counted from.
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
    /// The reset policy: there is no commit.
    NoCommit,
    /// The commit lies past the end of the log; for a short while that is a race of leaders, then the reset policy counts.
    PastEnd {
        /// By how many records.
        by: u64,
    },
}

/// The lag of a partition that was read at `taken_at`.
#[must_use]
pub fn partition_lag(
    partition: &PartitionObservation,
    past: &PartitionHistory,
    rules: LagRules,
    taken_at: Moment,
) -> PartitionLag {
    let committed = match (partition.committed, rules.compat) {
        (CommittedOffset::None, _) => return without_commit(partition, rules, LagBasis::NoCommit),
        (CommittedOffset::At(committed), Compat::Strict) => {
            return strict(committed, partition.watermarks.end);
        }
        (CommittedOffset::At(committed), Compat::Fixed) => committed,
    };
    let watermarks = partition.watermarks;
    if committed > watermarks.end {
        let basis = LagBasis::PastEnd { by: committed.records_since(watermarks.end) };
        let lasting = past.past_end_since.is_some_and(|since| taken_at.since(since) >= PAST_END_GRACE);
        // behind the last stable offset a commit may well lie further: the group reads uncommitted records
        return if lasting && rules.isolation == IsolationLevel::ReadUncommitted {
            without_commit(partition, rules, basis)
        } else {
            PartitionLag { records: 0, basis }
        };
    }
    if committed < watermarks.start {
        let basis = LagBasis::LogStart { lost: watermarks.start.records_since(committed) };
        return PartitionLag { records: signed(watermarks.end.records_since(watermarks.start)), basis };
    }
    PartitionLag { records: signed(watermarks.end.records_since(committed)), basis: LagBasis::Committed }
}

/// KEDA's: end less commit, whatever the log still holds and whatever the sign.
fn strict(committed: super::Offset, end: super::Offset) -> PartitionLag {
    let records = signed(end.records_since(committed)) - signed(committed.records_since(end));
    PartitionLag { records, basis: LagBasis::Committed }
}

/// Without a valid commit: nothing if the author says so; else the whole log for `earliest`, and 1 for `latest`, so that a
/// consumer is started which then commits (KEDA's rule).
fn without_commit(partition: &PartitionObservation, rules: LagRules, basis: LagBasis) -> PartitionLag {
    let records = match (rules.without_commit, rules.offset_reset) {
        (WithoutCommit::CountsZero, _) => 0,
        (WithoutCommit::CountsByResetPolicy, OffsetReset::Latest) => 1,
        (WithoutCommit::CountsByResetPolicy, OffsetReset::Earliest) => {
            signed(partition.watermarks.end.records_since(partition.watermarks.start))
        }
    };
    PartitionLag { records, basis }
}

fn signed(records: u64) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}
