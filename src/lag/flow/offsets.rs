//! The flow of a source that tells how many records are behind.

use std::collections::HashMap;
use std::time::Duration;

use super::average::{Average, count};
use super::capacity::{Capacity, Circumstances, Worker};
use super::commits::{Commits, Move};
use super::effect::Effect;
use super::ring::Ring;
use super::{Owners, Place};
use crate::lag::Moment;

/// Arrivals are averaged over this many seconds.
const ARRIVALS: f64 = 60.0;
/// The same for their sum where it must be quick.
const QUICK_ARRIVALS: f64 = 15.0;
/// Rounding of positions that are not whole numbers.
const SAME: f64 = 1e-6;
/// Less than a record is none.
const NOTHING: f64 = 0.5;
/// This much older than commits explain is behind.
const CAUGHT_UP: f64 = 10.0;
/// A group of which this share is saturated shows what it can do.
const GROUP_SATURATED: f64 = 0.8;
/// A capacity is measured over at least so many seconds.
const GROUP_WINDOW: f64 = 30.0;
/// The end of a transaction is a record or two that no consumer gets.
const MARKERS: f64 = 2.0;
/// Fewer than this in a second is nothing.
const NO_ARRIVALS: f64 = 1e-3;
/// A rebalance whose second phase takes longer is none: partitions without an owner stay so.
const LONGEST_REBALANCE: Duration = Duration::from_secs(60);

/// One partition at a reading. In records, or in kilobytes where a store tells those.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetRow {
    /// Which.
    pub place: Place,
    /// Where the log ends.
    pub end: f64,
    /// How far the consumers are; `None` where nobody has said so.
    pub committed: Option<f64>,
    /// What they have not read: not always the difference of the two.
    pub backlog: f64,
    /// How it is known what arrives.
    pub arrivals: Arrivals,
}

/// How it is known what arrives at a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// By how far its end has moved since the reading before.
    OfEnds,
    /// The source tells what arrives in a second.
    Told(f64),
    /// Not yet: the source tells only for how many seconds what is unread has waited, and not how much that is.
    Unweighed {
        /// In seconds.
        age: f64,
    },
}

impl Arrivals {
    /// What arrived in a second, where the end moved so far in a second.
    const fn in_a_second(self, grown: f64) -> f64 {
        match self {
            Self::OfEnds => grown,
            Self::Told(arrivals) => arrivals,
            Self::Unweighed { .. } => 0.0,
        }
    }

    const fn unweighed_age(self) -> Option<f64> {
        match self {
            Self::OfEnds | Self::Told(_) => None,
            Self::Unweighed { age } => Some(age),
        }
    }
}

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetReading {
    /// The partitions, in an order that stays.
    pub rows: Vec<OffsetRow>,
    /// Whose they are, by the same order.
    pub owners: Owners,
}

/// The flow of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFlow {
    at: Moment,
    partitions: Vec<PartitionFlow>,
    owners: Owners,
    quick_arrivals: Average,
    commits: Commits,
    ring: Ring,
    capacity: Capacity,
    /// When the present window of the whole group began, and the sum of positions then.
    group_window: Option<(Moment, f64)>,
    effect: Effect,
    caught_up_since: Option<Moment>,
    /// When there were fewer consumers than at the reading before.
    fewer_at: Option<Moment>,
    /// Since when partitions have no owner although there are consumers.
    unowned_since: Option<Moment>,
}

/// The flow of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionFlow {
    /// Which.
    pub place: Place,
    /// What its consumers have not read.
    pub backlog: f64,
    end: f64,
    position: f64,
    arrivals: Average,
    moved_at: Moment,
    unweighed_age: Option<f64>,
    /// Its position when the present window of its consumer began.
    anchor: f64,
}

impl PartitionFlow {
    fn new(row: &OffsetRow, now: Moment) -> Self {
        let position = row.committed.unwrap_or(row.end - row.backlog);
        Self {
            place: row.place.clone(),
            backlog: row.backlog.max(0.0),
            end: row.end,
            position,
            arrivals: Average::default(),
            moved_at: now,
            unweighed_age: row.arrivals.unweighed_age(),
            anchor: position,
        }
    }

    /// With a reading of a log that goes on; of another one, from its beginning.
    fn with(&self, row: &OffsetRow, elapsed: f64, now: Moment) -> Self {
        let new = Self::new(row, now);
        // a log that has become shorter is another one
        if row.arrivals == Arrivals::OfEnds && row.end < self.end - SAME {
            return new;
        }
        let arrived = row.arrivals.in_a_second((row.end - self.end) / elapsed);
        let position = row.committed.unwrap_or(self.position);
        let arrivals = self.arrivals.with(arrived, elapsed, ARRIVALS);
        Self { position, arrivals, moved_at: self.moved_at, anchor: self.anchor, ..new }
    }

    /// What arrives in a second.
    #[must_use]
    pub fn arrivals(&self) -> f64 {
        self.arrivals.get().unwrap_or(0.0)
    }

    const fn unread(&self) -> bool {
        self.backlog > NOTHING
    }
}

impl OffsetFlow {
    /// The flow after a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, reading: OffsetReading, now: Moment) -> Self {
        let past = past.filter(|past| !past.partitions.is_empty());
        match past {
            None => Self::begin(reading, now),
            Some(past) if now > past.at => past.with(reading, now),
            Some(past) => past.clone(),
        }
    }

    fn begin(reading: OffsetReading, now: Moment) -> Self {
        let partitions: Vec<_> = reading.rows.iter().map(|row| PartitionFlow::new(row, now)).collect();
        Self {
            at: now,
            partitions,
            unowned_since: reading.owners.leave_some().then_some(now),
            owners: reading.owners.with_all_owned(),
            quick_arrivals: Average::default(),
            commits: Commits::new(now),
            ring: Ring::new(now),
            capacity: Capacity::default(),
            group_window: None,
            effect: Effect::default(),
            caught_up_since: None,
            fewer_at: None,
        }
    }

    fn with(&self, reading: OffsetReading, now: Moment) -> Self {
        let elapsed = now.since(self.at).as_secs_f64();
        let pasts = self.pasts(&reading.rows);
        let mut next = self.clone();
        next.at = now;
        (next.owners, next.unowned_since) = self.owners_after(reading.owners, pasts.len(), now);
        next.partitions = pasts
            .iter()
            .zip(&reading.rows)
            .map(|(past, row)| past.map_or_else(|| PartitionFlow::new(row, now), |past| past.with(row, elapsed, now)))
            .collect();
        let arrived = pasts.iter().zip(&next.partitions).zip(&reading.rows).map(|((past, partition), row)| {
            let grown = past.map_or(0.0, |past| (partition.end - past.end).max(0.0) / elapsed);
            row.arrivals.in_a_second(grown)
        });
        next.quick_arrivals = self.quick_arrivals.with(arrived.sum(), elapsed, QUICK_ARRIVALS);
        next.rebalance(self, &pasts);
        let moves = next.moves(&pasts);
        next.commits = next.commits.with(&moves, elapsed, now);
        let moved =
            pasts.iter().zip(&next.partitions).map(|(past, new)| past.map_or(0.0, |past| new.position - past.position));
        next.ring.add(now, moved, next.commits.rates_over());
        next.learn(&moves, elapsed);
        if next.owners.count() < self.owners.count() {
            next.fewer_at = Some(now);
        }
        next.caught_up_since = next.caught_up().then(|| self.caught_up_since.unwrap_or(now));
        next
    }

    /// The partitions of `rows` at the reading before.
    fn pasts(&self, rows: &[OffsetRow]) -> Vec<Option<&PartitionFlow>> {
        let pairs = || self.partitions.iter().zip(rows);
        if self.partitions.len() == rows.len() && pairs().all(|(past, row)| past.place == row.place) {
            return self.partitions.iter().map(Some).collect();
        }
        let by_place: HashMap<_, _> = self.partitions.iter().map(|past| (&past.place, past)).collect();
        rows.iter().map(|row| by_place.get(&row.place).copied()).collect()
    }

    /// Whose the partitions are, and since when some have no owner. Between the two phases of a cooperative rebalance partitions that move
    /// have none, which is no lack of consumers: until all have one, those of before count.
    fn owners_after(&self, read: Owners, places: usize, now: Moment) -> (Owners, Option<Moment>) {
        if !read.leave_some() {
            return (read, None);
        }
        let since = self.unowned_since.unwrap_or(now);
        let known = self.owners.count() > 0 && self.partitions.len() == places;
        let owners = match now.since(since) < LONGEST_REBALANCE {
            true if known => self.owners.clone(),
            true => read.with_all_owned(),
            false => read,
        };
        (owners, Some(since))
    }

    fn rebalancing(&self) -> bool {
        self.unowned_since.is_some_and(|since| self.at.since(since) < LONGEST_REBALANCE)
    }

    /// What was measured of one distribution of work says nothing of another.
    fn rebalance(&mut self, before: &Self, pasts: &[Option<&PartitionFlow>]) {
        let other_places = before.partitions.len() != pasts.len() || pasts.contains(&None);
        let mut pairs = pasts.iter().zip(&self.partitions);
        let back = pairs.any(|(past, new)| past.is_some_and(|past| new.position < past.position - SAME));
        if !other_places && self.owners == before.owners && !back && !self.rebalancing() {
            return;
        }
        self.commits = self.commits.rebalanced(self.at);
        self.capacity.rebalanced();
        self.group_window = None;
        for partition in &mut self.partitions {
            partition.moved_at = self.at;
        }
        if other_places {
            self.ring = Ring::new(self.at);
        }
    }

    fn moves(&mut self, pasts: &[Option<&PartitionFlow>]) -> Vec<Move> {
        let pairs = self.partitions.iter_mut().zip(pasts).enumerate();
        let moves = pairs.map(|(index, (partition, past))| {
            let moved = past.is_some_and(|past| partition.position > past.position + SAME);
            let (before, unread) = (partition.moved_at, partition.unread());
            if moved || !unread {
                partition.moved_at = self.at;
            }
            Move { before, moved, unread, owned: self.owners.parts(index).next().is_some() }
        });
        moves.collect()
    }

    fn learn(&mut self, moves: &[Move], elapsed: f64) {
        let commits = self.commits.awaited();
        let since = self.ring.since();
        let circumstances = Circumstances {
            now: self.at,
            elapsed,
            stable_since: self.commits.stable_since,
            commits,
            rates_hold: since >= self.commits.stable_since && self.at.since(since) >= self.commits.rates_over(),
            caught_up_since: self.caught_up_since,
        };
        let workers = self.workers(moves);
        if workers.is_empty() {
            self.capacity.rebalanced();
            self.group_window = None;
            return;
        }
        let measured = self.capacity.add(&workers, &circumstances);
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if self.owners.parts(index).any(|(owner, _)| measured.begun.contains(&owner)) {
                partition.anchor = partition.position;
            }
        }
        let busy = count(measured.saturated) >= GROUP_SATURATED * count(workers.len());
        let moved = moves.iter().any(|one| one.moved) && self.at > self.commits.stable_since;
        self.compare_counts(busy && moved, GROUP_WINDOW.max(3.0 * commits));
    }

    /// What the whole group gets done while it is busy, for comparison with other counts of consumers.
    fn compare_counts(&mut self, busy: bool, window: f64) {
        let position: f64 = self.partitions.iter().map(|partition| partition.position).sum();
        self.group_window = match self.group_window.filter(|_| busy) {
            None => busy.then_some((self.at, position)),
            Some((since, from)) => {
                let over = self.at.since(since).as_secs_f64();
                if over < window {
                    return;
                }
                self.effect = self.effect.with(self.owners.count(), (position - from) / over, self.at);
                Some((self.at, position))
            }
        };
    }

    fn workers(&self, moves: &[Move]) -> Vec<Worker> {
        let mut workers = vec![Worker::default(); self.owners.count()];
        let over = self.at.since(self.ring.since()).as_secs_f64().max(1e-9);
        let commits = Duration::from_secs_f64(2.0 * self.commits.awaited());
        for (index, (partition, one)) in self.partitions.iter().zip(moves).enumerate() {
            for (owner, part) in self.owners.parts(index) {
                let Some(worker) = workers.get_mut(owner) else { continue };
                // a stuck partition is no sign of load
                if self.at.since(partition.moved_at) <= commits {
                    worker.backlog += part * self.behind(partition);
                }
                worker.rate += part * self.ring.moved(index) / over;
                worker.done += part * (partition.position - partition.anchor);
                worker.moved |= one.moved;
            }
        }
        workers
    }

    /// The backlog without what a caught-up consumer shows because it commits only now and then.
    fn behind(&self, partition: &PartitionFlow) -> f64 {
        (partition.backlog - partition.arrivals() * self.commits.awaited()).max(0.0)
    }

    fn caught_up(&self) -> bool {
        let within = 2.0 * self.commits.awaited() + CAUGHT_UP;
        self.partitions.iter().all(|partition| {
            let arrivals = partition.arrivals();
            // nobody works on a stuck one: it says nothing of what consumers can do
            self.stuck(partition)
                || partition.unweighed_age.is_none_or(|age| age < within)
                    && (arrivals <= 0.0 || partition.backlog / arrivals < within)
        })
    }
}

/// What one partition asks of its consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// What arrives in a second.
    pub arrivals: f64,
    /// What is behind, without what commits explain.
    pub backlog: f64,
    /// Whose it is.
    pub owner: Option<usize>,
    /// Nobody works on it although others work: more consumers do not help, and it asks for none.
    pub stuck: bool,
}

// === what the flow tells ===

impl OffsetFlow {
    /// When it was read last.
    #[must_use]
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// What each partition asks for; `None` until arrivals are known, which takes two readings.
    #[must_use]
    pub fn demands(&self) -> Option<Vec<Demand>> {
        self.quick_arrivals.get()?;
        let demands = self.partitions.iter().enumerate().map(|(index, partition)| {
            let owner = self.owners.of(index);
            if self.stuck(partition) {
                return Demand { arrivals: 0.0, backlog: 0.0, owner, stuck: true };
            }
            Demand { arrivals: partition.arrivals(), backlog: self.behind(partition), owner, stuck: false }
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

    /// What arrives in a second in all, by the last quarter of a minute.
    #[must_use]
    pub fn quick_arrivals(&self) -> f64 {
        self.quick_arrivals.get().unwrap_or(0.0)
    }

    /// What one consumer can do in a second, once measured.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.capacity.per_second()
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

    /// For how long nothing has been behind and nobody been given another partition; `None` while something is behind.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.caught_up_since.map(|since| self.at.since(since.max(self.commits.stable_since)))
    }

    /// Since when nobody has been given another partition.
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

    /// The count that no scale-up goes beyond, because the last one had no effect.
    #[must_use]
    pub fn useless_above(&self) -> Option<usize> {
        self.effect.limit(self.at)
    }

    /// Nobody moves for longer than commits explain.
    #[must_use]
    pub fn still(&self) -> bool {
        self.commits.still(self.at)
    }

    /// What is unread in all, without the control records that transactions leave behind and nobody reads.
    #[must_use]
    pub fn unread(&self) -> f64 {
        let work = self.partitions.iter().filter(|partition| !self.markers_only(partition));
        work.map(|partition| partition.backlog).sum()
    }

    /// The part of the backlog that is no work: a record or two in partitions that stand still, such as control records.
    #[must_use]
    pub fn markers(&self) -> f64 {
        let markers = self.partitions.iter().filter(|partition| self.markers_only(partition));
        markers.map(|partition| partition.backlog).sum()
    }

    fn stuck(&self, partition: &PartitionFlow) -> bool {
        partition.backlog >= 1.0 && self.commits.stuck(partition.moved_at, self.at)
    }

    fn markers_only(&self, partition: &PartitionFlow) -> bool {
        self.stuck(partition) && partition.backlog <= MARKERS && partition.arrivals() < NO_ARRIVALS
    }
}
