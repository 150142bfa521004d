//! The progress that an application has written.

use std::fmt;
use std::sync::Arc;

use super::{SequenceNumber, ShardId};

/// The position of an application in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// At the oldest record; this stays while the shard has none.
    TrimHorizon,
    /// At the newest record when its consumer started, which is not stored.
    Latest,
    /// At a time that is only in the application's configuration.
    AtTimestamp,
    /// After this record: it and everything before it is processed.
    After(SequenceNumber),
    /// At the end of the closed shard: everything is processed.
    ShardEnd,
}

/// An application's row for one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The shard of this row.
    pub shard: ShardId,
    /// The position of the application.
    pub checkpoint: Checkpoint,
    /// The index of the last processed user record within the record of the checkpoint, where the store has it. It is 0 for a record that
    /// the Kinesis Producer Library did not pack.
    pub sub_sequence: Option<u64>,
    /// The parents of this shard, if the store has them.
    pub parents: Vec<ShardId>,
    /// The worker that owns the lease; a dead worker stays the owner until another takes over.
    pub owner: Option<Arc<str>>,
    /// The counter of renewals, which stops when the owner is dead.
    pub counter: Option<u64>,
    /// The throughput of the owner on this shard in kilobytes per second, if the store has it.
    pub throughput_kbps: Option<f64>,
}

impl Checkpoint {
    /// Parses a word of KCL or a sequence number; `None` where the text is neither.
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
