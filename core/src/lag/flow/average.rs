//! Statistics of the recent past: averages that weight recent values more, sums over a window, and lowest values.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lag::Moment;

/// An exponentially weighted average that is unbiased from its first value on: it is divided by the sum of the weights so far.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    /// Creates an average that starts with `value` as if it had already gathered this weight, between 0 and 1.
    #[must_use]
    pub fn begun(value: f64, weight: f64) -> Self {
        Self { sum: value * weight, weight }
    }

    /// Adds the mean of the last `elapsed` seconds to an average over about `constant` seconds.
    #[must_use]
    pub fn with(self, mean: f64, elapsed: f64, constant: f64) -> Self {
        self.weighed(mean, share_of(elapsed, constant))
    }

    /// Does the same as [`Self::with`] for a share that is already known: [`share_of`] takes longer than the rest of the calculation.
    pub(super) fn weighed(self, mean: f64, share: f64) -> Self {
        Self { sum: self.sum + share * (mean - self.sum), weight: self.weight + share * (1.0 - self.weight) }
    }

    /// The average; `None` before the first value.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// A rate per second in half the memory, for what is kept of every partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(f32);

impl Rate {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits of a rate are enough")]
    pub(super) const fn new(per_second: f64) -> Self {
        Self(per_second as f32)
    }

    pub(super) fn get(self) -> f64 {
        self.0.into()
    }

    /// Adds the mean of the time since the last value, which has this share of the whole.
    pub(super) fn weighed(self, mean: f64, share: f64) -> Self {
        Self::new(self.get() + share * (mean - self.get()))
    }
}

/// The share of the last `elapsed` seconds in an average over about `constant` seconds.
pub(super) fn share_of(elapsed: f64, constant: f64) -> f64 {
    1.0 - (-elapsed / constant).exp()
}

/// The median of `values`; for an even number of values, the mean of the middle two. Reorders `values`.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (lower, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let below = lower.iter().copied().max_by(f64::total_cmp).filter(|_| !odd);
    Some(below.map_or(*upper, |below| f64::midpoint(below, *upper)))
}

/// The weight of a new measurement against the earlier ones.
pub(super) const SHARE: f64 = 0.3;

/// Blends a new measurement into the known value.
pub fn blend(known: Option<f64>, new: f64) -> f64 {
    known.map_or(new, |known| known + SHARE * (new - known))
}

/// The whole part of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float saturates when it is cast"
)]
pub(super) const fn whole(number: f64) -> usize {
    number as usize
}

/// Converts a count to a float for calculations.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "consumers and partitions are counted in thousands")]
pub const fn count(number: usize) -> f64 {
    number as f64
}

/// A window is stored in this many parts, which bounds the memory per consumer however often the source is read.
const PARTS: u32 = 12;

/// How far the partitions of all consumers have advanced within one window, while the assignment does not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    /// The start of each part; a part ends where the next one starts.
    parts: VecDeque<Moment>,
    /// What each consumer has done in each part, part by part.
    moved: VecDeque<f64>,
    until: Moment,
}

impl Ring {
    pub(super) const fn new(now: Moment) -> Self {
        Self { parts: VecDeque::new(), moved: VecDeque::new(), until: now }
    }

    /// Adds what each consumer has done since the last call, and drops parts that are older than a window of this length.
    pub(super) fn add(&mut self, now: Moment, moved: &[f64], window: Duration) {
        let (from, part) = (self.until, window / PARTS);
        if now == from {
            return;
        }
        match self.parts.back() {
            Some(newest) if from.since(*newest) < part => {
                let sums = self.moved.iter_mut().rev().zip(moved.iter().rev());
                sums.for_each(|(sum, moved)| *sum += moved);
            }
            _ => {
                self.parts.push_back(from);
                self.moved.extend(moved);
            }
        }
        self.until = now;
        while self.parts.get(1).is_some_and(|second| now.since(*second) >= window) {
            self.moved.drain(..self.consumers());
            self.parts.pop_front();
        }
    }

    /// The start of the recorded time.
    pub(super) fn since(&self) -> Moment {
        self.parts.front().copied().unwrap_or(self.until)
    }

    /// What a consumer has done since that time.
    pub(super) fn moved(&self, consumer: usize) -> f64 {
        self.moved.iter().skip(consumer).step_by(self.consumers().max(1)).sum()
    }

    fn consumers(&self) -> usize {
        self.moved.len().checked_div(self.parts.len()).unwrap_or_default()
    }
}

/// The lowest staleness within this time counts: it must outlast a busy period, in which no consumer may be caught up.
const REACH: Duration = Duration::from_secs(600);
/// The lowest value of each slot of this length is stored.
const SLOT: Duration = Duration::from_secs(60);
/// This share of the partitions is no staler than the stored value.
const MOST: f64 = 0.9;

/// The lowest staleness of each slot, in seconds.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Staleness(VecDeque<(Moment, f64)>);

impl Staleness {
    /// Adds the ages of the partitions at a reading, in seconds, without the time since their last commits.
    pub(super) fn add(&mut self, now: Moment, ages: &mut [f64]) {
        while self.0.front().is_some_and(|(since, _)| now.since(*since) > REACH) {
            self.0.pop_front();
        }
        let Some(age) = quantile(ages) else { return };
        match self.0.back_mut().filter(|(since, _)| now.since(*since) < SLOT) {
            Some((_, least)) => *least = least.min(age),
            None => self.0.push_back((now, age)),
        }
    }

    /// The lowest value of the last ten minutes.
    pub(super) fn least(&self) -> Option<f64> {
        self.0.iter().map(|(_, age)| *age).min_by(f64::total_cmp)
    }
}

fn quantile(ages: &mut [f64]) -> Option<f64> {
    let last = ages.len().checked_sub(1)?;
    let index = whole(MOST * count(ages.len())).min(last);
    Some(*ages.select_nth_unstable_by(index, f64::total_cmp).1)
}
