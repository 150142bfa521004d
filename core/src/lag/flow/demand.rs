//! What a source that shows how many records are behind needs of its consumers.

use std::time::Duration;

use super::partition::PartitionFlow;
use super::{OffsetFlow, Owners};
use crate::lag::Moment;

/// The end of a transaction is a record or two that no consumer gets.
const MARKERS: f64 = 2.0;

/// What one partition needs of its consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Arrivals per second.
    pub arrivals: f64,
    /// What is unread.
    pub unread: f64,
    /// Seconds of arrivals that are unread although the consumer is not behind.
    pub not_behind: f64,
    /// Whose it is.
    pub owner: Option<usize>,
    /// It makes no progress while others do: more consumers do not help it.
    pub stuck: bool,
}

// === what the flow shows ===

impl OffsetFlow {
    /// When it was read last.
    #[must_use]
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// What each partition needs; `None` until arrivals are known, which takes two readings.
    #[must_use]
    pub fn demands(&self) -> Option<Vec<Demand>> {
        self.arrived?;
        let demands = self.partitions.iter().enumerate().map(|(index, partition)| {
            let owner = self.owners.of(index);
            if partition.stuck {
                return Demand { arrivals: 0.0, unread: 0.0, not_behind: 0.0, owner, stuck: true };
            }
            let not_behind = self.not_behind(partition);
            Demand { arrivals: partition.arrivals(), unread: partition.backlog, not_behind, owner, stuck: false }
        });
        Some(demands.collect())
    }

    /// The partitions.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionFlow] {
        &self.partitions
    }

    /// Who works on them.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// What arrived per second since the reading before, and how many seconds ago that was; `None` at the first reading.
    #[must_use]
    pub const fn arrived(&self) -> Option<(f64, f64)> {
        self.arrived
    }

    /// The highest rate of a consumer in undisturbed work, per second: it can do at least as much.
    #[must_use]
    pub fn best_rate(&self) -> Option<f64> {
        (self.best > 0.0).then_some(self.best)
    }

    /// What one consumer can do per second, once measured.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.capacity.per_second()
    }

    /// How much of that is measured, and not a guess from a few commits: between 0 and 1.
    #[must_use]
    pub fn capacity_certainty(&self) -> f64 {
        self.capacity.certainty()
    }

    /// When that was measured.
    #[must_use]
    pub fn capacity_measured_at(&self) -> Option<Moment> {
        self.capacity.measured_at()
    }

    /// Seconds for which a caught-up consumer looks as if it were behind.
    #[must_use]
    pub const fn commit_interval(&self) -> f64 {
        self.commits.awaited()
    }

    /// For how long no consumer has been saturated and no partition has had another owner; `None` while one is.
    #[must_use]
    pub fn quiet_for(&self) -> Option<Duration> {
        self.quiet_since.map(|since| self.at.since(since))
    }

    /// Since when no partition has had another owner.
    #[must_use]
    pub const fn stable_since(&self) -> Moment {
        self.commits.stable_since
    }

    /// When any position moved last.
    #[must_use]
    pub const fn progressed_at(&self) -> Moment {
        self.commits.progressed_at
    }

    /// When there were fewer consumers than before.
    #[must_use]
    pub const fn fewer_at(&self) -> Option<Moment> {
        self.fewer_at
    }

    /// What a consumer did per second in its last window, while it has more to do than it can; `None` for others.
    #[must_use]
    pub fn saturated_rate(&self, consumer: usize) -> Option<f64> {
        self.capacity.saturated_rate(consumer)
    }

    /// No partition has progressed for longer than commits explain.
    #[must_use]
    pub fn still(&self) -> bool {
        self.commits.still(self.at)
    }

    /// What is unread in all, without the control records of transactions, which no consumer reads.
    #[must_use]
    pub fn unread(&self) -> f64 {
        let work = self.partitions.iter().filter(|partition| !markers_only(partition));
        work.map(|partition| partition.backlog).sum()
    }

    /// The part of the backlog that is no work: a record or two in partitions that stand still, such as control records.
    #[must_use]
    pub fn markers(&self) -> f64 {
        let markers = self.partitions.iter().filter(|partition| markers_only(partition));
        markers.map(|partition| partition.backlog).sum()
    }

    /// Partitions without progress while others progress.
    #[must_use]
    pub fn stuck_partitions(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.stuck).count()
    }
}

fn markers_only(partition: &PartitionFlow) -> bool {
    partition.stuck && partition.backlog <= MARKERS && !partition.gets_more()
}
