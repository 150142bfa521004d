//! How fast a stream flows and how fast its consumers work: what the catch-up policy needs of the past.
//!
//! Folded in once for each reading, from what the reading itself shows: rates from the differences of positions, the capacity of a
//! consumer from those that have more to do than they can. Nothing here depends on a trigger, so every trigger of a source shares it.

mod ages;
mod average;
mod capacity;
mod commits;
mod demand;
mod observed;
#[cfg(test)]
mod observed_tests;
mod offsets;
mod owners;
mod partition;
mod rebalance;
mod ring;
mod staleness;
mod throughput;

pub use ages::{AgeFlow, AgeReading, FULL, ShardFlow};
pub use average::{Average, blend, count};
pub use demand::Demand;
pub use offsets::{OffsetFlow, OffsetReading};
pub use owners::{Owners, Split};
pub use partition::{Arrivals, NOTHING, OffsetRow, PartitionFlow};
pub use throughput::{ThroughputFlow, ThroughputReading, ThroughputRow};

/// How often a wait doubles at most that doubles with each failure.
pub const DOUBLINGS: u32 = 4;

/// The flow of a source, in what it can tell of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// In records: Kafka.
    Offsets(OffsetFlow),
    /// In kilobytes: KCL 3 and later.
    Throughput(ThroughputFlow),
    /// In seconds of the stream: KCL before 3, DynamoDB Streams.
    Ages(AgeFlow),
}

impl Flow {
    /// Who works.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        match self {
            Self::Offsets(flow) => flow.owners(),
            Self::Throughput(flow) => flow.flow().owners(),
            Self::Ages(flow) => flow.owners(),
        }
    }

    /// The partitions or shards that there are to work on.
    #[must_use]
    pub fn places(&self) -> usize {
        match self {
            Self::Offsets(flow) => flow.partitions().len(),
            Self::Throughput(flow) => flow.flow().partitions().len(),
            Self::Ages(flow) => flow.shards().len(),
        }
    }
}
