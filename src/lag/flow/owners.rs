//! Who works on what.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::lag::PartitionId;
use crate::lag::streams::ShardId;

/// A partition of a topic, or a shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Of a Kafka topic.
    Partition(Arc<str>, PartitionId),
    /// Of a stream.
    Shard(ShardId),
}

/// The consumers that have something to work on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Owners {
    /// Each of them, in the order of its first place.
    names: Vec<Arc<str>>,
    /// The index of each place's consumer.
    of: Vec<Option<u32>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(topic, partition) => write!(f, "{topic}/{partition}"),
            Self::Shard(shard) => shard.fmt(f),
        }
    }
}

impl Owners {
    /// From the consumer of each place.
    pub fn new(of: impl IntoIterator<Item = Option<Arc<str>>>) -> Self {
        let mut owners = Self::default();
        let mut known = HashMap::new();
        for name in of {
            let index = name.map(|name| {
                *known.entry(name).or_insert_with_key(|name| {
                    owners.names.push(name.clone());
                    index(owners.names.len() - 1)
                })
            });
            owners.of.push(index);
        }
        owners
    }

    /// `consumers` that share `places` evenly in their order, where it is only known how many there are.
    #[must_use]
    pub fn even(consumers: usize, places: usize) -> Self {
        let consumers = consumers.min(places);
        let names = (0..consumers).map(|number| number.to_string().into()).collect();
        let of = (0..places).map(|place| (consumers > 0).then(|| index(place * consumers / places))).collect();
        Self { names, of }
    }

    /// How many consumers have something to work on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Whose the place of this index is.
    #[must_use]
    pub fn of(&self, place: usize) -> Option<usize> {
        self.of.get(place).copied().flatten().map(|owner| owner as usize)
    }

    /// The name of a consumer.
    #[must_use]
    pub fn name(&self, owner: usize) -> Option<&Arc<str>> {
        self.names.get(owner)
    }

    /// Whether there is a place that nobody works on.
    #[must_use]
    pub fn leave_some(&self) -> bool {
        self.of.contains(&None)
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
