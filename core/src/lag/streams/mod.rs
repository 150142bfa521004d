//! How far behind the application of a stream is, shard by shard: lineage, checkpoints, and the ages that follow.
//!
//! The age of a shard is the time since its oldest unprocessed record arrived: the first record after the checkpoint, or a bound from the
//! time inside the checkpoint itself. [`Survey`] determines which shards must be probed for an answer, and the answer once they were.

#[cfg(test)]
mod age_tests;
mod changes;
mod checkpoint;
mod contradiction;
mod lineage;
mod probes;
mod rows;
mod shard;
mod survey;
#[cfg(test)]
mod tests;
mod timestamp;
mod workers;

pub use changes::{Change, StreamCapacity, StreamReading, StreamState, changes};
pub use checkpoint::{Checkpoint, Lease, SequenceNumber};
pub use contradiction::Contradiction;
pub use lineage::{Beginning, Position, Probes};
pub use probes::{Found, Probe, ShardProbes};
pub use rows::{Attribute, Row, RowError, RowsOf, leases_of};
pub use shard::{Shard, ShardId, ShardState};
pub use survey::{AgeBasis, AgeRules, Backlog, CheckpointsOf, Need, ShardReport, Survey, Wanted};
pub use timestamp::Timestamp;
pub use workers::{WORKER, WORKER_ATTRIBUTES, Worker, workers_of};
