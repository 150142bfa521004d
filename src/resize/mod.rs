//! From the shards that are wanted to the next call of `UpdateShardCount`: what may be called now, and what else is waited for.
//!
//! No I/O, no clock. The rules, in order: the stream must be provisioned and active; the count stays within the bounds and within what
//! one call can do; a raise needs a call that is left; a lower count waits until it is safe for writers, for consumers and for the day's
//! budget.

mod calls;
mod reason;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::calls::Calls;
pub use self::reason::Reason;
use crate::lag::streams::Timestamp;
use crate::scaling::write_utilization::{Shards, Writes};
use crate::trigger::WriteUtilizationPolicy;

const DAY: Duration = Duration::from_secs(86_400);
/// A lower count waits this long after any change.
const REST: Duration = Duration::from_secs(3600);
/// A lower count leaves this many calls.
const RESERVE: u32 = 2;
/// A multiple of a quarter is resharded faster, and may cost this much more.
const QUARTER_MAY_COST: f64 = 1.15;
/// With no more calls left than this, each raise is as far as it can be.
const FEW_CALLS: u32 = 2;
/// A lower count saves at least a third.
const SAVES: f64 = 0.67;

/// Between which counts a stream may be resized, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The fewest shards, at least 1.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Calls of `UpdateShardCount` in any 24 hours, of ours and of others.
    pub calls_per_day: u32,
}

/// Whether a stream can be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is active and provisioned.
    Ready,
    /// It is being created, changed or deleted.
    Updating,
    /// AWS sizes it.
    OnDemand,
}

/// The stream, as it was read just now.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Whether it can be resized.
    pub state: State,
    /// Its shards.
    pub shards: Shards,
    /// Shards that the account may still open; `None` where that was not read.
    pub free: Option<u32>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Call `UpdateShardCount`.
    Call {
        /// The new count.
        target: u32,
        /// What keeps it from the count that is wanted.
        limited_by: Option<Reason>,
    },
    /// The count differs from the one that is wanted, and it stays.
    Wait(Reason),
    /// The count is the one that is wanted.
    Nothing,
}

/// The next call towards `wanted` shards.
#[must_use]
pub fn plan(
    wanted: u32,
    stream: &Stream,
    bounds: &Bounds,
    calls: &Calls,
    writes: &Writes,
    policy: &WriteUtilizationPolicy,
) -> Plan {
    match stream.state {
        State::OnDemand => return Plan::Wait(Reason::NotApplicable),
        State::Updating => return Plan::Wait(Reason::Updating),
        State::Ready => {}
    }
    let open = stream.shards.open;
    let (bounded, mut limited_by) = if wanted > bounds.max {
        (bounds.max, Some(Reason::AboveMax { wanted, max: bounds.max }))
    } else if wanted < bounds.min {
        (bounds.min, Some(Reason::BelowMin { wanted, min: bounds.min }))
    } else {
        (wanted, None)
    };
    let planner = Planner { open, stream, bounds, calls, writes, policy };
    let planned = match bounded.cmp(&open) {
        std::cmp::Ordering::Equal => return limited_by.map_or(Plan::Nothing, Plan::Wait),
        std::cmp::Ordering::Greater => planner.raise(bounded),
        std::cmp::Ordering::Less => planner.lower(bounded),
    };
    match planned {
        Ok((target, reason)) => {
            limited_by = reason.or(limited_by);
            Plan::Call { target, limited_by }
        }
        Err(reason) => Plan::Wait(reason),
    }
}

struct Planner<'a> {
    open: u32,
    stream: &'a Stream,
    bounds: &'a Bounds,
    calls: &'a Calls,
    writes: &'a Writes,
    policy: &'a WriteUtilizationPolicy,
}

impl Planner<'_> {
    /// Up never waits for consumers: producers whose records are rejected lose them, late consumers do not.
    fn raise(&self, wanted: u32) -> Result<(u32, Option<Reason>), Reason> {
        let left = self.calls.left(self.bounds.calls_per_day);
        if left == 0 {
            return Err(Reason::Budget { until: self.calls.next_free(self.bounds.calls_per_day) });
        }
        let most = self.open.saturating_mul(2).min(self.bounds.max);
        let asked = if left <= FEW_CALLS { most } else { wanted.min(most) };
        let target = quarter(self.open, asked).min(most);
        let free = self.stream.free.map_or(most, |free| self.open.saturating_add(free));
        if free <= self.open {
            return Err(Reason::AccountQuota);
        }
        let far = (wanted > target).then_some(Reason::Step);
        if target > free { Ok((free, Some(Reason::AccountQuota))) } else { Ok((target, far)) }
    }

    fn lower(&self, wanted: u32) -> Result<(u32, Option<Reason>), Reason> {
        if let Some(until) = self.rests_until() {
            return Err(Reason::Resting { until });
        }
        let (half, in_use) = (self.open.div_ceil(2), self.in_use());
        let safe = wanted.max(half).max(in_use);
        let payable = self.payable(safe);
        let reason = if payable > safe {
            Some(Reason::Budget { until: self.calls.next_free(self.bounds.calls_per_day) })
        } else if in_use > wanted.max(half) {
            Some(Reason::BelowUse { least: in_use })
        } else {
            (half > wanted).then_some(Reason::Step)
        };
        match reason {
            // part of the way must be worth a call
            Some(reason) if payable >= self.open || f64::from(payable) > SAVES * f64::from(self.open) => Err(reason),
            reason => Ok((payable, reason)),
        }
    }

    /// What is written now needs this many shards, whoever wants fewer.
    fn in_use(&self) -> u32 {
        let load = self.writes.peak(Duration::from_secs(180), Duration::ZERO).unwrap_or_default();
        ceil(load / self.policy.scale_up_utilization.get())
    }

    fn rest_after_raise(&self) -> Duration {
        (self.policy.scale_down_after * 2_u32.pow(self.calls.undone().min(4))).min(DAY)
    }

    /// The lowest count from `target` on from which the calls that are left after this one lead back to the highest need of the day.
    fn payable(&self, target: u32) -> u32 {
        let left = self.calls.left(self.bounds.calls_per_day).saturating_sub(1);
        let peak = self.writes.peak(DAY, Duration::ZERO).unwrap_or_default();
        let top = ceil(peak / self.policy.target_utilization.get()).min(self.bounds.max);
        (target..self.open).find(|from| left >= RESERVE.max(doublings(*from, top))).unwrap_or(self.open)
    }

    /// A lower count rests after changes: an hour after any, and longer after a raise.
    fn rests_until(&self) -> Option<Timestamp> {
        let now = self.calls.now();
        let after = self.rest_after_raise();
        let last = self.calls.last().map(|at| at.plus(REST));
        let raise = self.calls.last_raise().map(|at| at.plus(after));
        last.max(raise).filter(|until| *until > now)
    }
}

/// Calls that double `from` until it is `to`.
fn doublings(from: u32, to: u32) -> u32 {
    let mut count = from.max(1);
    let mut calls = 0;
    while count < to {
        count = count.saturating_mul(2);
        calls += 1;
    }
    calls
}

/// The next multiple of a quarter of `open` above it, where that costs little more than `wanted`.
fn quarter(open: u32, wanted: u32) -> u32 {
    let quarters = (5..=8).filter(|quarters| (open * quarters).is_multiple_of(4)).map(|quarters| open * quarters / 4);
    cheap(quarters, wanted)
}

fn cheap(mut quarters: impl Iterator<Item = u32>, wanted: u32) -> u32 {
    let next = quarters.find(|count| *count >= wanted);
    next.filter(|count| f64::from(*count) <= QUARTER_MAY_COST * f64::from(wanted)).unwrap_or(wanted)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
fn ceil(number: f64) -> u32 {
    (number - 1e-9).ceil() as u32
}
