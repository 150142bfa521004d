//! What reading shards has told: facts that stay true while an application does not move.

use std::collections::HashMap;
use std::time::Duration;

use super::{Position, ShardId, Timestamp};

/// What was found behind a position of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The first record, and when it arrived.
    Record {
        /// When.
        arrived: Timestamp,
    },
    /// None, up to the tip of the shard.
    Tip,
    /// None, and none will come: the shard is closed.
    End,
    /// None on the pages that were read, which end so far before the tip.
    EmptyPages {
        /// How far, as the service says.
        behind: Duration,
    },
}

/// One look at a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRead {
    /// Behind which position.
    pub position: Position,
    /// When the service was asked.
    pub at: Timestamp,
    /// What it said.
    pub saw: Saw,
}

/// The last look at each shard of an application.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    shards: HashMap<ShardId, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    read: ShardRead,
    /// No record that is unread at this position or a later one arrived before this time.
    floor: Option<Timestamp>,
}

impl ShardRead {
    /// What this look tells of another position of the same shard: what is not behind one is not behind a later one either.
    #[must_use]
    pub fn told_of(&self, position: &Position) -> Option<Self> {
        let nothing = matches!(self.saw, Saw::Tip | Saw::End);
        let tells = self.position == *position || nothing && self.position.is_at_or_before(position);
        tells.then(|| Self { position: position.clone(), ..self.clone() })
    }
}

impl Reads {
    /// Adds a look.
    pub fn add(&mut self, shard: ShardId, read: ShardRead) {
        let before = self.floor(&shard, &read.position);
        let floor = match read.saw {
            Saw::Record { arrived } => before.max(Some(arrived)),
            Saw::Tip | Saw::End => before.max(Some(read.at)),
            Saw::EmptyPages { .. } => before,
        };
        self.shards.insert(shard, Known { read, floor });
    }

    /// Whether this is the last look at a shard.
    #[must_use]
    pub fn contains(&self, shard: &ShardId, read: &ShardRead) -> bool {
        self.shards.get(shard).is_some_and(|known| known.read == *read)
    }

    /// Forgets the shards that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&ShardId) -> bool) {
        self.shards.retain(|shard, _| keep(shard));
    }

    /// The last look behind this very position.
    pub(super) fn at(&self, shard: &ShardId, position: &Position) -> Option<&ShardRead> {
        self.shards.get(shard).map(|known| &known.read).filter(|read| read.position == *position)
    }

    /// The time before which nothing arrived that is unread at `position`, as far as looks have told.
    pub(super) fn floor(&self, shard: &ShardId, position: &Position) -> Option<Timestamp> {
        let known = self.shards.get(shard)?;
        known.floor.filter(|_| known.read.position.is_at_or_before(position))
    }

    /// Whether nothing is unread behind `position`, and never will be.
    pub(super) fn is_drained(&self, shard: &ShardId, position: &Position) -> bool {
        self.at(shard, position).is_some_and(|read| read.saw == Saw::End)
    }
}
