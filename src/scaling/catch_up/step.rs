//! The steps of the law towards a decision.

use std::fmt;

use serde::Serialize;

use super::Rule;
use crate::scaling::Quantity;
use crate::scaling::words::{counted, verdict};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Records.
    Records,
    /// Kilobytes.
    Kilobytes,
}

/// How a consumer's capacity is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CapacityFrom {
    /// From consumers that had more to do than they could.
    Measured,
    /// From `capacityPerConsumer`.
    Trigger,
}

/// One step towards a decision; `Display` says it in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
pub enum CatchUpStep {
    /// What arrives, and what is not read yet.
    Flow {
        /// What is counted.
        unit: Unit,
        /// What arrives in a second.
        arrivals_per_second: Quantity,
        /// The lag of the partitions: what is not read yet, and what `offsetResetPolicy` counts.
        backlog: Quantity,
        /// Consumers that have something to work on.
        consumers: usize,
        /// Partitions or shards.
        partitions: usize,
    },
    /// Partitions that nobody moves while others are moved: they ask for no consumer.
    Stuck {
        /// How many.
        partitions: usize,
    },
    /// Backlog that does not activate: a record or two in partitions that stand still, such as the end markers of transactions, which no
    /// consumer reads.
    NotActivating {
        /// How many records.
        records: Quantity,
    },
    /// What one consumer can do.
    Capacity {
        /// What is counted.
        unit: Unit,
        /// In a second.
        per_second: Quantity,
        /// How that is known.
        from: CapacityFrom,
    },
    /// The consumers that the sums ask for, whatever can be shared.
    Need {
        /// For what arrives, at the target utilisation.
        arrivals: Quantity,
        /// For what arrives and the backlog in time.
        catching_up: Quantity,
        /// That time, in seconds.
        catch_up_seconds: Quantity,
        /// The target utilisation.
        utilization: Quantity,
    },
    /// The partition that asks for most.
    Hottest {
        /// Which.
        place: String,
        /// The share of one consumer that it needs; 1 and more is too much for any.
        share: Quantity,
    },
    /// Counts of consumers that help: the next below, the one that is wanted, and the next above.
    Considered {
        /// Those of them that there are.
        counts: Vec<usize>,
    },
    /// How old what is unread is, where only that is known.
    Ages {
        /// Shards that are behind and being worked on.
        lagging: usize,
        /// Shards that are being read.
        shards: usize,
        /// Seconds since the oldest unread record arrived.
        oldest: Quantity,
        /// Consumers that have something to work on.
        consumers: usize,
    },
    /// How fast the shard that is furthest behind is worked on.
    Speed {
        /// Which.
        place: String,
        /// Seconds of the stream in a second; 1 keeps up.
        speed: Quantity,
    },
    /// When the group was busy last, so many would have been enough.
    EnoughBefore {
        /// How many.
        consumers: Quantity,
    },
    /// What the law wants.
    Wanted {
        /// How many.
        consumers: usize,
        /// By which rule.
        rule: Rule,
    },
    /// The last scale-up gained nothing: no more for a while.
    UselessAbove {
        /// Than this.
        consumers: usize,
    },
    /// An HPA would ignore so small a difference: a little more is asked for.
    OverTolerance {
        /// So much.
        asked: Quantity,
        /// Consumers now.
        now: usize,
    },
    /// An HPA ignores so small a difference, and asking for more would be asking for more than there are partitions.
    WithinTolerance {
        /// Consumers now.
        now: usize,
    },
    /// Several consumers run in a replica.
    PerReplica {
        /// How many.
        consumers_per_replica: u32,
    },
    /// Whether there is more to do than the threshold.
    Activation {
        /// Whether there is.
        active: bool,
    },
}

impl fmt::Display for CatchUpStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow { unit, arrivals_per_second, backlog, consumers, partitions } => {
                write!(
                    f,
                    "{arrivals_per_second:.1} {unit} arrive in a second, the backlog is {backlog:.0} {unit}; {consumers} consumers work \
                     on {partitions} partitions"
                )
            }
            Self::Stuck { partitions } => {
                let partitions = counted(*partitions, "partition");
                write!(f, "{partitions} did not move while others did: nobody is asked for there")
            }
            Self::NotActivating { records } => write!(
                f,
                "{records:.0} of the backlog does not activate: no more than two records in a partition that stands still, such as end \
                 markers of transactions"
            ),
            Self::Capacity { unit, per_second, from } => {
                let from = match from {
                    CapacityFrom::Measured => "as measured",
                    CapacityFrom::Trigger => "as capacityPerConsumer says",
                };
                write!(f, "one consumer can process {per_second:.1} {unit} in a second, {from}")
            }
            Self::Need { arrivals, catching_up, catch_up_seconds, utilization } => write!(
                f,
                "{arrivals:.2} consumers for what arrives, each used to {utilization}; {catching_up:.2} to be rid of the backlog in \
                 {catch_up_seconds} s"
            ),
            Self::Hottest { place, share } => write!(f, "{place} asks for most: {share:.2} of a consumer"),
            Self::Considered { counts } => {
                let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
                write!(f, "counts that share the partitions better than fewer do, nearby: {}", counts.join(", "))
            }
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
            Self::Wanted { consumers, rule } => write!(f, "{consumers} consumers: {rule}"),
            Self::UselessAbove { consumers } => {
                write!(
                    f,
                    "no more than {consumers}: the last scale-up gained nothing, something else is the bottleneck"
                )
            }
            Self::OverTolerance { asked, now } => {
                write!(f, "{asked:.2} is asked for: from {now} an HPA would not move for less")
            }
            Self::WithinTolerance { now } => write!(
                f,
                "from {now} an HPA does not move for so little, and more would be more than there are partitions: set the HPA's \
                 behavior.scaleUp.tolerance, and scaleUpTolerance, to 0"
            ),
            Self::PerReplica { consumers_per_replica } => {
                write!(f, "{consumers_per_replica} consumers run in a replica")
            }
            Self::Activation { active } => write!(
                f,
                "{}: {}",
                verdict(*active),
                if *active { "there is something to do" } else { "nothing is unread beyond the threshold" }
            ),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records => "records",
            Self::Kilobytes => "kilobytes",
        })
    }
}
