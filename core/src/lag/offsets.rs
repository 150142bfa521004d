//! The basic types of a Kafka log: partitions, offsets and what a group committed.

use std::fmt;

/// The number of a partition within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a partition's log: the number of records before it, deleted ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// Converts an offset of the protocol; negative numbers are sentinels, not offsets.
    #[must_use]
    pub fn from_wire(wire: i64) -> Option<Self> {
        u64::try_from(wire).ok().map(Self)
    }

    /// Records from `earlier` up to here; 0 where `earlier` is the later one.
    #[must_use]
    pub const fn records_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The commit of a group for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommittedOffset {
    /// The group never committed, or its commit has expired.
    None,
    /// The offset of the next record to read.
    At(Offset),
}

/// The two ends of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// The first offset that still exists.
    pub start: Offset,
    /// The offset that the next record will get (or the last stable offset, where the trigger reads committed records only).
    pub end: Offset,
}

/// The identity of a topic, which differs for a recreated topic of the same name (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
