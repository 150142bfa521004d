//! Derives the next call of `UpdateShardCount` from the requested shards: what may be called now, and what must be waited for.
//!
//! No I/O, no clock. The rules, in order: the stream must be provisioned and active; the count stays within the bounds and within
//! the limits of one call; a raise needs a remaining call; a lower count waits until it is safe for writers, for consumers and for
//! the day's budget.

mod calls;
mod consumers;
mod reason;
pub mod rehearsal;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::time::Duration;

use self::calls::By;
pub use self::calls::Calls;
pub use self::consumers::{Consumer, Consumers, Progress, Unready};
pub use self::reason::{Reason, shards};
use crate::lag::Writes;
use crate::lag::streams::{StreamReading, StreamState};
use crate::trigger::WriteUtilizationPolicy;

const DAY: Duration = Duration::from_secs(86_400);
/// A lower count waits this long after any change.
const REST: Duration = Duration::from_secs(3600);
/// The maximum number of doublings of the wait after lower counts that were undone; the longest wait is one day.
const DOUBLINGS: u32 = 4;
/// The number of calls that a lower count leaves in the budget.
const RESERVE: u32 = 2;
/// A multiple of a quarter is resharded faster, and may cost this factor more.
const QUARTER_MAY_COST: f64 = 1.15;
/// With at most this many remaining calls, each raise is as large as possible.
const FEW_CALLS: u32 = 2;
/// An intermediate lower count is worth a call if it reduces the count at least to this share.
const SAVES: f64 = 0.67;
/// Sums of floating-point numbers are not exact.
const ROUNDING: f64 = 1e-9;

/// The bounds of the count of a stream, and how often it may be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The minimum number of shards, at least 1.
    pub min: u32,
    /// The maximum number of shards.
    pub max: u32,
    /// Calls of `UpdateShardCount` in any 24 hours, by this scaler and by others.
    pub calls_per_day: u32,
}

/// The planned action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Call `UpdateShardCount` with a new count.
    Call {
        /// The new count.
        target: u32,
        /// What keeps the target from the requested count.
        limited_by: Option<Reason>,
    },
    /// Keep the count although it differs from the requested one.
    Wait(Reason),
    /// Keep the count: it is the requested one.
    Nothing,
}

/// The inputs that a plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The stream to resize.
    pub stream: &'a StreamReading,
    /// The number of shards that the account may still open; `None` where that was not read.
    pub free: Option<u32>,
    /// The bounds of the count and of the calls.
    pub bounds: &'a Bounds,
    /// The changes of the last day.
    pub calls: &'a Calls,
    /// The consumers of the stream.
    pub consumers: &'a Consumers,
    /// The writes to the stream.
    pub writes: &'a Writes,
    /// The policy that determines the need.
    pub policy: &'a WriteUtilizationPolicy,
}

/// A target, and what keeps it from the requested count; or why there is none.
type Target = Result<(u32, Option<Reason>), Reason>;

impl Situation<'_> {
    /// Plans the next call towards `wanted` shards.
    #[must_use]
    pub fn plan(&self, wanted: u32) -> Plan {
        match self.stream.state {
            StreamState::OnDemand => return Plan::Wait(Reason::NotApplicable),
            StreamState::Updating => return Plan::Wait(Reason::Updating),
            StreamState::Ready => {}
        }
        let Bounds { min, max, .. } = *self.bounds;
        let (bounded, bound) = if wanted > max {
            (max, Some(Reason::AboveMax { wanted, max }))
        } else if wanted < min {
            (min, Some(Reason::BelowMin { wanted, min }))
        } else {
            (wanted, None)
        };
        let target = match bounded.cmp(&self.open()) {
            Ordering::Equal => return bound.map_or(Plan::Nothing, Plan::Wait),
            Ordering::Greater => self.raise(bounded),
            Ordering::Less => self.lower(bounded),
        };
        match target {
            Ok((target, limited_by)) => Plan::Call { target, limited_by: limited_by.or(bound) },
            Err(reason) => Plan::Wait(reason),
        }
    }

    const fn open(&self) -> u32 {
        self.stream.capacity.open
    }

    fn calls_left(&self) -> u32 {
        self.calls.left(self.bounds.calls_per_day)
    }

    fn budget(&self) -> Reason {
        Reason::Budget { until: self.calls.next_free(self.bounds.calls_per_day) }
    }

    /// Plans a raise. It never waits for consumers: rejected records are lost to producers, late consumers lose nothing.
    fn raise(&self, wanted: u32) -> Target {
        let (open, left) = (self.open(), self.calls_left());
        if left == 0 {
            return Err(self.budget());
        }
        let most = open.saturating_mul(2).min(self.bounds.max);
        let target = quarter(open, if left <= FEW_CALLS { most } else { wanted.min(most) }).min(most);
        let free = self.free.map_or(most, |free| open.saturating_add(free));
        if free <= open {
            return Err(Reason::AccountQuota);
        }
        let far = (wanted > target).then_some(Reason::Step);
        if target > free { Ok((free, Some(Reason::AccountQuota))) } else { Ok((target, far)) }
    }

    fn lower(&self, wanted: u32) -> Target {
        if self.stream.capacity.changes.is_none() && self.calls.last().is_none() {
            return Err(Reason::ChangesUnknown);
        }
        if let Some(reason) = self.rests().or_else(|| self.awaits()) {
            return Err(reason);
        }
        let (open, half, in_use) = (self.open(), self.open().div_ceil(2), self.in_use());
        let recent = self.recent_peak();
        let safe = wanted.max(half).max(in_use).max(recent);
        let payable = self.payable(safe);
        let reason = if payable > safe {
            Some(self.budget())
        } else if in_use.max(recent) > wanted.max(half) {
            Some(if in_use >= recent {
                Reason::BelowUse { least: in_use }
            } else {
                Reason::RecentPeak { least: recent }
            })
        } else {
            (half > wanted).then_some(Reason::Step)
        };
        match reason {
            Some(reason) if payable >= open || f64::from(payable) > SAVES * f64::from(open) => Err(reason),
            reason => Ok((payable, reason)),
        }
    }

    /// Why a lower count still waits after a change: an hour after any change, and longer after a raise.
    fn rests(&self) -> Option<Reason> {
        let now = self.calls.now();
        let after_raise = self.rest_after_raise();
        let (last, by) = self.calls.last()?;
        let raise = self.calls.last_raise().map(|at| at.plus(after_raise)).filter(|until| *until > now);
        let any = Some(last.plus(REST)).filter(|until| *until > now);
        match (raise.max(any)?, by) {
            (until, By::Other) if Some(until) == any => Some(Reason::ChangedElsewhere { until }),
            (until, _) => Some(Reason::Resting { until }),
        }
    }

    fn rest_after_raise(&self) -> Duration {
        (self.policy.scale_down_after * 2_u32.pow(self.calls.undone().min(DOUBLINGS))).min(DAY)
    }

    /// The shards for the peak of the longer wait, which must fit too where a lower count had to be undone.
    fn recent_peak(&self) -> u32 {
        if self.calls.undone() == 0 {
            return 1;
        }
        let peak = self.writes.peak(self.rest_after_raise(), Duration::ZERO).unwrap_or_default();
        ceil(self.stream.capacity.unevenness() * peak / self.policy.target_utilization.get())
    }

    fn awaits(&self) -> Option<Reason> {
        let (application, unready) = self.consumers.unready(self.stream.retention)?;
        Some(Reason::Consumer { application: application.to_owned(), unready })
    }

    /// The shards that the present writes need: no lower count goes below them, whatever the request.
    fn in_use(&self) -> u32 {
        let load = self.writes.load();
        ceil(self.stream.capacity.unevenness() * load / self.policy.scale_up_utilization.get())
    }

    /// The lowest count from `target` on from which the calls that remain after this one can return to the highest need of the day.
    fn payable(&self, target: u32) -> u32 {
        let left = self.calls_left().saturating_sub(1);
        let peak = self.writes.peak(DAY, Duration::ZERO).unwrap_or_default();
        let top = ceil(peak / self.policy.target_utilization.get()).min(self.bounds.max);
        (target..self.open()).find(|from| left >= RESERVE.max(doublings(*from, top))).unwrap_or(self.open())
    }
}

/// The number of calls from `from` to `to`, each of which doubles the count.
fn doublings(from: u32, to: u32) -> u32 {
    (0..u32::BITS).find(|calls| u64::from(from.max(1)) << calls >= u64::from(to)).unwrap_or(u32::BITS)
}

/// The next multiple of a quarter of `open` from `wanted` on, where that costs little more.
fn quarter(open: u32, wanted: u32) -> u32 {
    let quarters = (5..=8).map(|quarters| u64::from(open) * quarters).filter(|quarters| quarters.is_multiple_of(4));
    let next = quarters.filter_map(|quarters| u32::try_from(quarters / 4).ok()).find(|count| *count >= wanted);
    next.filter(|count| f64::from(*count) <= QUARTER_MAY_COST * f64::from(wanted)).unwrap_or(wanted)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates when it is cast")]
fn ceil(number: f64) -> u32 {
    (number - ROUNDING).ceil() as u32
}
