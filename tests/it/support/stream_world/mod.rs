//! A provisioned Kinesis stream in a simulated world: writes, throttling, reshards, a CloudWatch that is late, the day's limit of calls.

mod demand;

use std::time::Duration;

use keda_stream_scaler::lag::streams::{Change, StreamCapacity, StreamState, Timestamp};
use keda_stream_scaler::lag::{COARSE, Minute, Writes};
use keda_stream_scaler::resize::{Bounds, Calls, Consumers, Plan, Situation, Stream};
use keda_stream_scaler::scaling::write_utilization::shards_needed;
use keda_stream_scaler::trigger::WriteUtilizationPolicy;

pub use self::demand::{Course, DAY, Demand, MINUTES};

/// What the service allows within a rolling day.
const CALLS_PER_DAY: u32 = 10;
/// Points of single minutes that are read.
const FINE: usize = 180;
const RECORDS: f64 = 60_000.0;

/// What the world does besides.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Minutes until a minute can be read.
    pub delay: usize,
    /// How much longer than usual a reshard takes.
    pub slowness: f64,
}

/// What two days came to, per day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub throttled_seconds: f64,
    pub shard_hours: f64,
    pub calls: f64,
    pub refused: f64,
}

struct World {
    open: f64,
    goal: u32,
    from: u32,
    /// Minutes that a reshard has left, and how many it takes.
    left: u32,
    total: u32,
    changes: Vec<Change>,
    minutes: Vec<Minute>,
}

/// Four days of `demand`, of which the last two count.
pub fn simulate(demand: &Demand, conditions: Conditions) -> Outcome {
    let first = ceil(demand.mean(0) / 0.5).max(1);
    let mut world = World::new(first);
    let mut waiting = std::collections::VecDeque::new();
    let mut outcome = Outcome::default();
    for minute in 0..MINUTES {
        world.reshard(minute);
        let put = demand.put(minute, world.open);
        waiting.push_back(put);
        let counts = minute >= MINUTES / 2;
        if counts {
            outcome.throttled_seconds += f64::from(put.seconds) / 2.0;
            outcome.shard_hours += world.open.max(f64::from(world.goal)) / 120.0;
        }
        if waiting.len() <= conditions.delay {
            continue;
        }
        let seen = waiting.pop_front().unwrap();
        world.minutes.push(Minute { bytes: 0.0, records: seen.accepted * RECORDS, throttled: seen.rejected * RECORDS });
        if let Some(target) = world.decide(minute, conditions.delay) {
            let accepted = world.call(minute, target, conditions.slowness);
            outcome.calls += f64::from(u8::from(accepted && counts)) / 2.0;
            outcome.refused += f64::from(u8::from(!accepted)) / 2.0;
        }
    }
    outcome
}

impl World {
    fn new(shards: u32) -> Self {
        Self {
            open: shards.into(),
            goal: shards,
            from: shards,
            left: 0,
            total: 0,
            changes: Vec::new(),
            minutes: Vec::new(),
        }
    }

    fn reshard(&mut self, minute: usize) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let done = 1.0 - f64::from(self.left) / f64::from(self.total);
        self.open = f64::from(self.from) + (f64::from(self.goal) - f64::from(self.from)) * done;
        if let Some(last) = self.changes.last_mut() {
            last.done = at(minute);
        }
    }

    /// What the law would do now.
    fn decide(&self, minute: usize, delay: usize) -> Option<u32> {
        let policy = WriteUtilizationPolicy::default();
        let writes = self.writes(at(minute - delay));
        let shards =
            StreamCapacity { open: self.goal, widest: 1.0 / f64::from(self.goal), changes: self.changes.clone() };
        let need = shards_needed(&policy, &writes, &shards).expect("known writes");
        let situation = Situation {
            stream: &Stream {
                state: if self.left == 0 { StreamState::Ready } else { StreamState::Updating },
                shards,
                free: None,
            },
            bounds: &Bounds { min: 1, max: 10_000, calls_per_day: CALLS_PER_DAY },
            calls: &Calls::new(at(minute), &self.changes, &[], None),
            consumers: &Consumers { all: Vec::new(), max_age: Duration::ZERO, retention: Duration::ZERO },
            writes: &writes,
            policy: &policy,
        };
        match situation.plan(need.wanted) {
            Plan::Call { target, .. } => Some(target),
            Plan::Wait(_) | Plan::Nothing => None,
        }
    }

    fn writes(&self, until: Timestamp) -> Writes {
        let (before, minutes) = self.minutes.split_at(self.minutes.len().saturating_sub(FINE));
        let before = before.rchunks_exact(COARSE).take(2 * DAY / 5).map(|five| {
            let mean = |of: fn(&Minute) -> f64| five.iter().map(of).sum::<f64>() / 5.0;
            Some(Minute { bytes: 0.0, records: mean(|one| one.records), throttled: mean(|one| one.throttled) })
        });
        let mut before: Vec<_> = before.collect();
        before.reverse();
        Writes { until, minutes: minutes.iter().copied().map(Some).collect(), before }
    }

    /// `UpdateShardCount`: whether the service takes it.
    fn call(&mut self, minute: usize, target: u32, slowness: f64) -> bool {
        let within_a_day =
            self.changes.iter().filter(|change| at(minute).since(change.at) < Duration::from_secs(86_400));
        let allowed = target != self.goal && target <= 2 * self.goal && target >= self.goal.div_ceil(2);
        if self.left > 0 || !allowed || within_a_day.count() >= usize::try_from(CALLS_PER_DAY).unwrap() {
            return false;
        }
        let quarter = (4 * target).is_multiple_of(self.goal);
        let takes = 1.0 + f64::from(target.abs_diff(self.goal)) / 10.0 * if quarter { 1.0 } else { 1.5 };
        self.total = ceil(takes * slowness).max(1);
        (self.left, self.from) = (self.total, self.goal);
        self.changes.push(Change { at: at(minute), done: at(minute), from: self.goal, to: target });
        self.goal = target;
        true
    }
}

fn at(minute: usize) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + 60_000 * u64::try_from(minute).unwrap())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and never negative")]
fn ceil(number: f64) -> u32 {
    number.ceil() as u32
}
