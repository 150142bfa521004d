//! What a Kinesis stream accepts.

use super::Change;

/// The open shards of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamCapacity {
    /// The shards that accept records.
    pub open: u32,
    /// The share of all hash keys that the widest of them has, between 0 and 1.
    pub widest: f64,
    /// How their number changed within the last day, the newest last; `None` where the shards do not say when they were created.
    pub changes: Option<Vec<Change>>,
}

/// Whether a stream can be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// It is active and provisioned.
    Ready,
    /// It is being created, changed or deleted.
    Updating,
    /// AWS sizes it.
    OnDemand,
}

impl StreamCapacity {
    /// What the stream accepts, in shards: the widest range of hash keys is full first.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        1.0 / self.widest.clamp(1.0 / f64::from(self.open.max(1)), 1.0)
    }

    /// Open shards per shard of capacity: 1 where all ranges of hash keys are as wide.
    #[must_use]
    pub fn unevenness(&self) -> f64 {
        f64::from(self.open) / self.capacity()
    }
}
