//! Contradictions between a checkpoint and a shard.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Checkpoint, Lease, Shard, ShardId, ShardState, Timestamp};

/// Two facts that exclude each other: the content of a checkpoint, and the service's description of its shard.
///
/// The usual cause is a stream that was deleted and recreated under its name while the rows of the former one were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The row marks its shard as finished, and the shard still accepts records.
    FinishedButOpen {
        /// The shard of the row.
        shard: ShardId,
    },
    /// The checkpoint is a sequence number of a shard with another index.
    OtherShard {
        /// The shard of the row.
        shard: ShardId,
        /// The index inside the checkpoint.
        index: u32,
    },
    /// The checkpoint is a sequence number of a shard with the same id that was created at another time.
    OtherStream {
        /// The shard of the row.
        shard: ShardId,
        /// When the shard of the checkpoint was created.
        checkpoint_of: Timestamp,
        /// When the present shard was created.
        created: Timestamp,
    },
}

impl Contradiction {
    /// Finds the first row that contradicts its shard.
    #[must_use]
    pub fn find<'a>(leases: &[Lease], shard: impl Fn(&ShardId) -> Option<&'a Shard>) -> Option<Self> {
        leases.iter().find_map(|lease| Self::between(lease, shard(&lease.shard)?))
    }

    /// The shard that both facts are about.
    #[must_use]
    pub const fn shard(&self) -> &ShardId {
        match self {
            Self::FinishedButOpen { shard } | Self::OtherShard { shard, .. } | Self::OtherStream { shard, .. } => shard,
        }
    }

    fn between(lease: &Lease, shard: &Shard) -> Option<Self> {
        let number = match &lease.checkpoint {
            Checkpoint::ShardEnd => {
                return (shard.state == ShardState::Open).then(|| Self::FinishedButOpen { shard: shard.id.clone() });
            }
            Checkpoint::After(number) => number,
            Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp => return None,
        };
        let (checkpoint, own) = (number.origin()?, shard.first.as_ref()?.origin()?);
        // a merged shard may be listed with the first number of a parent, which does not apply to the merged one
        (shard.id.index() == Some(own.shard_index)).then_some(())?;
        let shard = shard.id.clone();
        if checkpoint.shard_index != own.shard_index {
            return Some(Self::OtherShard { shard, index: checkpoint.shard_index });
        }
        let created = |seconds: u64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        (checkpoint.created_seconds != own.created_seconds).then(|| Self::OtherStream {
            shard,
            checkpoint_of: created(checkpoint.created_seconds),
            created: created(own.created_seconds),
        })
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FinishedButOpen { shard } => {
                write!(f, "the row of {shard} says SHARD_END, and the stream lists {shard} as open")
            }
            Self::OtherShard { shard, index } => {
                write!(f, "the checkpoint of {shard} is a sequence number of shardId-{index:012}")
            }
            Self::OtherStream { shard, checkpoint_of, created } => {
                let (before, now) = (time(*checkpoint_of), time(*created));
                write!(
                    f,
                    "the checkpoint of {shard} is of a shard created at {before}, and {shard} was created at {now}"
                )
            }
        }
    }
}

fn time(at: Timestamp) -> String {
    let since = Duration::from_millis(at.unix_ms());
    let time = OffsetDateTime::UNIX_EPOCH.checked_add(time::Duration::try_from(since).unwrap_or_default());
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{} s after 1970", since.as_secs()))
}
