//! Steps of a decision in words, for people.

use std::fmt;

use super::{CapReason, RetentionRisk, Step};
use crate::lag::streams::AgeBasis;
use crate::lag::{Checkpoints, LagBasis};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { partitions, partitions_behind, records_behind } => {
                let partitions = counted(*partitions, "partition");
                match records_behind {
                    Some(records) => {
                        write!(f, "{} behind in {partitions_behind} of {partitions}", counted(*records, "record"))
                    }
                    None => write!(f, "no valid commit in {partitions}"),
                }
            }
            Self::Lag { lag, by_reset_policy, without_commit, as_built_in } => {
                write!(f, "lag {lag}: the records behind")?;
                without_a_commit(f, *by_reset_policy, *without_commit)?;
                match as_built_in {
                    0 => Ok(()),
                    records => {
                        let sign = if *records > 0 { "plus" } else { "less" };
                        write!(f, ", {sign} {} as KEDA counts (compat: strict)", records.unsigned_abs())
                    }
                }
            }
            Self::SelectedBeyond { ranges } => {
                let ranges = ranges
                    .iter()
                    .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
                let ranges = ranges.collect::<Vec<_>>().join(", ");
                write!(f, "partitionLimitation selects {ranges} as well, which do not exist")
            }
            Self::Unusual { basis, partitions } => {
                write!(f, "{}: {}", counted(*partitions, "partition"), basis_in_words(*basis))
            }
            Self::PersistentLagExcluded { partitions, lag } => {
                let (records, partitions) = (counted(*lag, "record"), counted(*partitions, "partition"));
                write!(
                    f,
                    "excluded from the value, still counted for activation: {records} in {partitions} without progress"
                )
            }
            Self::EvenDistribution { replicas } => {
                write!(f, "{replicas} replicas is the next number that divides the partitions")
            }
            Self::ShareGroup => f.write_str(
                "share group: every consumer reads every partition, so partitions do not limit the replicas",
            ),
            Self::Capped { replicas, by: CapReason::Partitions, from } => {
                write!(f, "capped from {from}: with more than {replicas} replicas some would have no partition")
            }
            Self::Capped { replicas, by: CapReason::PartitionsWithLag, from } => {
                write!(f, "capped from {from}: only {replicas} partitions have lag")
            }
            Self::Activation { lag, threshold } => {
                let verdict = verdict(i128::from(*lag) > i128::from(*threshold));
                write!(f, "{verdict}: lag {lag}, more than {threshold} is needed")
            }
            Self::OpenShards { open } => f.write_str(&counted(*open, "open shard")),
            Self::ClosedShardsCounted { closed } => {
                write!(f, "{} counted too, as in KEDA", counted(*closed, "closed shard"))
            }
            Self::ShardActivation { shards, threshold, active } => {
                let shards = counted(*shards, "shard");
                write!(f, "{}: {shards}, more than {threshold} are needed", verdict(*active))
            }
            Self::NeverRan { checkpoints } => {
                let what =
                    if *checkpoints == Checkpoints::NoTable { "no lease table" } else { "no lease in its table" };
                write!(f, "the application has {what}: assuming it starts at initialPosition")
            }
            Self::Oldest { shard, age_ms, basis } => {
                let (age, basis) = (seconds(*age_ms), age_basis_in_words(*basis));
                write!(f, "the oldest unread record is in {shard}: {age} old, {basis}")
            }
            Self::NothingUnread { shards } => {
                write!(f, "nothing is unread in {} being read", counted(*shards, "shard"))
            }
            Self::NearRetention { risk, retention_ms } => {
                let (how, retention) = (risk_in_words(*risk), seconds(*retention_ms));
                write!(f, "the stream deletes records after {retention}, and {how} of that has passed")
            }
            Self::CheckpointsRead { ago_ms, every_ms, read_units } => {
                let (ago, every) = (seconds(*ago_ms), seconds(*every_ms));
                write!(
                    f,
                    "checkpoints read {ago} ago; one read of the table costs {read_units:.1} read units, so leaseTableReadUnits \
                     allows one every {every}"
                )
            }
            Self::AgeActivation { age_ms, threshold_ms, active } => {
                let (age, threshold) = (seconds(*age_ms), seconds(*threshold_ms));
                write!(f, "{}: {age} old, more than {threshold} are needed", verdict(*active))
            }
            Self::CatchUp(step) => step.fmt(f),
            Self::Writes(step) => step.fmt(f),
        }
    }
}

/// `1 record`, `2 records`.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

pub(super) const fn verdict(active: bool) -> &'static str {
    if active { "active" } else { "not active" }
}

/// What partitions without a commit add to the lag: 1 each is no record, but what KEDA counts so that a consumer starts.
fn without_a_commit(f: &mut fmt::Formatter<'_>, records: u64, partitions: u64) -> fmt::Result {
    let named = counted(partitions, "partition");
    match records {
        0 => Ok(()),
        1 if partitions == 1 => write!(f, ", plus {named} without a commit, counted as 1"),
        _ if records == partitions => write!(f, ", plus {named} without a commit, counted as 1 each"),
        _ => write!(f, ", plus {records} in {named} without a commit, by offsetResetPolicy"),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

const fn risk_in_words(risk: RetentionRisk) -> &'static str {
    match risk {
        RetentionRisk::OverHalf => "more than half",
        RetentionRisk::OverFourFifths => "more than four fifths",
    }
}

const fn age_basis_in_words(basis: AgeBasis) -> &'static str {
    match basis {
        AgeBasis::Record => "by its own time",
        AgeBasis::EarlierCheckpoint => "at most, by the last checkpoint that was read",
        AgeBasis::SequenceNumber => "at most, by the time inside the checkpoint",
        AgeBasis::EarlierRead => "at most, by an earlier read",
        AgeBasis::EmptyPages => "at most, as the service reports behind empty pages",
        AgeBasis::Beginning => "at most, by the beginning of what is to be read",
        AgeBasis::Retention => "at most, by the stream's retention",
    }
}

fn basis_in_words(basis: LagBasis) -> String {
    match basis {
        LagBasis::Committed => "counted from the commit".into(),
        LagBasis::LogStart { lost } => {
            format!("retention deleted {lost} records before they were read; counted from the start of the log")
        }
        LagBasis::NoCommit => "no commit; counted by offsetResetPolicy".into(),
        LagBasis::PastEnd { by } => format!("the commit lies {by} records past the end of the log"),
    }
}
