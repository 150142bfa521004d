//! Which consumer works on which partition or shard.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::count;
use crate::lag::PartitionId;
use crate::lag::streams::ShardId;

/// A partition of a topic, or a shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// A partition of a Kafka topic.
    Partition(Arc<str>, PartitionId),
    /// A shard of a stream.
    Shard(ShardId),
}

/// The consumers that have something to work on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Owners {
    /// The names of the consumers, in the order of their first partition or shard.
    names: Vec<Arc<str>>,
    work: Work,
}

/// How consumers divide the work.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    /// The index of the consumer of each partition or shard.
    Places(Vec<Option<u32>>),
    /// Every consumer works on every partition.
    Shared,
}

impl Default for Work {
    fn default() -> Self {
        Self::Places(Vec::new())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(topic, partition) => write!(f, "{topic}/{partition}"),
            Self::Shard(shard) => shard.fmt(f),
        }
    }
}

impl Owners {
    /// Creates the owners from the consumer of each partition or shard.
    pub fn new(of: impl IntoIterator<Item = Option<Arc<str>>>) -> Self {
        let mut names = Vec::new();
        let mut known = HashMap::new();
        let mut place = |name| {
            *known.entry(name).or_insert_with_key(|name: &Arc<str>| {
                names.push(name.clone());
                index(names.len() - 1)
            })
        };
        let places = of.into_iter().map(|name| name.map(&mut place)).collect();
        Self { names, work: Work::Places(places) }
    }

    /// Creates the owners from indices into a list of names, so that a large group needs no name lookup per partition.
    pub(super) fn listed(list: &[&Arc<str>], of: impl IntoIterator<Item = Option<u32>>) -> Self {
        let mut names = Vec::new();
        let mut known = vec![None; list.len()];
        let mut place = |listed: u32| {
            let listed = listed as usize;
            let known = known.get_mut(listed)?;
            Some(*known.get_or_insert_with(|| {
                names.push((*list[listed]).clone());
                index(names.len() - 1)
            }))
        };
        let places = of.into_iter().map(|listed| listed.and_then(&mut place)).collect();
        Self { names, work: Work::Places(places) }
    }

    /// Creates the owners of a share group from its members.
    pub fn sharing(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { names: names.into_iter().collect(), work: Work::Shared }
    }

    /// Whether every consumer works on every partition.
    #[must_use]
    pub const fn share(&self) -> bool {
        matches!(self.work, Work::Shared)
    }

    /// Creates `consumers` that divide `places` evenly in their order, where only their number is known.
    #[must_use]
    pub fn even(consumers: usize, places: usize) -> Self {
        let consumers = consumers.min(places);
        let names = (0..consumers).map(|number| number.to_string().into()).collect();
        let of = (0..places).map(|place| (consumers > 0).then(|| index(place * consumers / places))).collect();
        Self { names, work: Work::Places(of) }
    }

    /// The number of consumers that have something to work on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The owner of the partition or shard at this index, where it belongs to one consumer.
    #[must_use]
    pub fn of(&self, place: usize) -> Option<usize> {
        match &self.work {
            Work::Places(of) => of.get(place).copied().flatten().map(|owner| owner as usize),
            Work::Shared => None,
        }
    }

    /// Whether any consumer works on the partition or shard at this index.
    pub(super) fn owned(&self, place: usize) -> bool {
        self.parts(place).next().is_some()
    }

    /// The consumers of the partition or shard at this index, each with its part of the work.
    pub(super) fn parts(&self, place: usize) -> impl Iterator<Item = (usize, f64)> {
        let (consumers, part) = match self.work {
            Work::Places(_) => (self.of(place).map_or(0..0, |owner| owner..owner + 1), 1.0),
            Work::Shared => (0..self.count(), 1.0 / count(self.count()).max(1.0)),
        };
        consumers.map(move |consumer| (consumer, part))
    }

    /// The name of a consumer.
    #[must_use]
    pub fn name(&self, owner: usize) -> Option<&Arc<str>> {
        self.names.get(owner)
    }

    /// Whether consumers exist and some partition or shard has no owner.
    pub(crate) fn leave_some(&self) -> bool {
        match &self.work {
            Work::Places(of) => !self.names.is_empty() && of.contains(&None),
            Work::Shared => false,
        }
    }

    /// Adds the consumers of `others`, which own nothing.
    pub(super) fn joined_by(mut self, others: &Self) -> Self {
        for name in &others.names {
            if !self.names.contains(name) {
                self.names.push(name.clone());
            }
        }
        self
    }

    /// Assigns each partition or shard without an owner to the consumer that owns the fewest.
    pub(super) fn with_all_owned(mut self) -> Self {
        let Work::Places(of) = &mut self.work else { return self };
        let mut owned = vec![0_usize; self.names.len()];
        for owner in of.iter().flatten() {
            owned[*owner as usize] += 1;
        }
        for place in of.iter_mut().filter(|owner| owner.is_none()) {
            let Some((fewest, count)) = owned.iter_mut().enumerate().min_by_key(|(_, count)| **count) else { continue };
            (*place, *count) = (Some(index(fewest)), *count + 1);
        }
        self
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
