//! How fast a stream flows and how fast its consumers work: the history that the catch-up policy needs.
//!
//! Each reading is folded in once, using only what the reading shows: rates from the differences of positions, the capacity of a consumer
//! from saturated consumers. Nothing here depends on a trigger, so every trigger of a source shares it.

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
mod throughput;
#[cfg(test)]
mod throughput_tests;
mod waiting;

pub use ages::{AgeFlow, AgeReading, FULL, ShardFlow};
pub use average::{Average, blend, count};
pub use demand::Demand;
pub use offsets::{OffsetFlow, OffsetReading};
pub use owners::{Owners, Split};
pub use partition::{Arrivals, NOTHING, OffsetRow, PartitionFlow};
pub use throughput::{ThroughputFlow, ThroughputReading, ThroughputRow};

/// The maximum number of doublings of a wait that doubles with each failure.
pub const DOUBLINGS: u32 = 4;

/// The flow of a source, in the unit that the source reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// In records, for Kafka.
    Offsets(OffsetFlow),
    /// In kilobytes, for KCL 3 and later.
    Throughput(ThroughputFlow),
    /// In seconds of the stream, for KCL before 3 and DynamoDB Streams.
    Ages(AgeFlow),
}

impl Flow {
    /// The consumers of the source.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        match self {
            Self::Offsets(flow) => flow.owners(),
            Self::Throughput(flow) => flow.flow().owners(),
            Self::Ages(flow) => flow.owners(),
        }
    }

    /// The number of partitions or shards to work on.
    #[must_use]
    pub fn places(&self) -> usize {
        match self {
            Self::Offsets(flow) => flow.partitions().len(),
            Self::Throughput(flow) => flow.flow().partitions().len(),
            Self::Ages(flow) => flow.shards().len(),
        }
    }
}
