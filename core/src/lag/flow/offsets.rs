//! The flow of a source that reports records behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::average::{Average, Rate, Ring, Staleness, share_of};
use super::capacity::{Capacity, Circumstances, Worker};
use super::commits::{Commits, Move};
use super::partition::{ARRIVALS, PartitionFlow, SAME};
use super::rebalance::{Before, Rebalances};
use super::{Arrivals, OffsetRow, Owners, Split};
use crate::lag::Moment;

/// An age that exceeds what commits explain by this many seconds is behind.
const CAUGHT_UP: f64 = 10.0;
/// Where positions move at each reading, the assumed commit interval is this share of a reading.
const UNSEEN: f64 = 0.5;
/// The sampling period is averaged over this time, in seconds.
const PERIOD_OVER: f64 = 60.0;
/// Bounds of the estimated sampling period, in seconds: readings may fail for a while.
const PERIOD: (f64, f64) = (0.5, 60.0);
/// The half-life of a consumer's best rate, in seconds.
const BEST_HALF_LIFE: f64 = 3600.0;

/// One reading of offsets.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetReading {
    /// The partitions or shards, in a stable order.
    pub splits: Arc<[Split]>,
    /// What was read of each, in the same order.
    pub rows: Vec<OffsetRow>,
    /// The owners of the partitions, in the same order.
    pub owners: Owners,
}

/// The flow of a consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFlow {
    pub(super) at: Moment,
    /// The partitions or shards: the same list in each reading until they change.
    pub(super) splits: Arc<[Split]>,
    pub(super) partitions: Vec<PartitionFlow>,
    pub(super) owners: Owners,
    rebalances: Rebalances,
    /// Seconds from one reading to the next.
    period: Average,
    /// Arrivals per second since the previous reading, and the seconds since that reading.
    pub(super) arrived: Option<(f64, f64)>,
    pub(super) commits: Commits,
    staleness: Staleness,
    /// Seconds by which a caught-up consumer appears behind, beyond what its commits explain.
    error: f64,
    ring: Ring,
    pub(super) capacity: Capacity,
    /// The highest rate of a consumer in undisturbed work, per second.
    pub(super) best: f64,
    /// The time since which no consumer is saturated and no partition has changed its owner.
    pub(super) quiet_since: Option<Moment>,
    /// When the number of consumers last decreased from one reading to the next.
    pub(super) fewer_at: Option<Moment>,
}

impl OffsetFlow {
    /// Returns the flow after a reading.
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
        let mut rebalances = Rebalances::default();
        Self {
            at: now,
            splits: reading.splits,
            partitions: reading.rows.into_iter().map(|row| PartitionFlow::new(row, now)).collect(),
            owners: rebalances.owners(Before::None, reading.owners, now),
            rebalances,
            period: Average::default(),
            arrived: None,
            commits: Commits::new(now),
            staleness: Staleness::default(),
            error: 0.0,
            ring: Ring::new(now),
            capacity: Capacity::default(),
            best: 0.0,
            quiet_since: None,
            fewer_at: None,
        }
    }

    fn with(&self, reading: OffsetReading, now: Moment) -> Self {
        let elapsed = now.since(self.at).as_secs_f64();
        let pasts = self.pasts(&reading.splits);
        let before = Before::new(&self.owners, self.partitions.len(), pasts.iter().map(Option::is_some));
        let mut rebalances = self.rebalances;
        let owners = rebalances.owners(before, reading.owners, now);
        let share = share_of(elapsed, ARRIVALS);
        let partitions = pasts.iter().zip(reading.rows).map(|(past, row)| match past {
            Some(past) => past.with(row, elapsed, share, now),
            None => PartitionFlow::new(row, now),
        });
        let mut next = Self {
            at: now,
            splits: reading.splits,
            partitions: partitions.collect(),
            owners,
            rebalances,
            period: self.period.with(elapsed.clamp(PERIOD.0, PERIOD.1), elapsed, PERIOD_OVER),
            arrived: None,
            commits: self.commits,
            staleness: self.staleness.clone(),
            error: self.error,
            ring: self.ring.clone(),
            capacity: self.capacity.clone(),
            best: self.best,
            quiet_since: self.quiet_since,
            fewer_at: self.fewer_at,
        };
        let arrived = pasts.iter().zip(&next.partitions).map(|(past, partition)| {
            partition.by.in_a_second(past.map_or(0.0, |past| (partition.end - past.end).max(0.0) / elapsed))
        });
        next.arrived = Some((arrived.sum(), elapsed));
        next.rebalance(self, &pasts);
        let moves = next.moves(&pasts);
        next.commits = next.commits.with(&moves, elapsed, now);
        for partition in &mut next.partitions {
            partition.stuck |= partition.backlog >= 1.0 && next.commits.stuck(partition.moved_at, now);
        }
        let mut done = vec![0.0; next.owners.count()];
        for (index, (past, new)) in pasts.iter().zip(&next.partitions).enumerate() {
            let moved = past.map_or(0.0, |past| new.position - past.position);
            for (owner, part) in next.owners.parts(index) {
                done[owner] += part * moved;
            }
        }
        next.ring.add(now, &done, next.commits.rates_over(next.period()));
        next.learn(&moves, elapsed);
        if next.owners.count() < self.owners.count() {
            next.fewer_at = Some(now);
        }
        next
    }

    /// These partitions at the previous reading.
    fn pasts(&self, splits: &Arc<[Split]>) -> Vec<Option<&PartitionFlow>> {
        if self.splits == *splits {
            return self.partitions.iter().map(Some).collect();
        }
        let known: HashMap<_, _> = self.splits.iter().zip(&self.partitions).collect();
        splits.iter().map(|split| known.get(split).copied()).collect()
    }

    /// Discards measurements of the previous assignment, which do not apply to the new one.
    fn rebalance(&mut self, before: &Self, pasts: &[Option<&PartitionFlow>]) {
        let other_places = before.partitions.len() != pasts.len() || pasts.contains(&None);
        let mut pairs = pasts.iter().zip(&self.partitions);
        let back = pairs.any(|(past, new)| past.is_some_and(|past| new.position < past.position - SAME));
        let moved = other_places || back || self.owners != before.owners;
        if !moved && !self.rebalances.ongoing(self.at) {
            return;
        }
        self.commits = self.commits.rebalanced(self.at);
        self.capacity.rebalanced();
        self.ring = Ring::new(self.at);
        if moved {
            self.rebalances.completed(self.at);
            for partition in &mut self.partitions {
                (partition.moved_at, partition.pace) = (self.at, None);
            }
        }
    }

    fn moves(&mut self, pasts: &[Option<&PartitionFlow>]) -> Vec<Move> {
        let pairs = self.partitions.iter_mut().zip(pasts).enumerate();
        let moves = pairs.map(|(index, (partition, past))| {
            let moved = past.is_some_and(|past| partition.position > past.position + SAME);
            let (before, unread) = (partition.moved_at, partition.unread());
            if moved && let Some(past) = past {
                let behind = before < self.at && partition.backlog > self.error * partition.arrivals();
                let done = || Rate::new((partition.position - past.position) / self.at.since(before).as_secs_f64());
                partition.pace = behind.then(done);
            }
            if moved || !unread {
                (partition.moved_at, partition.stuck) = (self.at, false);
            }
            Move { before, moved, unread, owned: self.owners.owned(index) }
        });
        moves.collect()
    }

    fn learn(&mut self, moves: &[Move], elapsed: f64) {
        let (commits, period) = (self.commits.awaited(), self.period());
        let since = self.ring.since();
        self.watch_staleness(commits);
        self.error = self.staleness.least().map_or(period, |least| least.min(period));
        if moves.iter().any(|one| one.moved) && !self.rebalances.ongoing(self.at) {
            self.rebalances.progressed(self.at);
        }
        let circumstances = Circumstances {
            now: self.at,
            elapsed,
            stable_since: self.commits.stable_since,
            commits,
            period,
            rates_hold: since >= self.commits.stable_since && self.at.since(since) >= self.commits.rates_over(period),
            quiet_since: self.quiet_since,
        };
        let workers = self.workers(moves);
        if workers.is_empty() {
            self.capacity.rebalanced();
            self.quiet_since = None;
            return;
        }
        let fastest = workers.iter().map(|worker| worker.rate).fold(0.0, f64::max);
        self.best *= 0.5_f64.powf(elapsed / BEST_HALF_LIFE);
        if since >= self.commits.stable_since && self.at.since(since).as_secs_f64() >= 2.0 * period - SAME {
            self.best = self.best.max(fastest);
        }
        let measured = self.capacity.add(&workers, &circumstances);
        if measured.begun.contains(&true) {
            for (index, partition) in self.partitions.iter_mut().enumerate() {
                if self.owners.parts(index).any(|(owner, _)| measured.begun[owner]) {
                    partition.anchor = partition.position;
                }
            }
        }
        let within = 2.0 * commits + CAUGHT_UP;
        // the number of unread records is unknown, and their age is enough
        let behind = self.partitions.iter().any(|partition| partition.unweighed_age().is_some_and(|age| age >= within));
        let quiet = measured.saturated == 0 && !behind && self.at > self.commits.stable_since;
        self.quiet_since = quiet.then(|| self.quiet_since.unwrap_or(self.at));
    }

    fn workers(&self, moves: &[Move]) -> Vec<Worker> {
        let over = self.at.since(self.ring.since()).as_secs_f64().max(1e-9);
        let worker = |consumer| Worker { rate: self.ring.moved(consumer) / over, ..Worker::default() };
        let mut workers: Vec<_> = (0..self.owners.count()).map(worker).collect();
        let commits = Duration::from_secs_f64(2.0 * self.commits.awaited());
        for (index, (partition, one)) in self.partitions.iter().zip(moves).enumerate() {
            for (owner, part) in self.owners.parts(index) {
                let Some(worker) = workers.get_mut(owner) else { continue };
                // a stuck partition does not show load
                if self.at.since(partition.moved_at) <= commits {
                    let backlog = part * self.surely_behind(partition);
                    worker.backlog += backlog;
                    if partition.position > partition.anchor + SAME {
                        worker.progressing += backlog;
                    }
                }
                worker.done += part * (partition.position - partition.anchor);
                worker.moved |= one.moved;
            }
        }
        workers
    }

    /// Updates the staleness. A rebalance commits everything, so only readings well after one show how stale a caught-up consumer appears.
    fn watch_staleness(&mut self, commits: f64) {
        if self.at.since(self.commits.stable_since).as_secs_f64() < 2.0 * commits {
            return;
        }
        let busy = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(index, partition)| partition.gets_more() && self.owners.owned(*index));
        let beyond = |partition: &PartitionFlow| {
            (partition.backlog / partition.arrivals() - self.at.since(partition.moved_at).as_secs_f64()).max(0.0)
        };
        let mut ages: Vec<_> = busy.map(|(_, partition)| beyond(partition)).collect();
        self.staleness.add(self.at, &mut ages);
    }

    /// Seconds of arrivals that a partition shows as backlog although its consumer is not behind: those since its last commit, up to the
    /// commit interval, and the error of a reading. A consumer that was behind at that commit has not done more per second since.
    pub(super) fn not_behind(&self, partition: &PartitionFlow) -> f64 {
        let done = partition.pace.map_or(1.0, |pace| pace.get() / partition.arrivals().max(pace.get()));
        self.explained(partition, self.error, done)
    }

    /// Since the last commit, `done` of the arrivals were read.
    fn explained(&self, partition: &PartitionFlow, error: f64, done: f64) -> f64 {
        if partition.exact() {
            return 0.0;
        }
        let since = self.at.since(partition.moved_at).as_secs_f64();
        (done * since + error).min(self.commits.longest().max(error))
    }

    /// The backlog less everything that a caught-up consumer may show. Its last commit was at some time since the previous reading:
    /// otherwise a consumer that keeps up would be mistaken for a full one, and its arrivals for its capacity.
    fn surely_behind(&self, partition: &PartitionFlow) -> f64 {
        let unseen = UNSEEN * self.period();
        let explained = match partition.by {
            // of the time since the checkpoint only the error of a reading is taken off already
            Arrivals::Reported { .. } => unseen,
            _ => self.explained(partition, self.error.max(unseen), 1.0),
        };
        (partition.backlog - partition.arrivals() * explained).max(0.0)
    }

    /// Seconds from one reading to the next, once there were two.
    pub(super) fn known_period(&self) -> Option<f64> {
        self.period.get()
    }

    /// Seconds from one reading to the next, on average.
    #[must_use]
    pub fn period(&self) -> f64 {
        self.period.get().unwrap_or(PERIOD.1)
    }

    /// Whether partitions are being moved from one consumer to another.
    #[must_use]
    pub fn rebalancing(&self) -> bool {
        self.rebalances.ongoing(self.at)
    }

    /// Seconds for which a rebalance stops all work.
    #[must_use]
    pub fn pause(&self) -> f64 {
        self.rebalances.pause()
    }
}
