//! Why a stream does not have the shards that are wanted.

use std::fmt;

use crate::lag::streams::Timestamp;

/// What keeps a stream from the count that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// AWS sizes the stream.
    NotApplicable,
    /// A change is under way.
    Updating,
    /// More is wanted than may be.
    AboveMax {
        /// The shards that are wanted.
        wanted: u32,
        /// The most that there may be.
        max: u32,
    },
    /// Fewer are wanted than must be.
    BelowMin {
        /// The shards that are wanted.
        wanted: u32,
        /// The fewest that there must be.
        min: u32,
    },
    /// One call at most doubles the count and at least halves it: more calls follow.
    Step,
    /// The day's calls are used, or a lower count would use what the way back needs.
    Budget {
        /// When one more is free.
        until: Timestamp,
    },
    /// A lower count waits after a change.
    Resting {
        /// For this long.
        until: Timestamp,
    },
    /// What is written now needs more.
    BelowUse {
        /// This many.
        least: u32,
    },
    /// The account's shards are used up.
    AccountQuota,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable => f.write_str("the stream is on demand: AWS sizes it"),
            Self::Updating => f.write_str("the stream is being changed"),
            Self::AboveMax { wanted, max } => write!(f, "{wanted} shards are wanted, and maxShards is {max}"),
            Self::BelowMin { wanted, min } => write!(f, "{wanted} shards are wanted, and minShards is {min}"),
            Self::Step => f.write_str("one call at most doubles and at least halves the count: more calls follow"),
            Self::Budget { until } => {
                write!(f, "the calls of 24 hours are used or reserved; the next is free at {until}")
            }
            Self::Resting { until } => write!(f, "a lower count waits until {until}, after the last change"),
            Self::BelowUse { least } => write!(f, "what is written now needs {least} shards"),
            Self::AccountQuota => f.write_str("the account's quota of shards is used up"),
        }
    }
}
