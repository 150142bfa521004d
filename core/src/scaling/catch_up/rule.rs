//! The rules of the law that can decide.

use std::fmt;

use serde::Serialize;

/// The rule of the law that decided; `Display` formats it for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// No consumer runs and there is no backlog.
    NothingToDo,
    /// No consumer runs: start as many as the known capacity requires, or one.
    NoConsumers,
    /// There was one reading only, and rates need two.
    FirstReading,
    /// The group is behind, and the capacity is not measured yet.
    ColdStart,
    /// The capacity is not known: keep the present count.
    CapacityUnknown,
    /// The capacity is not known, and nothing has been behind for long: try fewer.
    Probing,
    /// No partition has made progress.
    NoProgress,
    /// Some consumer is overloaded.
    TooFew,
    /// The total capacity is sufficient, but one consumer is overloaded.
    Uneven,
    /// One partition exceeds any consumer's capacity, so that more consumers do not help it.
    HotPartition,
    /// One consumer is behind with the only one of its partitions that has work, so that others cannot take any of it.
    SinglePartition,
    /// One consumer is overloaded, but its records will not wait for long enough to add another.
    ShortOverload,
    /// Some partitions or shards have no consumer, and the running consumers are enough for all.
    Unowned,
    /// Further consumers would have no partition.
    AsManyAsHelp,
    /// Fewer are enough, but a scale-down does not pay for its rebalances yet.
    Holding,
    /// The backlog is drained first.
    Draining,
    /// The count is what the arrivals need.
    Enough,
    /// The count is what the arrivals need, except that a lower one was too uneven.
    NotBackTo,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToDo => "no consumers and no backlog",
            Self::NoConsumers => "no consumer is running",
            Self::FirstReading => "rates need two readings, the count is kept",
            Self::ColdStart => "the group is behind, and the capacity of a consumer is not measured yet",
            Self::CapacityUnknown => "the capacity of a consumer is not measured yet, the count is kept",
            Self::Probing => "no lag for long, and what fewer consumers can do is not known: fewer are tried",
            Self::NoProgress => "no partition has made progress, more consumers do not help: check the consumers",
            Self::TooFew => "at least one consumer is overloaded",
            Self::Uneven => "capacity is sufficient in total, but one consumer is overloaded: next useful count",
            Self::HotPartition => "a hot partition, more consumers do not help it",
            Self::SinglePartition => {
                "one consumer is behind with a single busy partition, more consumers do not help it"
            }
            Self::ShortOverload => "one consumer is overloaded, but its records do not wait long enough to add another",
            Self::Unowned => "some partitions have no consumer, and the consumers that run are enough for all",
            Self::AsManyAsHelp => "further consumers would have no partition",
            Self::Holding => "fewer are enough, but not for long enough to scale down",
            Self::Draining => "the backlog is drained before consumers are removed",
            Self::Enough => "enough for the arrivals",
            Self::NotBackTo => "enough for the arrivals, without the next lower count: it was too uneven",
        })
    }
}
