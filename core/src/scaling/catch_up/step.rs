//! The steps of the law towards a decision, with the numbers behind it.

use std::fmt;

use serde::Serialize;

use super::{Because, Rule};
use crate::scaling::Quantity;
use crate::scaling::words::{counted, verdict};

/// The unit of backlog and rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Counts records, for Kafka.
    Records,
    /// Counts kilobytes, for KCL 3.
    Kilobytes,
    /// Thousandths of a consumer's capacity per second, where only ages are known.
    Demand,
}

/// The source of the capacity of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CapacityFrom {
    /// Measured from consumers with more work than they could do.
    Measured,
    /// From `capacityPerConsumer`.
    Trigger,
    /// From `capacityPerConsumer` and from too few commits to use alone.
    Both,
    /// From the fastest consumer so far, as a lower bound.
    Fastest,
}

/// One step towards a decision; `Display` formats it for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
pub enum CatchUpStep {
    /// Consumers and backlog at the reading.
    Flow {
        /// The unit of the backlog.
        unit: Unit,
        /// The lag of the partitions: unread records, and what `offsetResetPolicy` counts.
        backlog: Quantity,
        /// The number of consumers that own a partition or shard.
        consumers: usize,
        /// The number of partitions or shards.
        partitions: usize,
    },
    /// Partitions that make no progress while others do: no consumer is requested for them.
    Stuck {
        /// The number of stuck partitions.
        partitions: usize,
    },
    /// Backlog that does not activate the workload: one or two records in partitions without progress, such as the end markers of
    /// transactions, which no consumer reads.
    NotActivating {
        /// The number of records.
        records: Quantity,
    },
    /// The rate of arrivals that decides.
    Arrivals {
        /// The unit of the rates.
        unit: Unit,
        /// The rate of arrivals per second.
        per_second: Quantity,
        /// Why this rate is used.
        because: Because,
        /// The present arrivals per second.
        level: Quantity,
    },
    /// The capacity of one consumer.
    Capacity {
        /// The unit of the capacity.
        unit: Unit,
        /// The capacity per second.
        per_second: Quantity,
        /// The source of the capacity.
        from: CapacityFrom,
    },
    /// What happens until more consumers help.
    Forecast {
        /// Seconds from the request for more consumers to their first progress.
        reaction_seconds: Quantity,
        /// The age in seconds of the oldest unread record now, beyond what commits explain. `None` where it is unknown: records are unread
        /// in a partition in which nothing has arrived since the first reading.
        #[serde(skip_serializing_if = "Option::is_none")]
        oldest_seconds: Option<Quantity>,
        /// The expected age in seconds at the time of that progress, where the present one is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        age_seconds: Option<Quantity>,
        /// The objective in seconds.
        max_age_seconds: Quantity,
    },
    /// The consumers that are needed if any of them could do any part of the work.
    Need {
        /// The consumers that cover the arrivals at the target utilization.
        arrivals: Quantity,
        /// The consumers that also keep the objective.
        objective: Quantity,
        /// The target utilization.
        utilization: Quantity,
    },
    /// The partition or shard with the highest need.
    Hottest {
        /// The name of the partition or shard.
        place: String,
        /// The share of one consumer that it needs; 1 and more exceeds any consumer's capacity.
        share: Quantity,
    },
    /// Useful counts of consumers: the next below, the requested one, and the next above.
    Considered {
        /// The counts that exist.
        counts: Vec<usize>,
    },
    /// The ages of unread records, where only those are known.
    Ages {
        /// The number of shards that are behind and make progress.
        lagging: usize,
        /// The number of shards that are being read.
        shards: usize,
        /// Seconds since the oldest unread record arrived.
        oldest: Quantity,
        /// The number of consumers that own a shard.
        consumers: usize,
    },
    /// The speed at which the shard that is furthest behind is read.
    Speed {
        /// The name of the shard.
        place: String,
        /// Seconds of the stream per second; 1 keeps up.
        speed: Quantity,
    },
    /// The count that the law decided on.
    Wanted {
        /// The requested number of consumers.
        consumers: usize,
        /// The rule that decided.
        rule: Rule,
    },
    /// Fewer consumers are enough, but the count is held.
    Held {
        /// The count that is enough.
        enough: usize,
        /// The hold ends in this number of seconds, unless arrivals rise.
        seconds: Quantity,
    },
    /// The difference is within the tolerance of the HPA: a slightly higher value is reported.
    OverTolerance {
        /// The value that is reported.
        asked: Quantity,
        /// The present number of consumers.
        now: usize,
    },
    /// The difference is within the tolerance of the HPA, and a higher value would exceed the number of partitions.
    WithinTolerance {
        /// The present number of consumers.
        now: usize,
    },
    /// Several consumers run in a replica.
    PerReplica {
        /// The number of consumers per replica.
        consumers_per_replica: u32,
    },
    /// Whether the backlog is above the activation threshold.
    Activation {
        /// Whether the workload is active.
        active: bool,
    },
}

impl fmt::Display for CatchUpStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow { unit, backlog, consumers, partitions } => {
                let (consumers, partitions) = (counted(*consumers, "consumer"), counted(*partitions, "partition"));
                match unit {
                    // a partition without a commit counts as well, and is no record
                    Unit::Records => write!(f, "lag {backlog:.0}; {consumers} for {partitions}"),
                    _ => write!(f, "backlog {backlog:.0} {unit}; {consumers} for {partitions}"),
                }
            }
            Self::Stuck { partitions } => {
                let is = if *partitions == 1 { "is" } else { "are" };
                let partitions = counted(*partitions, "partition");
                write!(f, "{partitions} {is} stuck while others make progress: no consumer is requested for that")
            }
            Self::NotActivating { records } => write!(
                f,
                "{records:.0} of the backlog does not activate: at most two records in a partition without progress, such as end markers \
                 of transactions"
            ),
            Self::Arrivals { unit, per_second, because: Because::Steady, .. } => {
                write!(f, "arrivals {per_second:.1} {unit}/s")
            }
            Self::Arrivals { unit, per_second, because: Because::Growing, level } => {
                write!(f, "arrivals {per_second:.1} {unit}/s when more consumers can help: they grow, {level:.1} now")
            }
            Self::Arrivals { unit, per_second, because, .. } => {
                write!(f, "arrivals {per_second:.1} {unit}/s, {because}")
            }
            Self::Capacity { unit, per_second, from } => write!(f, "{from}: {per_second:.1} {unit}/s per consumer"),
            Self::Forecast { reaction_seconds, oldest_seconds, age_seconds, max_age_seconds } => {
                write!(f, "more consumers would help in {reaction_seconds:.0} s; ")?;
                match (oldest_seconds, age_seconds) {
                    (Some(oldest), Some(age)) => {
                        write!(f, "the oldest unread record is {oldest:.0} s old, and {age:.0} s by then; ")?;
                    }
                    _ => f.write_str("the age of the oldest unread record is unknown until more records arrive; ")?,
                }
                write!(f, "the promise is {max_age_seconds} s")
            }
            Self::Need { arrivals, objective, utilization } => write!(
                f,
                "{arrivals:.2} consumers cover the arrivals at {:.0} % utilization; {objective:.2} also keep the promise",
                100.0 * utilization.get()
            ),
            Self::Hottest { place, share } => {
                write!(f, "busiest: {place} needs {:.0} % of one consumer", 100.0 * share.get())
            }
            Self::Considered { counts } => {
                let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
                write!(f, "useful counts nearby: {} (others relieve no consumer)", counts.join(", "))
            }
            Self::Ages { lagging, shards, oldest, consumers } => {
                let consumers = counted(*consumers, "consumer");
                write!(
                    f,
                    "{lagging} of {shards} shards are behind, the oldest unread record is {oldest:.0} s old; {consumers}"
                )
            }
            Self::Speed { place, speed } => write!(f, "{place} is read at {speed:.2}x the speed of its records"),
            Self::Wanted { consumers, rule } => write!(f, "{}: {rule}", counted(*consumers, "consumer")),
            Self::Held { enough, seconds } => write!(
                f,
                "{} would do; holding for {seconds:.0} s more: going down and up again would cost more than it saves",
                counted(*enough, "consumer")
            ),
            Self::OverTolerance { asked, now } => {
                write!(f, "{asked:.2} is reported: from {now} the HPA ignores less (tolerance)")
            }
            Self::WithinTolerance { now } => write!(
                f,
                "from {now} the HPA ignores so small a difference, and a higher value would be more than there are partitions: set \
                 behavior.scaleUp.tolerance, and scaleUpTolerance, to 0"
            ),
            Self::PerReplica { consumers_per_replica } => write!(f, "{consumers_per_replica} consumers per replica"),
            Self::Activation { active } => {
                let what = if *active {
                    "backlog above the activation threshold"
                } else {
                    "no backlog above the activation threshold"
                };
                write!(f, "{}: {what}", verdict(*active))
            }
        }
    }
}

impl fmt::Display for CapacityFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "measured capacity",
            Self::Trigger => "capacity, from capacityPerConsumer",
            Self::Both => "capacity, from capacityPerConsumer and the first commits",
            Self::Fastest => "capacity, at least that of the fastest consumer so far",
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records => "records",
            Self::Kilobytes => "kilobytes",
            Self::Demand => "thousandths of a consumer",
        })
    }
}
