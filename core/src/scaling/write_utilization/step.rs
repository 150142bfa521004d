//! How the number of shards was calculated.

use std::fmt;

use serde::Serialize;

/// The rule that decided on a number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ShardRule {
    /// The need is above `scaleUpUtilization`.
    Up,
    /// Records are rejected and little headroom is left.
    Full,
    /// Records are rejected although the mean leaves headroom.
    Bursts,
    /// Fewer shards were enough for `scaleDownAfter`.
    Down,
    /// The number of open shards fits the need.
    NoChange,
}

/// One step towards a number of shards; `Display` formats it for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
pub enum WriteStep {
    /// The present writes to the stream.
    Load {
        /// The number of shards that the writes fill.
        shards: f64,
        /// The number of open shards.
        open: u32,
        /// The capacity in shards: below the number of open ones where their ranges of hash keys differ.
        capacity: f64,
    },
    /// The expected load of the near future.
    Due {
        /// Shards that a steady rise adds before a change is complete.
        trend: f64,
        /// Shards that were filled at this time on both of the last two days.
        habit: f64,
        /// The need in shards.
        need: f64,
    },
    /// The share of the records that were rejected within five minutes.
    Throttled {
        /// The rejected share, between 0 and 1.
        share: f64,
    },
    /// More shards did not help: one partition key receives more than a shard accepts.
    HotKey,
    /// The highest load within the time after which the count may fall.
    Peak {
        /// The number of shards that it filled.
        shards: f64,
        /// The length of that time, in minutes.
        minutes: u64,
        /// The number of shards that is enough for the peak and for the need.
        enough: u32,
    },
    /// The resulting number of shards.
    Wanted {
        /// The number of shards.
        shards: u32,
        /// The rule that decided.
        rule: ShardRule,
    },
}

impl fmt::Display for WriteStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { shards, open, capacity } => {
                let percent = 100.0 * shards / capacity;
                write!(f, "writes fill {shards:.2} shards, {percent:.0} % of the capacity; {open} are open")?;
                if f64::from(*open) > capacity + 0.05 {
                    write!(f, " and worth {capacity:.1}: their hash key ranges differ")?;
                }
                Ok(())
            }
            Self::Due { trend, habit, need } => write!(
                f,
                "needed soon: {need:.2} shards (a steady rise adds {trend:.2}; on both of the last two days {habit:.2} at this time)"
            ),
            Self::Throttled { share } => write!(f, "{:.2} % of the records were throttled within 5 min", 100.0 * share),
            Self::HotKey => f.write_str("more shards did not reduce the throttling: one partition key is hot"),
            Self::Peak { shards, minutes, enough } => {
                write!(f, "the peak of {minutes} min filled {shards:.2} shards: {enough} would be enough")
            }
            Self::Wanted { shards, rule } => write!(f, "{shards} shards: {rule}"),
        }
    }
}

impl fmt::Display for ShardRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "the need is above scaleUpUtilization",
            Self::Full => "records are throttled and little room is left, so the need is unknown: twice the shards",
            Self::Bursts => "records are throttled in bursts although there is room on the mean: a quarter more",
            Self::Down => "fewer were enough for scaleDownAfter",
            Self::NoChange => "the open shards are right",
        })
    }
}
