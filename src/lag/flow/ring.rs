//! Where every partition was some time ago.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::lag::Moment;

/// Positions are kept this many times in a window: what a partition may cost is bounded, however often it is read.
const SLOTS: u32 = 12;

/// The positions of all partitions, from a window's length ago to now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring(VecDeque<(Moment, Arc<[f64]>)>);

impl Ring {
    pub(super) fn new(now: Moment, positions: Arc<[f64]>) -> Self {
        Self(VecDeque::from([(now, positions)]))
    }

    /// Adds the positions of now, and forgets those that a window of this length has no use for.
    pub(super) fn add(&mut self, now: Moment, positions: impl FnOnce() -> Arc<[f64]>, window: Duration) {
        if self.0.back().is_none_or(|(newest, _)| now.since(*newest) >= window / SLOTS) {
            self.0.push_back((now, positions()));
        }
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(second, _)| now.since(*second) >= window) {
            self.0.pop_front();
        }
    }

    /// When the oldest positions were taken, and those.
    pub(super) fn oldest(&self) -> Option<(Moment, &[f64])> {
        self.0.front().map(|(moment, positions)| (*moment, &**positions))
    }
}
