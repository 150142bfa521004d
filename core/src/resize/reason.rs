//! Why a stream does not have the requested shards.

use std::fmt;

use super::Unready;
use crate::lag::streams::Timestamp;
use crate::scaling::counted;

/// The reason that keeps a stream from the requested count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The stream is in on-demand mode: AWS sizes it.
    NotApplicable,
    /// A change is in progress.
    Updating,
    /// The requested count is above the maximum.
    AboveMax {
        /// The requested number of shards.
        wanted: u32,
        /// The maximum number of shards.
        max: u32,
    },
    /// The requested count is below the minimum.
    BelowMin {
        /// The requested number of shards.
        wanted: u32,
        /// The minimum number of shards.
        min: u32,
    },
    /// One call at most doubles the count and at least halves it: more calls will follow.
    Step,
    /// The day's calls are used, or a lower count would use the calls that a later raise needs.
    Budget {
        /// When the next call becomes available.
        until: Timestamp,
    },
    /// A lower count waits after a change.
    Resting {
        /// When the wait ends.
        until: Timestamp,
    },
    /// Neither the stream nor this scaler's calls show the last changes, so that no wait and no budget can be observed.
    ChangesUnknown,
    /// Another actor has resized the stream: its count is kept for an hour, unless more shards are needed.
    ChangedElsewhere {
        /// When that hour ends.
        until: Timestamp,
    },
    /// A lower count waits for a consumer.
    Consumer {
        /// The application of the consumer.
        application: String,
        /// What the consumer has not done yet.
        unready: Unready,
    },
    /// The present writes need more shards.
    BelowUse {
        /// The number of shards that they need.
        least: u32,
    },
    /// A lower count was undone before, and the peak of a longer time than `scaleDownAfter` needs more shards.
    RecentPeak {
        /// The number of shards that the peak needs.
        least: u32,
    },
    /// The account's quota of shards is exhausted.
    AccountQuota,
}

impl Reason {
    /// The name of the reason in the resource's conditions.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotApplicable => "NotApplicable",
            Self::Updating => "Updating",
            Self::AboveMax { .. } => "AboveMax",
            Self::BelowMin { .. } => "BelowMin",
            Self::Step => "Step",
            Self::Budget { .. } => "Budget",
            Self::Resting { .. } | Self::RecentPeak { .. } => "Resting",
            Self::ChangesUnknown => "ChangesUnknown",
            Self::ChangedElsewhere { .. } => "ChangedElsewhere",
            Self::Consumer { unready: Unready::GenerationUnread, .. } => "GenerationUnread",
            Self::Consumer { .. } => "ConsumersBehind",
            Self::BelowUse { .. } => "BelowUse",
            Self::AccountQuota => "AccountQuota",
        }
    }
}

/// `1 shard`, `4 shards`
pub fn shards(count: u32) -> String {
    counted(count as usize, "shard")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable => f.write_str("the stream is on demand: AWS sizes it"),
            Self::Updating => f.write_str("the stream is being changed"),
            Self::AboveMax { wanted, max } => write!(f, "{} requested, and maxShards is {max}", shards(*wanted)),
            Self::BelowMin { wanted, min } => write!(f, "{} requested, and minShards is {min}", shards(*wanted)),
            Self::Step => f.write_str("one call at most doubles and at least halves the count: more calls follow"),
            Self::Budget { until } => {
                write!(f, "the calls of 24 hours are used or reserved; the next is free at {until}")
            }
            Self::Resting { until } => write!(f, "a lower count waits until {until}, after the last change"),
            Self::ChangesUnknown => {
                f.write_str("a lower count waits, because the shards do not show when the stream was last resized")
            }
            Self::ChangedElsewhere { until } => {
                write!(
                    f,
                    "the stream was resized, and not by this scaler: its count stands until {until} unless more is needed"
                )
            }
            Self::Consumer { application, unready } => match unready {
                Unready::Behind { age, most } => {
                    let (age, most) = (age.as_secs(), most.as_secs());
                    write!(f, "a lower count waits for {application}, which is {age} s behind, more than {most} s")
                }
                Unready::GenerationUnread => {
                    write!(f, "a lower count waits until {application} has read the shards that the last change closed")
                }
                Unready::Unreadable(why) => {
                    write!(f, "a lower count waits, because it is unknown how far {application} is: {why}")
                }
            },
            Self::BelowUse { least } => write!(f, "what is written now needs {}", shards(*least)),
            Self::RecentPeak { least } => {
                write!(
                    f,
                    "the last lower count was soon undone, and the peak of the last hours needs {}",
                    shards(*least)
                )
            }
            Self::AccountQuota => f.write_str("the account's quota of shards is used up"),
        }
    }
}
