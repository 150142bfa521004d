//! How far the partitions of every consumer have come in the last while.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lag::Moment;

/// A window is kept in this many parts: what a consumer may cost is bounded, however often it is read.
const PARTS: u32 = 12;

/// How far the partitions of all consumers have come, from a window's length ago to now, while no consumer gets others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    /// The beginning of each part; it ends where the next one begins.
    parts: VecDeque<Moment>,
    /// For each part in turn what each consumer has done.
    moved: VecDeque<f64>,
    until: Moment,
}

impl Ring {
    pub(super) const fn new(now: Moment) -> Self {
        Self { parts: VecDeque::new(), moved: VecDeque::new(), until: now }
    }

    /// Adds what each consumer has done since the last time, and forgets what a window of this length has no use for.
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

    /// Since when it is known.
    pub(super) fn since(&self) -> Moment {
        self.parts.front().copied().unwrap_or(self.until)
    }

    /// What a consumer has done since then.
    pub(super) fn moved(&self, consumer: usize) -> f64 {
        self.moved.iter().skip(consumer).step_by(self.consumers().max(1)).sum()
    }

    fn consumers(&self) -> usize {
        self.moved.len().checked_div(self.parts.len()).unwrap_or_default()
    }
}
