//! A simulated provisioned stream: accepted records, reshards that take time, a delayed CloudWatch, the limit of calls.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lag::streams::{Change, StreamCapacity, StreamReading, StreamState, Timestamp};
use crate::lag::{Minute, Writes};
use crate::resize::{Bounds, Calls, Consumers, Plan, Situation, ceil};
use crate::scaling::write_utilization::{UnknownWrites, shards_needed};
use crate::trigger::WriteUtilizationPolicy;

const DAY: Duration = Duration::from_secs(86_400);
/// The start time of a simulation; only differences count.
const BEGINNING_MS: u64 = 1_000_000_000_000;

/// The conditions of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The delay in minutes until a minute's data can be read.
    pub delay: usize,
    /// The factor by which a reshard takes longer than usual.
    pub slowness: f64,
}

/// The outcome of the records of one minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Put {
    /// The records that the stream accepted and rejected.
    pub minute: Minute,
    /// The part of the minute in which records were rejected, between 0 and 1.
    pub throttled: f64,
}

/// The sums over the minutes that count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Minutes in which records were rejected.
    pub throttled_minutes: f64,
    /// The billed shard-hours.
    pub shard_hours: f64,
    /// Calls of `UpdateShardCount`.
    pub calls: u32,
    /// Calls that the service would have rejected.
    pub refused: u32,
}

/// The rules that decide in a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The bounds of the count and of the calls; `None` keeps the count.
    pub bounds: Option<&'a Bounds>,
    /// The policy that determines the need.
    pub policy: &'a WriteUtilizationPolicy,
    /// The conditions of the simulation.
    pub conditions: Conditions,
}

struct World {
    open: f64,
    goal: u32,
    from: u32,
    /// The remaining minutes of a reshard, and its total minutes.
    left: u32,
    total: u32,
    changes: Vec<Change>,
    seen: Vec<Minute>,
}

/// Simulates the minutes from `counted` on, after a warm-up with the earlier ones; `put` returns the outcome of a minute's records on
/// that many shards.
pub fn simulate(
    first: u32,
    minutes: usize,
    counted: usize,
    rules: &Rules<'_>,
    put: impl Fn(usize, f64) -> Put,
) -> Outcome {
    let mut world = World::new(first);
    let (mut waiting, mut outcome) = (VecDeque::new(), Outcome::default());
    for minute in 0..minutes {
        world.reshard(minute);
        let put = put(minute, world.open);
        if minute >= counted {
            outcome.throttled_minutes += put.throttled;
            outcome.shard_hours += world.open.max(f64::from(world.goal)) / 60.0;
        }
        waiting.push_back(put.minute);
        let (Some(bounds), true) = (rules.bounds, waiting.len() > rules.conditions.delay) else { continue };
        world.seen.extend(waiting.pop_front());
        if let Some(target) = world.decide(minute, bounds, rules) {
            let accepted = world.call(minute, target, bounds, rules.conditions.slowness);
            outcome.calls += u32::from(accepted && minute >= counted);
            outcome.refused += u32::from(!accepted);
        }
    }
    outcome
}

/// Returns the target of the call that would be made `now` on a stream of `open` equal shards, which no consumer holds back; `None` where
/// the count stays.
///
/// # Errors
/// Fails while the writes are unknown.
pub fn next_target(
    now: Timestamp,
    state: StreamState,
    open: u32,
    changes: &[Change],
    writes: &Writes,
    bounds: &Bounds,
    policy: &WriteUtilizationPolicy,
) -> Result<Option<u32>, UnknownWrites> {
    let capacity = StreamCapacity { open, widest: 1.0 / f64::from(open), changes: Some(changes.to_vec()) };
    let need = shards_needed(policy, writes, &capacity)?;
    let situation = Situation {
        stream: &StreamReading { at: now, state, capacity, retention: DAY },
        free: None,
        bounds,
        calls: &Calls::new(now, changes, &[], None),
        consumers: &Consumers { all: Vec::new(), max_age: Duration::ZERO },
        writes,
        policy,
    };
    match situation.plan(need.wanted) {
        Plan::Call { target, .. } => Ok(Some(target)),
        Plan::Wait(_) | Plan::Nothing => Ok(None),
    }
}

impl World {
    fn new(shards: u32) -> Self {
        let (open, goal, from) = (shards.into(), shards, shards);
        Self { open, goal, from, left: 0, total: 0, changes: Vec::new(), seen: Vec::new() }
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

    /// The target of the call that would be made now; `None` while the writes are unknown.
    fn decide(&self, minute: usize, bounds: &Bounds, rules: &Rules<'_>) -> Option<u32> {
        let writes = Writes::of_minutes(&self.seen, at(minute.saturating_sub(rules.conditions.delay)));
        let state = if self.left == 0 { StreamState::Ready } else { StreamState::Updating };
        next_target(at(minute), state, self.goal, &self.changes, &writes, bounds, rules.policy).ok().flatten()
    }

    /// Simulates `UpdateShardCount` and returns whether the service accepts it. A reshard takes one minute plus six seconds per shard of
    /// the difference, half as much again where the target is not a multiple of a quarter.
    fn call(&mut self, minute: usize, target: u32, bounds: &Bounds, slowness: f64) -> bool {
        let within_a_day = self.changes.iter().filter(|change| at(minute).since(change.at) < DAY).count();
        let allowed = target != self.goal && target <= 2 * self.goal && target >= self.goal.div_ceil(2);
        let spent = u32::try_from(within_a_day).is_ok_and(|calls| calls >= bounds.calls_per_day);
        if self.left > 0 || !allowed || spent {
            return false;
        }
        let step = if (4 * target).is_multiple_of(self.goal) { 1.0 } else { 1.5 };
        self.total = ceil((1.0 + f64::from(target.abs_diff(self.goal)) / 10.0 * step) * slowness).max(1);
        (self.left, self.from) = (self.total, self.goal);
        self.changes.push(Change { at: at(minute), done: at(minute), from: self.goal, to: target });
        self.goal = target;
        true
    }
}

fn at(minute: usize) -> Timestamp {
    Timestamp::from_unix_ms(
        BEGINNING_MS.saturating_add(60_000_u64.saturating_mul(minute.try_into().unwrap_or(u64::MAX))),
    )
}
