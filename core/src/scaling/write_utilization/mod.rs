//! `scaleOn: writeUtilization`: the shards that the writes to a Kinesis stream need.
//!
//! The value is that number, with target 1. The rules, in order; the first that raises the count decides, and only then may it fall:
//!
//! 1. **Load**: the highest mean of three of the last five minutes.
//! 2. **Trend**: a load that rose three times in twenty minutes is extrapolated for the time that measuring and resharding take.
//! 3. **Habit**: writes at this time of day, `lookAhead` long, on both of the last two days are expected again.
//! 4. **Up**: above `scaleUpUtilization` of the capacity, the need at `targetUtilization`.
//! 5. **Full**: with rejected records and little headroom the need is unknown, since only accepted records are counted: twice the shards.
//! 6. **Bursts**: with rejected records although the mean leaves headroom, a quarter more, once per day. If that does not halve the
//!    rejected share, one key is hot, and shards do not help it.
//! 7. **Down**: the peak of `scaleDownAfter`, the need, or the load expected within `lookAhead` and `scaleDownAfter`, at
//!    `targetUtilization`, where that saves a third.
//!
//! Nothing is remembered: CloudWatch keeps the writes, and the stream its own resharding history, so that a restart changes no answer.

mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::step::{ShardRule, WriteStep};
use super::{Decision, Quantity, Step};
use crate::lag::streams::{StreamCapacity, Timestamp};
use crate::lag::{LOAD, Writes, WritesObservation};
use crate::trigger::WriteUtilizationPolicy;

const DAY: Duration = Duration::from_secs(86_400);
/// A raise for a habit looks this much further ahead than `lookAhead`.
const BEYOND: Duration = Duration::from_secs(15 * 60);
/// The time within which rejected records count.
const REJECTED: Duration = Duration::from_secs(5 * 60);
/// A trend is a rise from each part of this length of the last twenty minutes to the next.
const TREND_PART: Duration = Duration::from_secs(5 * 60);
/// Measuring and resharding take this many parts.
const LEAD: f64 = 3.0;
/// Rejected records up to this share can come from a single second.
const THROTTLED: f64 = 0.001;
/// While the count is too high, the rejected share must stay below this.
const CALM: f64 = 0.0005;
/// A stream that rejects records is full above this utilization.
const FULL: f64 = 0.7;
/// The factor by which bursts raise the capacity.
const BURSTS: f64 = 1.25;
/// A raise must have reduced the rejected share to less than this part of it,
const HELPED: f64 = 0.5;
/// within this time.
const HELPS_WITHIN: Duration = Duration::from_secs(30 * 60);
/// A lower count must reduce the shards at least to this share.
const SAVES: f64 = 0.67;
/// A missing minute next to one with a utilization above this is unknown.
const BUSY: f64 = 0.1;
/// Sums of floating-point numbers are not exact.
const ROUNDING: f64 = 1e-9;

/// The shards that are needed, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardNeed {
    /// The number of shards, at least 1.
    pub wanted: u32,
    /// The rule that decided.
    pub rule: ShardRule,
    /// How the number was calculated, in order.
    pub steps: Vec<WriteStep>,
}

/// Why the shards that are needed are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownWrites {
    /// The stream has no open shard.
    #[error("the stream has no open shard")]
    NoShards,
    /// CloudWatch has no point for a minute next to busy ones.
    #[error("CloudWatch has no data for the minute before {0}, and the stream was in use")]
    Hole(Timestamp),
}

/// Decides on the value: the shards that are needed, with target 1, since the stream itself is scaled. It is always active, because a
/// stream has at least one shard.
pub(super) fn decide(
    policy: &WriteUtilizationPolicy,
    observation: &WritesObservation,
) -> Result<Decision, UnknownWrites> {
    let need = shards_needed(policy, &observation.writes, &observation.shards)?;
    Ok(Decision {
        value: Quantity::from_count(need.wanted.into()),
        target: Quantity::from_count(1),
        active: true,
        steps: need.steps.into_iter().map(Step::Writes).collect(),
    })
}

/// Calculates the shards that `writes` need.
///
/// # Errors
/// When the writes are not known: unknown writes never count as few writes.
pub fn shards_needed(
    policy: &WriteUtilizationPolicy,
    writes: &Writes,
    shards: &StreamCapacity,
) -> Result<ShardNeed, UnknownWrites> {
    if shards.open == 0 {
        return Err(UnknownWrites::NoShards);
    }
    let capacity = shards.capacity();
    if let Some(at) = writes.hole(BUSY * capacity, policy.scale_down_after) {
        return Err(UnknownWrites::Hole(at));
    }
    let load = writes.load();
    let (trend, habit) = (trend(writes), habit(policy.look_ahead, writes));
    let need = (load + trend).max(habit);
    // records that were rejected before the last change completed do not apply to the present shards
    let last = shards.changes.as_ref().and_then(|changes| changes.last());
    let since = last.map_or(REJECTED, |change| writes.until.since(change.done).min(REJECTED));
    let rejected = writes.throttled(since, Duration::ZERO);
    let steps = vec![
        WriteStep::Load { shards: load, open: shards.open, capacity },
        WriteStep::Due { trend, habit, need },
        WriteStep::Throttled { share: rejected },
    ];
    let mut law = Law { policy, writes, shards, capacity, load_and_trend: load + trend, need, rejected, steps };
    let (wanted, rule) = law.judge();
    law.steps.push(WriteStep::Wanted { shards: wanted, rule });
    Ok(ShardNeed { wanted, rule, steps: law.steps })
}

/// The rise over the parts of the last twenty minutes, extrapolated for the time that a change takes.
fn trend(writes: &Writes) -> f64 {
    let part = |number: u32| writes.mean(TREND_PART * (number + 1), TREND_PART * number);
    let (Some(now), Some(one), Some(two), Some(three)) = (part(0), part(1), part(2), part(3)) else { return 0.0 };
    LEAD * (now - one).min(one - two).min(two - three).max(0.0)
}

/// The writes at this time on both of the last two days; a single day is not a habit.
fn habit(ahead: Duration, writes: &Writes) -> f64 {
    if ahead.is_zero() {
        return 0.0;
    }
    let on = |days: u32| writes.peak(DAY * days, (DAY * days).saturating_sub(ahead));
    on(1).zip(on(2)).map_or(0.0, |(one, two)| one.min(two))
}

struct Law<'a> {
    policy: &'a WriteUtilizationPolicy,
    writes: &'a Writes,
    shards: &'a StreamCapacity,
    capacity: f64,
    load_and_trend: f64,
    need: f64,
    /// The share of the records that were rejected within the last five minutes.
    rejected: f64,
    steps: Vec<WriteStep>,
}

impl Law<'_> {
    fn judge(&mut self) -> (u32, ShardRule) {
        let open = self.shards.open;
        let throttled = self.rejected > THROTTLED;
        let hot = self.hot_key();
        if hot && throttled {
            self.steps.push(WriteStep::HotKey);
        }
        let newest = self.writes.highest(LOAD).unwrap_or_default();
        if throttled && !hot && newest > FULL * self.capacity {
            return (self.at_target(self.need).max(2 * open), ShardRule::Full);
        }
        if self.need > self.policy.scale_up_utilization.get() * self.capacity {
            // only the start of a habit is within `lookAhead` so far
            let need = if self.need > self.load_and_trend { self.need.max(self.due(BEYOND)) } else { self.need };
            return (self.at_target(need).max(open), ShardRule::Up);
        }
        // one attempt per day: while earlier attempts are unknown there is none
        if throttled && !hot && self.shards.changes.is_some() && self.raises_for_bursts().next().is_none() {
            return (ceil(BURSTS * f64::from(open)), ShardRule::Bursts);
        }
        let down_after = self.policy.scale_down_after;
        let peak = self.writes.peak(down_after, Duration::ZERO).unwrap_or_default();
        let lower = self.at_target(self.need.max(peak).max(self.due(down_after)));
        if hot || self.writes.throttled(down_after, Duration::ZERO) < CALM {
            self.steps.push(WriteStep::Peak { shards: peak, minutes: down_after.as_secs() / 60, enough: lower });
            if f64::from(lower) <= SAVES * f64::from(open) {
                return (lower, ShardRule::Down);
            }
        }
        (open, ShardRule::NoChange)
    }

    /// The need in shards that is due within `lookAhead` and this additional time.
    fn due(&self, more: Duration) -> f64 {
        let ahead = self.policy.look_ahead;
        if ahead.is_zero() { 0.0 } else { habit(ahead + more, self.writes) }
    }

    /// The shards for a need, assuming that ranges of hash keys stay as uneven as they are.
    fn at_target(&self, need: f64) -> u32 {
        ceil(self.shards.unevenness() * need / self.policy.target_utilization.get()).max(1)
    }

    /// The raises of the last day that were made because records were rejected while the mean left headroom, each with the rejected
    /// share before it.
    fn raises_for_bursts(&self) -> impl Iterator<Item = (Duration, f64)> + '_ {
        let changes = self.shards.changes.as_deref().unwrap_or_default();
        changes.iter().filter(|change| change.to > change.from).filter_map(|change| {
            let ago = self.writes.until.since(change.at);
            let (from, to) = (ago + 2 * TREND_PART, ago);
            let share = self.writes.throttled(from, to);
            let room = self.writes.peak(from, to)? <= FULL * f64::from(change.from);
            (ago < DAY && share > THROTTLED && room).then_some((ago, share))
        })
    }

    /// Whether a raise did not help: one key receives more than a shard accepts.
    fn hot_key(&self) -> bool {
        self.raises_for_bursts().any(|(ago, share)| ago >= HELPS_WITHIN && self.rejected > HELPED * share)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
fn ceil(number: f64) -> u32 {
    (number - ROUNDING).ceil() as u32
}
