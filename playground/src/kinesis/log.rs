//! The records of a shard: only their arrival times, since nothing reads their content.

use std::collections::VecDeque;
use std::time::Duration;

/// The log of a shard.
#[derive(Default)]
pub(super) struct Log {
    /// The counter of the first record.
    start: u64,
    /// When the records arrived, by the demo's clock.
    arrived: VecDeque<Duration>,
    /// When the record before the first one arrived.
    before: Duration,
}

impl Log {
    /// Creates an empty log whose first record will have this counter.
    pub(super) fn beginning_at(start: u64, now: Duration) -> Self {
        Self { start, before: now, ..Self::default() }
    }

    pub(super) fn put(&mut self, now: Duration) {
        self.arrived.push_back(now);
    }

    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// The counter of the next record.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::try_from(self.arrived.len()).unwrap_or_default()
    }

    /// Returns when a record arrived; `None` where the log does not have it.
    pub(super) fn arrived(&self, counter: u64) -> Option<Duration> {
        let index = counter.checked_sub(self.start)?;
        self.arrived.get(usize::try_from(index).ok()?).copied()
    }

    /// When the last record that is no longer in the log arrived.
    pub(super) const fn before(&self) -> Duration {
        self.before
    }

    /// Deletes the records before this counter that arrived before `old`.
    pub(super) fn trim(&mut self, counter: u64, old: Duration) {
        while self.start < counter && self.arrived.front().is_some_and(|arrived| *arrived < old) {
            self.before = self.arrived.pop_front().unwrap_or_default();
            self.start += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processed_records_are_kept_for_a_while_and_then_only_the_time_of_the_last_one_is_known() {
        let at = Duration::from_secs;
        let mut log = Log::beginning_at(7, at(0));
        (1..=4).for_each(|second| log.put(at(second)));
        assert_eq!((log.start(), log.end(), log.arrived(8), log.arrived(11)), (7, 11, Some(at(2)), None));
        log.trim(10, at(3));
        assert_eq!((log.start(), log.before(), log.end()), (9, at(2), 11), "the third one is too young");
        log.trim(10, at(60));
        assert_eq!((log.start(), log.before()), (10, at(3)), "the last one is not processed");
    }
}
