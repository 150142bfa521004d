//! The flow of an application that reports only ages: KCL before 3, DynamoDB Streams.
//!
//! A shard's demand is the share of one consumer that it needs to keep up. A speed is seconds of the stream processed per second.
//! A consumer that is always behind is full: the sum of demand times speed over its shards is 1. For any other consumer it is at most 1.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::average::{Staleness, count};
use super::partition::SAME;
use super::rebalance::{Before, Rebalances};
use super::{Arrivals, OffsetFlow, OffsetReading, OffsetRow, Owners, Split};
use crate::lag::Moment;

/// What a consumer does per second, in parts of its capacity; thresholds of half a record are negligible beside it.
pub const FULL: f64 = 1000.0;
/// The minimum number of readings over which a speed is measured: in fewer, the phase of the checkpoint dominates.
const WINDOW: f64 = 2.0;
/// A shard is behind if its age exceeds what checkpoints explain by this share of a sampling period.
const MARGIN: f64 = 0.5;
/// The weight of a new demand that differs from the known one by more than noise.
const CHANGED: f64 = 0.6;
/// The weight of a new demand that differs from the known one by noise only.
const NOISE: f64 = 0.25;
/// Demands that differ by less than this share differ by noise only.
const NEAR: f64 = 0.3;
/// The plausible range of speeds: lower ones are rejected, and so are higher ones of a shard that is not behind.
const SPEEDS: (f64, f64) = (0.02, 1.5);
/// The utilization of consumers that is assumed until ages contradict it.
const ASSUMED: f64 = 0.82;

/// One reading of an application's ages.
#[derive(Clone, Debug, PartialEq)]
pub struct AgeReading {
    /// The shards that are being read, in a stable order, and the age in seconds of the oldest unread record of each; 0 where
    /// nothing is unread.
    pub rows: Vec<(Split, f64)>,
    /// The owner of each shard, in the same order.
    pub owners: Owners,
}

/// The flow of an application that reports only ages.
#[derive(Clone, Debug, PartialEq)]
pub struct AgeFlow {
    shards: Vec<ShardFlow>,
    /// The demands, expressed as records.
    flow: OffsetFlow,
    rebalances: Rebalances,
    owners: Owners,
    staleness: Staleness,
    rebalanced_at: Moment,
    /// When a consumer was last full.
    full_at: Moment,
}

/// The flow of one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardFlow {
    /// The shard that this flow describes.
    pub place: Split,
    /// The age in seconds of its oldest unread record; 0 where nothing is unread.
    pub age: f64,
    /// Whether the shard was behind when its checkpoint last moved.
    pub behind: bool,
    /// Every record that arrived before this time is processed; in seconds since the epoch.
    processed_until: f64,
    /// The share of one consumer that the shard needs, and whether that was measured.
    demand: f64,
    measured: bool,
    window: Option<Window>,
    speed: Option<(f64, Moment)>,
    /// The total work done on the shard, in parts of a consumer's capacity.
    done: f64,
}

/// The start of the present measurement of a speed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    since: Moment,
    from: f64,
    behind: bool,
}

/// What a reading shows of a shard.
#[derive(Clone, Copy)]
struct Seen {
    moved: bool,
    behind: bool,
    /// How the measurement window ends at this reading, if it does.
    ended: Option<Ended>,
}

/// How a measurement window ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The shard was behind at both ends: its consumer was full.
    Full,
    /// The shard was not behind at both ends.
    NotFull,
}

impl ShardFlow {
    fn new(place: Split, age: f64, demand: f64, now: Moment) -> Self {
        let processed_until = now.seconds() - age;
        let (behind, measured) = (false, false);
        Self { place, age, behind, processed_until, demand, measured, window: None, speed: None, done: 0.0 }
    }

    /// Seconds of the stream that are processed per second, where measured.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        self.speed.map(|(speed, _)| speed)
    }
}

impl AgeFlow {
    /// Returns the flow after a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, reading: AgeReading, now: Moment) -> Self {
        let past = past.filter(|past| !past.shards.is_empty());
        match past {
            None => Self::begin(reading, now),
            Some(past) if now > past.flow.at() => past.with(reading, now),
            Some(past) => past.clone(),
        }
    }

    fn begin(reading: AgeReading, now: Moment) -> Self {
        let mut rebalances = Rebalances::default();
        let owners = rebalances.owners(Before::None, reading.owners.clone(), now);
        let demands = assumed(&owners, reading.rows.len());
        let shards = reading.rows.into_iter().zip(demands);
        let shards: Vec<_> = shards.map(|((place, age), demand)| ShardFlow::new(place, age, demand, now)).collect();
        let rows = shards.iter().map(|shard| shard.row(0.0)).collect();
        let flow = OffsetFlow::fold(None, OffsetReading { splits: splits(&shards), rows, owners: reading.owners }, now);
        let staleness = Staleness::default();
        Self { shards, flow, rebalances, owners, staleness, rebalanced_at: now, full_at: now }
    }

    fn with(&self, reading: AgeReading, now: Moment) -> Self {
        let period = self.flow.known_period().unwrap_or_else(|| now.since(self.flow.at()).as_secs_f64());
        let mut next = self.clone();
        let places = self.places(&reading.rows);
        let known = reading.rows.iter().enumerate().map(|(index, (place, _))| self.shard(index, place).is_some());
        let before = Before::new(&self.owners, self.shards.len(), known);
        next.owners = next.rebalances.owners(before, reading.owners.clone(), now);
        let demands = assumed(&next.owners, reading.rows.len());
        next.shards = reading
            .rows
            .iter()
            .enumerate()
            .map(|(index, (place, age))| match self.shard(index, place) {
                Some(past) => ShardFlow { age: *age, ..past.clone() },
                None => ShardFlow::new(place.clone(), *age, demands.get(index).copied().unwrap_or_default(), now),
            })
            .collect();
        if !places || next.owners != self.owners {
            next.rebalance(self, now);
        }
        let error = next.error(period, now);
        if now > next.rebalanced_at {
            next.measure(error, period, now);
        }
        for shard in &mut next.shards {
            let processed_until = now.seconds() - shard.age;
            shard.done += FULL * shard.demand * (processed_until - shard.processed_until).max(0.0);
            shard.processed_until = processed_until;
        }
        let rows = next.shards.iter().map(|shard| shard.row(error)).collect();
        let reading = OffsetReading { splits: splits(&next.shards), rows, owners: reading.owners };
        next.flow = OffsetFlow::fold(Some(&self.flow), reading, now);
        next
    }

    /// Whether the shards are those of the previous reading.
    fn places(&self, rows: &[(Split, f64)]) -> bool {
        self.shards.len() == rows.len() && self.shards.iter().zip(rows).all(|(shard, (place, _))| shard.place == *place)
    }

    fn shard(&self, index: usize, place: &Split) -> Option<&ShardFlow> {
        let same = self.shards.get(index).filter(|past| past.place == *place);
        same.or_else(|| self.shards.iter().find(|past| past.place == *place))
    }

    /// Discards measurements of the previous assignment, which do not apply to the new one. If no shard was behind, fewer consumers than
    /// before are assumed to be enough until ages contradict that.
    fn rebalance(&mut self, before: &Self, now: Moment) {
        self.rebalanced_at = now;
        let calm = !before.shards.iter().any(|shard| shard.behind);
        if calm && (1..before.owners.count()).contains(&self.owners.count()) {
            for (consumer, sum) in self.demands().into_iter().enumerate() {
                self.scale(consumer, ASSUMED / sum.max(ASSUMED));
            }
        }
        for shard in &mut self.shards {
            (shard.window, shard.speed, shard.behind) = (None, None, false);
        }
    }

    /// Seconds by which a caught-up consumer appears behind: the ages just after a checkpoint.
    fn error(&mut self, period: f64, now: Moment) -> f64 {
        if now.since(self.rebalanced_at).as_secs_f64() >= 2.0 * period {
            let owned = self.shards.iter().enumerate().filter(|(index, _)| self.owners.of(*index).is_some());
            let moved = owned.filter(|(_, shard)| shard.moved(now));
            let mut ages: Vec<_> = moved.map(|(_, shard)| shard.age).collect();
            self.staleness.add(now, &mut ages);
        }
        self.staleness.least().map_or(period, |least| least.min(period))
    }

    fn measure(&mut self, error: f64, period: f64, now: Moment) {
        let seen: Vec<_> = (0..self.shards.len()).map(|index| self.see(index, error, period, now)).collect();
        for (shard, seen) in self.shards.iter_mut().zip(&seen) {
            if let Some(window) = shard.window.filter(|_| seen.ended.is_some()) {
                let over = now.since(window.since).as_secs_f64();
                shard.speed = Some(((now.seconds() - shard.age - window.from) / over, now));
            }
        }
        self.learn(&seen, period, now);
        for (shard, seen) in self.shards.iter_mut().zip(&seen) {
            if seen.moved {
                shard.behind = seen.behind;
            }
            if seen.ended.is_some() || (seen.moved && shard.window.is_none()) {
                shard.window = Some(Window { since: now, from: now.seconds() - shard.age, behind: seen.behind });
            }
        }
    }

    fn see(&self, index: usize, error: f64, period: f64, now: Moment) -> Seen {
        let Some(shard) = self.shards.get(index) else {
            return Seen { moved: false, behind: false, ended: None };
        };
        let (moved, behind) = (shard.moved(now), shard.age > error + MARGIN * period);
        let ends = |window: Window| now.since(window.since).as_secs_f64() >= WINDOW * period - SAME;
        let window = shard.window.filter(|window| moved && self.owners.of(index).is_some() && ends(*window));
        let ended = window.map(|window| if behind && window.behind { Ended::Full } else { Ended::NotFull });
        Seen { moved, behind, ended }
    }

    fn learn(&mut self, seen: &[Seen], period: f64, now: Moment) {
        let due = seen.iter().enumerate().filter(|(_, seen)| seen.ended.is_some());
        let consumers: HashSet<_> = due.filter_map(|(index, _)| self.owners.of(index)).collect();
        let recent = Duration::from_secs_f64(2.0 * WINDOW * period);
        for consumer in consumers {
            let own: Vec<_> = (0..seen.len()).filter(|index| self.owners.of(*index) == Some(consumer)).collect();
            let of = |index: &usize| Some((self.shards.get(*index)?, seen.get(*index)?));
            let speed = |shard: &ShardFlow| match shard.speed {
                Some((speed, at)) if now.since(at) < recent => speed,
                _ => 1.0,
            };
            let full: Vec<_> = own
                .iter()
                .copied()
                .filter(|index| of(index).is_some_and(|(_, seen)| seen.ended == Some(Ended::Full)))
                .collect();
            if full.is_empty() {
                let behind = |(shard, seen): (&ShardFlow, &Seen)| shard.behind || seen.behind && seen.moved;
                if !own.iter().filter_map(of).any(behind) {
                    // a consumer that is not behind does no more than its capacity
                    let done: f64 =
                        own.iter().filter_map(of).map(|(shard, _)| shard.demand * speed(shard).max(1.0)).sum();
                    self.scale(consumer, 1.0 / done.max(1.0));
                }
                continue;
            }
            self.full_at = now;
            let others = own.iter().filter(|index| !full.contains(index)).filter_map(of);
            let spent: f64 = others.map(|(shard, _)| shard.demand * speed(shard).min(SPEEDS.1)).sum();
            let share = (1.0 / count(own.len())).max((1.0 - spent) / count(full.len()));
            for index in full {
                if let Some(shard) = self.shards.get_mut(index) {
                    shard.learn(share);
                }
            }
        }
    }

    /// The sum of the demands on each consumer.
    fn demands(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.owners.count()];
        for (index, shard) in self.shards.iter().enumerate() {
            if let Some(sum) = self.owners.of(index).and_then(|owner| sums.get_mut(owner)) {
                *sum += shard.demand;
            }
        }
        sums
    }

    fn scale(&mut self, consumer: usize, factor: f64) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if self.owners.of(index) == Some(consumer) {
                shard.demand *= factor;
            }
        }
    }
}

/// The demands that are assumed before any was measured: every consumer at the utilization that the law aims at.
fn assumed(owners: &Owners, shards: usize) -> Vec<f64> {
    let mut own = vec![0_usize; owners.count()];
    for owner in (0..shards).filter_map(|index| owners.of(index)) {
        if let Some(number) = own.get_mut(owner) {
            *number += 1;
        }
    }
    let demand = |index| match owners.of(index).and_then(|owner| own.get(owner)) {
        Some(number) => ASSUMED / count(*number),
        None => 1.0 / count(shards),
    };
    (0..shards).map(demand).collect()
}

impl ShardFlow {
    fn moved(&self, now: Moment) -> bool {
        now.seconds() - self.age > self.processed_until + SAME
    }

    /// Learns from a full consumer that spends this share on the shard.
    fn learn(&mut self, share: f64) {
        let demand = share / self.speed().unwrap_or(1.0).max(SPEEDS.0);
        let near = (demand - self.demand).abs() < NEAR * self.demand;
        let weight = match self.measured {
            false => 1.0,
            true if near => NOISE,
            true => CHANGED,
        };
        self.demand += weight * (demand - self.demand);
        self.measured = true;
    }

    fn row(&self, error: f64) -> OffsetRow {
        let per_second = FULL * self.demand;
        let backlog = per_second * (self.age - error).max(0.0);
        let arrivals = Arrivals::Exact { per_second, age: self.age };
        OffsetRow { end: self.done + backlog, committed: Some(self.done), backlog, arrivals }
    }
}

fn splits(shards: &[ShardFlow]) -> Arc<[Split]> {
    shards.iter().map(|shard| shard.place.clone()).collect()
}

// === what the flow shows ===

impl AgeFlow {
    /// The demands as records, of which a consumer processes [`FULL`] per second.
    #[must_use]
    pub const fn flow(&self) -> &OffsetFlow {
        &self.flow
    }

    /// The shards that are being read.
    #[must_use]
    pub fn shards(&self) -> &[ShardFlow] {
        &self.shards
    }

    /// The owners of the shards.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// How long no consumer has been full and no shard has changed its owner; `None` while a shard is behind.
    pub(crate) fn calm_for(&self) -> Option<Duration> {
        let behind = self.shards.iter().any(|shard| shard.behind);
        (!behind).then(|| self.flow.at().since(self.full_at.max(self.rebalanced_at)))
    }

    /// The age of the oldest unread record, in seconds.
    #[must_use]
    pub fn age(&self) -> f64 {
        self.shards.iter().map(|shard| shard.age).fold(0.0, f64::max)
    }
}
