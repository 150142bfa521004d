//! Whether more consumers got more done.
//!
//! Where something else is the bottleneck, more consumers do not help: after a scale-up without effect there is no further one for a
//! while. It never takes consumers away, so that a wrong verdict is harmless.

use std::time::Duration;

use super::average::count;
use crate::lag::Moment;

/// The least share of the expected gain.
const LEAST_GAIN: f64 = 0.25;
/// A count this much greater is another count.
const GROWN: f64 = 1.05;
/// So much more at the same count: the bottleneck is gone.
const FREED: f64 = 1.25;
/// The first hold; it doubles with each failure.
const HOLD: Duration = Duration::from_secs(900);
/// How often it doubles at most.
const DOUBLINGS: u32 = 2;
/// A comparison does not reach further back.
const REACH: Duration = Duration::from_secs(1800);

/// What scale-ups were worth.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Effect {
    base: Option<Base>,
    limit: Option<Limit>,
    failures: u32,
}

/// What a group of so many consumers got done when it was busy.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Base {
    consumers: usize,
    per_second: f64,
    at: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    consumers: usize,
    since: Moment,
    hold: Duration,
}

impl Effect {
    /// The count that no scale-up goes beyond at `now`.
    pub(super) fn limit(&self, now: Moment) -> Option<usize> {
        self.limit.filter(|limit| now.since(limit.since) < limit.hold).map(|limit| limit.consumers)
    }

    /// With what a group in which nearly everybody was busy got done.
    #[must_use]
    pub(super) fn with(mut self, consumers: usize, per_second: f64, now: Moment) -> Self {
        let new = Base { consumers, per_second, at: now };
        if self.limit.is_some() && self.limit(now).is_none() {
            // the hold is over: what comes now is another attempt, compared with what there is now
            return Self { base: Some(new), limit: None, ..self };
        }
        let Some(base) = self.base.filter(|base| consumers > base.consumers && now.since(base.at) <= REACH) else {
            let freed = |base: Base| consumers == base.consumers && per_second > FREED * base.per_second;
            if self.base.is_some_and(freed) {
                self = Self::default();
            }
            return Self { base: Some(new), ..self };
        };
        let (before, after) = (count(base.consumers), count(consumers));
        if after < GROWN * before {
            return self;
        }
        if (per_second / base.per_second - 1.0) / (after / before - 1.0) >= LEAST_GAIN {
            return Self { base: Some(new), limit: None, failures: 0 };
        }
        if self.limit.is_none() {
            let hold = HOLD * 2_u32.pow(self.failures.min(DOUBLINGS));
            self.limit = Some(Limit { consumers, since: now, hold });
            self.failures += 1;
        }
        self
    }
}
