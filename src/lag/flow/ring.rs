//! How far every partition has come in the last while.

use std::collections::VecDeque;
use std::time::Duration;

use crate::lag::Moment;

/// A window is kept in this many parts: what a partition may cost is bounded, however often it is read.
const PARTS: u32 = 12;

/// How far all partitions have come, from a window's length ago to now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    parts: VecDeque<Part>,
    until: Moment,
}

/// From its beginning to the next one's.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    from: Moment,
    /// Half as long as a position is; a part is short, so that nothing is lost by it.
    moved: Vec<f32>,
}

impl Ring {
    pub(super) const fn new(now: Moment) -> Self {
        Self { parts: VecDeque::new(), until: now }
    }

    /// Adds how far each partition has come since the last time, and forgets what a window of this length has no use for.
    #[expect(clippy::cast_possible_truncation, reason = "a part of a window needs no more digits")]
    pub(super) fn add(&mut self, now: Moment, moved: impl Iterator<Item = f64>, window: Duration) {
        let (from, part) = (self.until, window / PARTS);
        if now == from {
            return;
        }
        match self.parts.back_mut().filter(|newest| from.since(newest.from) < part) {
            Some(newest) => newest.moved.iter_mut().zip(moved).for_each(|(sum, moved)| *sum += moved as f32),
            None => self.parts.push_back(Part { from, moved: moved.map(|moved| moved as f32).collect() }),
        }
        self.until = now;
        while self.parts.get(1).is_some_and(|second| now.since(second.from) >= window) {
            self.parts.pop_front();
        }
    }

    /// Since when it is known.
    pub(super) fn since(&self) -> Moment {
        self.parts.front().map_or(self.until, |oldest| oldest.from)
    }

    /// How far a partition has come since then.
    pub(super) fn moved(&self, partition: usize) -> f64 {
        self.parts.iter().filter_map(|part| part.moved.get(partition)).map(|moved| f64::from(*moved)).sum()
    }
}
