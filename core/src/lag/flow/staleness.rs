//! How far behind a caught-up consumer appears, beyond what its commits explain: a reading is seconds old.

use std::collections::VecDeque;
use std::time::Duration;

use super::average::count;
use crate::lag::Moment;

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
    let index = super::average::whole(MOST * count(ages.len())).min(last);
    Some(*ages.select_nth_unstable_by(index, f64::total_cmp).1)
}
