//! Why a stream does not have the shards that are wanted.

use std::fmt;

use super::Unready;
use crate::lag::streams::Timestamp;
use crate::scaling::counted;

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
    /// Neither the stream nor own calls show its last changes, so that no rest and no budget can be kept.
    ChangesUnknown,
    /// Another hand has resized the stream: its count stands for an hour, unless more is needed.
    ChangedElsewhere {
        /// For this long.
        until: Timestamp,
    },
    /// A lower count waits for a consumer.
    Consumer {
        /// Its application.
        application: String,
        /// For what.
        unready: Unready,
    },
    /// What is written now needs more.
    BelowUse {
        /// This many.
        least: u32,
    },
    /// A lower count was undone before, and the peak of a longer time than `scaleDownAfter` needs more.
    RecentPeak {
        /// This many.
        least: u32,
    },
    /// The account's shards are used up.
    AccountQuota,
}

impl Reason {
    /// Its name, as conditions have it.
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
