//! How far the partitions of every consumer have advanced in the recent past.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lag::Moment;

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
