//! What a source that reports records behind needs of its consumers.

use std::sync::Arc;
use std::time::Duration;

use super::partition::PartitionFlow;
use super::{OffsetFlow, Owners, Split};
use crate::lag::Moment;

/// The end of a transaction is one or two records that no consumer receives.
const MARKERS: f64 = 2.0;

/// What one partition needs of its consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Arrivals per second.
    pub arrivals: f64,
    /// The number of unread records.
    pub unread: f64,
    /// Seconds of arrivals that are unread although the consumer is not behind.
    pub not_behind: f64,
    /// The index of the consumer that owns the partition.
    pub owner: Option<usize>,
    /// The partition makes no progress while others do: more consumers do not help it.
    pub stuck: bool,
}

// === what the flow shows ===

impl OffsetFlow {
    /// When the source was last read.
    #[must_use]
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// What each partition needs; `None` until arrivals are known, which takes two readings.
    pub(crate) fn demands(&self) -> Option<Vec<Demand>> {
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

    /// The age in seconds of a partition's oldest unread record, where the source measures it; otherwise the time in which as much arrives as
    /// is unread beyond what commits explain, within the bounds that the readings show. `None` where neither is known, and for a partition
    /// that is stuck.
    fn age(&self, partition: &PartitionFlow) -> Option<f64> {
        if let Some(measured) = partition.measured_age() {
            return Some(measured);
        }
        if partition.stuck || self.arrived.is_none() {
            return None;
        }
        let arrivals = partition.arrivals();
        let late = (partition.backlog - arrivals * self.not_behind(partition)).max(0.0);
        if late > 0.0 { (arrivals > 0.0).then(|| partition.bound(late / arrivals, self.at)) } else { Some(0.0) }
    }

    /// The age in seconds of each partition's oldest unread record, beyond what commits explain; `None` where it is unknown, and for a
    /// partition that is stuck.
    pub fn ages(&self) -> impl Iterator<Item = Option<f64>> {
        self.partitions.iter().map(|partition| self.age(partition))
    }

    /// The same with 0 for a partition that is stuck, and for one without a commit that counts as one record, which is none.
    pub(crate) fn ages_of_records(&self) -> impl Iterator<Item = Option<f64>> {
        let no_record = |partition: &PartitionFlow| {
            let unmeasured = partition.measured_age().is_none();
            unmeasured && (partition.stuck || partition.consumption().is_none() && partition.backlog <= 1.0)
        };
        self.partitions.iter().map(move |partition| if no_record(partition) { Some(0.0) } else { self.age(partition) })
    }

    /// The partitions or shards, in the order of [`Self::partitions`].
    #[must_use]
    pub const fn splits(&self) -> &Arc<[Split]> {
        &self.splits
    }

    /// The flow of each partition or shard.
    #[must_use]
    pub fn partitions(&self) -> &[PartitionFlow] {
        &self.partitions
    }

    /// The consumers of the partitions.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Arrivals per second since the previous reading, and the seconds since that reading; `None` at the first reading.
    #[must_use]
    pub const fn arrived(&self) -> Option<(f64, f64)> {
        self.arrived
    }

    /// The highest rate per second of a consumer in undisturbed work: a lower bound of its capacity.
    pub(crate) fn best_rate(&self) -> Option<f64> {
        (self.best > 0.0).then_some(self.best)
    }

    /// The capacity of one consumer per second, once measured.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.capacity.per_second()
    }

    /// How much of the capacity is measured rather than guessed from a few commits: between 0 and 1.
    pub(crate) fn capacity_certainty(&self) -> f64 {
        self.capacity.certainty()
    }

    /// When the capacity was last measured.
    pub(crate) fn capacity_measured_at(&self) -> Option<Moment> {
        self.capacity.measured_at()
    }

    /// Seconds for which a caught-up consumer appears to be behind.
    pub(crate) const fn commit_interval(&self) -> f64 {
        self.commits.awaited()
    }

    /// How long no consumer has been saturated and no partition has changed its owner; `None` while a consumer is saturated.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        self.quiet_since.map(|since| self.at.since(since))
    }

    /// The time since which no partition has changed its owner.
    pub(crate) const fn stable_since(&self) -> Moment {
        self.commits.stable_since
    }

    /// When any position last moved.
    pub(crate) const fn progressed_at(&self) -> Moment {
        self.commits.progressed_at
    }

    /// When the number of consumers last decreased.
    pub(crate) const fn fewer_at(&self) -> Option<Moment> {
        self.fewer_at
    }

    /// What a consumer did per second in its last window, while it is saturated; `None` for others.
    pub(crate) fn saturated_rate(&self, consumer: usize) -> Option<f64> {
        self.capacity.saturated_rate(consumer)
    }

    /// Whether no partition has progressed for longer than commits explain.
    #[must_use]
    pub fn still(&self) -> bool {
        self.commits.still(self.at)
    }

    /// The total of unread records, without the control records of transactions, which no consumer reads.
    #[must_use]
    pub fn unread(&self) -> f64 {
        let work = self.partitions.iter().filter(|partition| !markers_only(partition));
        work.map(|partition| partition.backlog).sum()
    }

    /// The part of the backlog that is not work: one or two records in partitions without progress, such as control records.
    #[must_use]
    pub fn markers(&self) -> f64 {
        let markers = self.partitions.iter().filter(|partition| markers_only(partition));
        markers.map(|partition| partition.backlog).sum()
    }

    /// The number of partitions without progress while others progress.
    pub(crate) fn stuck_partitions(&self) -> usize {
        self.partitions.iter().filter(|partition| partition.stuck).count()
    }
}

fn markers_only(partition: &PartitionFlow) -> bool {
    partition.stuck && partition.backlog <= MARKERS && !partition.gets_more()
}
