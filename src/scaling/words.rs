//! Steps of a decision in words, for people.

use std::fmt;

use super::catch_up::{CapacityFrom, Unit};
use super::{CapReason, RetentionRisk, Step};
use crate::lag::streams::AgeBasis;
use crate::lag::{Checkpoints, LagBasis};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { partitions, with_lag, lag } => {
                write!(f, "{lag} records behind in {with_lag} of {partitions} partitions")
            }
            Self::Unusual { basis, partitions } => write!(f, "{partitions} partitions: {}", basis_in_words(*basis)),
            Self::PersistentLagExcluded { partitions, lag } => {
                write!(f, "{partitions} partitions stand still: their {lag} records count for activity only")
            }
            Self::EvenDistribution { replicas } => {
                write!(f, "{replicas} replicas is the next number that divides the partitions")
            }
            Self::Capped { replicas, by: CapReason::Partitions, from } => {
                write!(f, "capped from {from}: with more than {replicas} replicas some would have no partition")
            }
            Self::Capped { replicas, by: CapReason::PartitionsWithLag, from } => {
                write!(f, "capped from {from}: only {replicas} partitions have lag")
            }
            Self::Activation { lag, threshold } => {
                let verdict = verdict(i128::from(*lag) > i128::from(*threshold));
                write!(f, "{verdict}: {lag} records behind, more than {threshold} are needed")
            }
            Self::OpenShards { open } => write!(f, "{open} open shards"),
            Self::ClosedShardsCounted { closed } => write!(f, "{closed} closed shards count too, as in KEDA"),
            Self::ShardActivation { shards, threshold, active } => {
                write!(f, "{}: {shards} shards, more than {threshold} are needed", verdict(*active))
            }
            Self::NeverRan { checkpoints } => {
                let what =
                    if *checkpoints == Checkpoints::NoTable { "no lease table" } else { "no lease in its table" };
                write!(f, "the application has {what}: it is taken to begin at initialPosition")
            }
            Self::Oldest { shard, age_ms, basis } => {
                let (age, basis) = (seconds(*age_ms), age_basis_in_words(*basis));
                write!(f, "the oldest unread record is in {shard}: {age} old, {basis}")
            }
            Self::NothingUnread { shards } => write!(f, "nothing is unread in the {shards} shards that are being read"),
            Self::NearRetention { risk, retention_ms } => {
                let (how, retention) = (risk_in_words(*risk), seconds(*retention_ms));
                write!(f, "the stream deletes records after {retention}, and {how} of that is over")
            }
            Self::AgeActivation { age_ms, threshold_ms, active } => {
                let (age, threshold) = (seconds(*age_ms), seconds(*threshold_ms));
                write!(f, "{}: {age} old, more than {threshold} are needed", verdict(*active))
            }
            Self::Flow { unit, arrivals_per_second, backlog, consumers, partitions } => {
                let unit = unit_in_words(*unit);
                write!(
                    f,
                    "{arrivals_per_second:.1} {unit} arrive in a second, {backlog:.0} {unit} are unread; {consumers} consumers work \
                     on {partitions} partitions"
                )
            }
            Self::Stuck { partitions } => {
                write!(f, "{partitions} partitions stand still while others move: they ask for nobody")
            }
            Self::Capacity { unit, per_second, from } => {
                let from = match from {
                    CapacityFrom::Measured => "as measured",
                    CapacityFrom::Trigger => "as capacityPerConsumer says",
                };
                write!(f, "one consumer can process {per_second:.1} {} in a second, {from}", unit_in_words(*unit))
            }
            Self::Need { arrivals, catching_up, catch_up_seconds, utilization } => write!(
                f,
                "{arrivals:.2} consumers for what arrives, each used to {utilization}; {catching_up:.2} to be rid of the backlog in \
                 {catch_up_seconds} s"
            ),
            Self::Hottest { place, share } => write!(f, "{place} asks for most: {share:.2} of a consumer"),
            Self::Ages { lagging, shards, oldest, consumers } => write!(
                f,
                "{lagging} of {shards} shards are behind, the oldest unread record is {oldest:.0} s old; {consumers} consumers work"
            ),
            Self::Speed { place, speed } => {
                write!(f, "{place} is worked on at {speed:.2} seconds of the stream in a second")
            }
            Self::EnoughBefore { consumers } => {
                write!(f, "{consumers:.2} consumers would have been enough when the group was busy last")
            }
            Self::ConsumersWanted { consumers, rule } => write!(f, "{consumers} consumers: {rule}"),
            Self::UselessAbove { consumers } => {
                write!(
                    f,
                    "no more than {consumers}: the last scale-up gained nothing, something else is the bottleneck"
                )
            }
            Self::OverTolerance { asked, now } => {
                write!(f, "{asked:.2} is asked for: from {now} an HPA would not move for less")
            }
            Self::PerReplica { consumers_per_replica } => {
                write!(f, "{consumers_per_replica} consumers run in a replica")
            }
            Self::CatchUpActivation { active } => write!(
                f,
                "{}: {}",
                verdict(*active),
                if *active { "there is something to do" } else { "nothing is unread beyond the threshold" }
            ),
        }
    }
}

const fn unit_in_words(unit: Unit) -> &'static str {
    match unit {
        Unit::Records => "records",
        Unit::Kilobytes => "kilobytes",
    }
}

const fn verdict(active: bool) -> &'static str {
    if active { "active" } else { "not active" }
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
        AgeBasis::SequenceNumber => "at most, by the time inside the checkpoint",
        AgeBasis::EarlierRead => "at most, by an earlier read",
        AgeBasis::EmptyPages => "at most, as the service tells behind empty pages",
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
        LagBasis::FormerTopic => {
            "the commit belongs to a deleted topic of this name; counted by offsetResetPolicy".into()
        }
        LagBasis::PastEnd { by } => format!("the commit lies {by} records past the end of the log"),
    }
}
