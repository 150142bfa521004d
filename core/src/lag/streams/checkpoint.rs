//! What an application has written of its progress.

use std::fmt;
use std::sync::Arc;

use super::{SequenceNumber, ShardId};

/// How far an application is in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// At its oldest record; it stays so while the shard has none.
    TrimHorizon,
    /// At the newest record when its consumer first looked, which is not written down.
    Latest,
    /// At a time that only the application's configuration has.
    AtTimestamp,
    /// Everything up to this record is processed.
    After(SequenceNumber),
    /// Everything is processed, and nothing will come.
    ShardEnd,
}

/// An application's row for one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The shard.
    pub shard: ShardId,
    /// How far the application is.
    pub checkpoint: Checkpoint,
    /// The index of the last processed user record within the record of the checkpoint, where the store has it. It is 0 for a record
    /// that is not packed by the Kinesis Producer Library.
    pub sub_sequence: Option<u64>,
    /// The shards that this one continues, if the store says so.
    pub parents: Vec<ShardId>,
    /// Who works on it; a worker that is gone stays the owner until another takes over.
    pub owner: Option<Arc<str>>,
    /// Counts renewals: it stands still when the owner is gone.
    pub counter: Option<u64>,
    /// What the owner reads of the shard, in kilobytes a second, if the store says so.
    pub throughput_kbps: Option<f64>,
}

impl Checkpoint {
    /// Reads KCL's words, or a sequence number; `None` where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "LATEST" => Some(Self::Latest),
            "AT_TIMESTAMP" => Some(Self::AtTimestamp),
            "SHARD_END" => Some(Self::ShardEnd),
            number => SequenceNumber::parse(number).map(Self::After),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::ShardEnd => "SHARD_END",
            Self::After(number) => number.as_str(),
        })
    }
}
