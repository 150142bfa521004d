//! The write capacity of a Kinesis stream.

use super::Change;

/// The open shards of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamCapacity {
    /// The number of shards that accept records.
    pub open: u32,
    /// The share of all hash keys in the widest of them, between 0 and 1.
    pub widest: f64,
    /// The changes of the shard count within the last day, the newest last; `None` where the shards do not show when they were created.
    pub changes: Option<Vec<Change>>,
}

/// Whether a stream can be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// The stream is active and provisioned.
    Ready,
    /// The stream is being created, changed or deleted.
    Updating,
    /// The stream is in on-demand mode: AWS sizes it.
    OnDemand,
}

impl StreamCapacity {
    /// The capacity of the stream in shards: the widest range of hash keys is full first.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        1.0 / self.widest.clamp(1.0 / f64::from(self.open.max(1)), 1.0)
    }

    /// Open shards per shard of capacity: 1 where all ranges of hash keys are equally wide.
    #[must_use]
    pub fn unevenness(&self) -> f64 {
        f64::from(self.open) / self.capacity()
    }
}
