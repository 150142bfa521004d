//! Shards of a stream.

use std::fmt;
use std::sync::Arc;

use super::{SequenceNumber, Timestamp};

const PREFIX: &str = "shardId-";

/// The id of a shard within its stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(Arc<str>);

/// A shard as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The shard's id.
    pub id: ShardId,
    /// The parents of the shard: one after a split or a roll, two after a merge. They may no longer be listed.
    pub parents: Vec<ShardId>,
    /// Whether the shard still accepts records.
    pub state: ShardState,
    /// The first sequence number of the shard, if the service reports it.
    pub first: Option<SequenceNumber>,
}

/// Whether a shard still accepts records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// The shard accepts records.
    Open,
    /// The shard accepts no records; its children do.
    Closed,
}

impl ShardId {
    /// Creates an id from the service's text.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text has the form of an id: `shardId-` and digits on Kinesis, 20 digits and a hash of 8 on DynamoDB Streams.
    pub(super) fn is_shard_id(text: &str) -> bool {
        let Some(rest) = text.strip_prefix(PREFIX) else { return false };
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_hash = |hash: &str| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let of_dynamodb =
            rest.split_once('-').is_some_and(|(time, hash)| time.len() == 20 && is_number(time) && is_hash(hash));
        is_number(rest) || of_dynamodb
    }

    /// The index inside the id of a Kinesis shard: `shardId-000000000007` is 7.
    pub(super) fn index(&self) -> Option<u32> {
        let digits = self.0.strip_prefix(PREFIX)?;
        (digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    }

    /// The creation time inside the id of a DynamoDB stream's shard, `shardId-<20 digits of milliseconds>-<8 of hash>`.
    pub(super) fn created(&self) -> Option<Timestamp> {
        let (milliseconds, hash) = self.0.strip_prefix(PREFIX)?.split_once('-')?;
        (milliseconds.len() == 20 && hash.len() == 8).then(|| milliseconds.parse().ok().map(Timestamp::from_unix_ms))?
    }
}

impl Shard {
    /// When the shard was created, from its first number; `None` where that does not have Kinesis' layout.
    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        let origin = self.first.as_ref()?.origin()?;
        let of_this = self.id.index() == Some(origin.shard_index);
        of_this.then(|| origin.created_seconds.checked_mul(1000).map(Timestamp::from_unix_ms))?
    }

    /// A time before every record of the shard arrived, where it is known.
    pub(super) fn begun(&self, now: Timestamp) -> Option<Timestamp> {
        let numbered = self.first.as_ref().and_then(|first| first.arrived_after(&self.id, now));
        // a time in the future is not a time of creation
        numbered.or_else(|| self.id.created().filter(|created| *created <= now))
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
