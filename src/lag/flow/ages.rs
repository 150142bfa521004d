//! The flow of an application of which only ages are known: KCL before 3, DynamoDB Streams.
//!
//! Capacity is seen as speed: seconds of the stream that are processed in a second. At 1 a consumer keeps up; of one that is behind,
//! the speed tells how many would be enough at the same arrivals.

use std::time::Duration;

use super::average::count;
use super::commits::{Commits, Move};
use super::{Owners, Place};
use crate::lag::Moment;

/// Checkpoints this many seconds apart tell a speed.
const WINDOW: f64 = 30.0;
/// A shard this many seconds older than checkpoints explain is behind.
const BEHIND: f64 = 10.0;
/// Slower than this is not believed.
const SLOWEST: f64 = 0.05;
/// Rounding of times.
const SAME: f64 = 1e-6;
/// The share of the consumers that must be behind to show how many would be enough: fewer would be the slow ones only.
const ENOUGH: f64 = 0.5;
/// The weight of a new measurement.
const SHARE: f64 = 0.5;

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct AgeReading {
    /// The shards that are being read, in an order that stays, and how many seconds ago the oldest unread record of each arrived; 0
    /// where nothing is unread.
    pub rows: Vec<(Place, f64)>,
    /// Whose they are, by the same order.
    pub owners: Owners,
}

/// The flow of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct AgeFlow {
    at: Moment,
    shards: Vec<ShardFlow>,
    owners: Owners,
    commits: Commits,
    steady: Option<Speeds>,
    caught_up_since: Option<Moment>,
    /// There was one reading only: nothing has moved yet.
    first: bool,
}

/// The flow of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardFlow {
    /// Which.
    pub place: Place,
    /// How many seconds ago its oldest unread record arrived; 0 where nothing is unread.
    pub age: f64,
    /// Up to which arrival everything is processed, in seconds since the epoch.
    processed_until: f64,
    moved_at: Moment,
    /// Where the present window began: when, and how far it was then.
    window: Option<(Moment, f64)>,
    /// Seconds of the stream that are processed in a second.
    speed: Option<f64>,
    /// When the window of that speed began.
    speed_since: Option<Moment>,
    behind_since: Option<Moment>,
}

/// What a group in which at least half were behind has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speeds {
    /// The sum over those who were behind of 1 / speed: so many would just have kept up.
    pub busy: f64,
    /// Those who were not behind.
    pub idle: f64,
    /// When.
    pub at: Moment,
}

impl Speeds {
    /// The consumers that are enough for the same arrivals at this utilisation.
    #[must_use]
    pub fn enough(self, utilization: f64) -> f64 {
        self.busy / utilization + self.idle
    }
}

impl ShardFlow {
    fn new(place: Place, age: f64, now: Moment) -> Self {
        Self {
            place,
            age,
            processed_until: now.seconds() - age,
            moved_at: now,
            window: None,
            speed: None,
            speed_since: None,
            behind_since: (age > BEHIND).then_some(now),
        }
    }

    /// Measures from checkpoint to checkpoint: windows of a fixed length would see the teeth of a saw.
    fn measure(&mut self, moved: bool, now: Moment) {
        let over = self.window.map(|(since, from)| (since, now.since(since).as_secs_f64(), from));
        let due = over.filter(|(_, over, _)| moved && *over >= WINDOW - SAME);
        if let Some((since, over, from)) = due {
            self.speed = Some((self.processed_until - from) / over);
            self.speed_since = Some(since);
        }
        let idle = self.age <= 0.0;
        if idle {
            self.speed = Some(1.0);
        }
        if due.is_some() || idle || (moved && self.window.is_none()) {
            self.window = Some((now, self.processed_until));
        }
    }

    /// Seconds of the stream that are processed in a second, where measured.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        self.speed.map(|speed| speed.max(SLOWEST))
    }
}

impl AgeFlow {
    /// The flow after a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, reading: AgeReading, now: Moment) -> Self {
        let past = past.filter(|past| !past.shards.is_empty());
        match past {
            None => Self::begin(reading, now),
            Some(past) if now > past.at => past.with(reading, now),
            Some(past) => past.clone(),
        }
    }

    fn begin(reading: AgeReading, now: Moment) -> Self {
        let shards = reading.rows.into_iter().map(|(place, age)| ShardFlow::new(place, age, now)).collect();
        Self {
            at: now,
            shards,
            owners: reading.owners,
            commits: Commits::new(now),
            steady: None,
            caught_up_since: None,
            first: true,
        }
    }

    fn with(&self, reading: AgeReading, now: Moment) -> Self {
        let elapsed = now.since(self.at).as_secs_f64();
        let pasts: Vec<_> =
            reading.rows.iter().enumerate().map(|(index, (place, _))| self.shard(index, place)).collect();
        let other_places = self.shards.len() != pasts.len() || pasts.contains(&None);
        let rebalanced = other_places || reading.owners != self.owners;
        let mut commits = if rebalanced { self.commits.rebalanced(now) } else { self.commits };
        let (mut shards, mut moves) = (Vec::with_capacity(pasts.len()), Vec::with_capacity(pasts.len()));
        for (index, ((place, age), past)) in reading.rows.into_iter().zip(&pasts).enumerate() {
            let mut shard = ShardFlow::new(place, age, now);
            let mut moved = false;
            if let Some(past) = past {
                moved = shard.processed_until > past.processed_until + SAME;
                shard = ShardFlow { age, processed_until: shard.processed_until, ..(*past).clone() };
            }
            if rebalanced {
                (shard.moved_at, shard.window, shard.speed) = (now, None, None);
            }
            moves.push(Move {
                before: shard.moved_at,
                // where everything is read, what moves is the time
                moved: moved && age > 0.0,
                unread: age > 0.0,
                owned: reading.owners.of(index).is_some(),
            });
            if moved || age <= 0.0 {
                shard.moved_at = now;
            }
            shard.measure(moved && !rebalanced, now);
            shards.push(shard);
        }
        commits = commits.with(&moves, elapsed, now);
        for shard in &mut shards {
            let behind = shard.age - commits.awaited() > BEHIND;
            shard.behind_since = behind.then(|| shard.behind_since.unwrap_or(now));
        }
        let owners = reading.owners;
        let mut next =
            Self { at: now, shards, owners, commits, steady: self.steady, caught_up_since: None, first: false };
        next.caught_up_since = next.caught_up().then(|| self.caught_up_since.unwrap_or(now));
        next.learn();
        next
    }

    fn caught_up(&self) -> bool {
        let within = 2.0 * self.commits.awaited() + BEHIND;
        // nobody works on a shard that stands still: it says nothing of what consumers can do
        self.shards.iter().all(|shard| shard.age < within || self.stands(shard))
    }

    fn shard(&self, index: usize, place: &Place) -> Option<&ShardFlow> {
        let same = self.shards.get(index).filter(|past| past.place == *place);
        same.or_else(|| self.shards.iter().find(|past| past.place == *place))
    }

    /// Where at least half of the consumers are behind, their speeds tell how many would be enough.
    fn learn(&mut self) {
        let consumers = self.owners.count();
        let (mut busy, mut saturated) = (0.0, 0.0);
        for (speeds, behind) in self.by_owner() {
            if behind && !speeds.is_empty() {
                busy += 1.0 / (speeds.iter().sum::<f64>() / count(speeds.len())).max(SLOWEST);
                saturated += 1.0;
            }
        }
        if saturated == 0.0 || saturated < ENOUGH * count(consumers) {
            return;
        }
        let idle = count(consumers) - saturated;
        let old = self.steady.unwrap_or(Speeds { busy, idle, at: self.at });
        let mean = |old: f64, new: f64| old + SHARE * (new - old);
        self.steady = Some(Speeds { busy: mean(old.busy, busy), idle: mean(old.idle, idle), at: self.at });
    }

    /// Of each consumer, the speeds of its shards and whether one of them shows that it is behind.
    fn by_owner(&self) -> Vec<(Vec<f64>, bool)> {
        let mut all = vec![(Vec::new(), false); self.owners.count()];
        for (index, shard) in self.shards.iter().enumerate() {
            if let Some((speeds, behind)) = self.owners.of(index).and_then(|owner| all.get_mut(owner)) {
                speeds.extend(shard.speed);
                *behind |= self.shows(shard);
            }
        }
        all
    }
}

// === what the flow tells ===

impl AgeFlow {
    /// When it was read last.
    #[must_use]
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// Whether there was one reading only: speeds need two.
    #[must_use]
    pub const fn first(&self) -> bool {
        self.first
    }

    /// The shards that are being read.
    #[must_use]
    pub fn shards(&self) -> &[ShardFlow] {
        &self.shards
    }

    /// Who works on them.
    #[must_use]
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// How old a shard is, without what checkpoints explain.
    #[must_use]
    pub fn behind(&self, shard: &ShardFlow) -> f64 {
        (shard.age - self.commits.awaited()).max(0.0)
    }

    /// Whether a shard is behind, and its consumer works on it.
    #[must_use]
    pub fn lags(&self, shard: &ShardFlow) -> bool {
        self.behind(shard) > BEHIND && !self.stands(shard)
    }

    fn stands(&self, shard: &ShardFlow) -> bool {
        self.at.since(shard.moved_at).as_secs_f64() > self.commits.stuck_after()
    }

    /// Whether a shard was behind for as long as its speed was measured: only then does that tell what its consumer can do.
    #[must_use]
    pub fn shows(&self, shard: &ShardFlow) -> bool {
        let whole = || match (shard.behind_since, shard.speed_since) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(behind), Some(measured)) => behind.since(measured).as_secs_f64() <= BEHIND,
        };
        self.lags(shard) && shard.speed.is_some() && whole()
    }

    /// What a group in which at least half were behind has shown last.
    #[must_use]
    pub const fn steady(&self) -> Option<Speeds> {
        self.steady
    }

    /// For how long nothing has been behind and nobody been given another shard; `None` while something is behind.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.caught_up_since.map(|since| self.at.since(since.max(self.commits.stable_since)))
    }

    /// How old the oldest unread record is.
    #[must_use]
    pub fn age(&self) -> f64 {
        self.shards.iter().map(|shard| shard.age).fold(0.0, f64::max)
    }
}
