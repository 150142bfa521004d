//! How often committed positions move.
//!
//! A consumer commits every few seconds: between two commits it appears to make no progress and to be behind.

use std::time::Duration;

use super::average::{blend, median};
use crate::lag::Moment;

/// The assumed interval in seconds until two moves of a position were observed.
const UNSEEN: f64 = 10.0;
/// The longest plausible commit interval in seconds: a partition without progress for longer, while others progress, is stuck.
const LONGEST: f64 = 120.0;
/// The number of commits, or readings where those are rarer, that show the rate of a consumer that is not saturated.
const RATES_OVER: f64 = 6.0;
/// Other partitions count as progressing if one of them moved within this time.
const MOVING: Duration = Duration::from_secs(60);

/// How often positions move, and since when they can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Commits {
    /// Seconds between two moves of a busy partition's position, once observed.
    interval: Option<f64>,
    /// The same interval, including moves that are still awaited.
    awaited: f64,
    /// No partition has changed its owner since this time.
    pub(super) stable_since: Moment,
    /// When any position last moved.
    pub(super) progressed_at: Moment,
}

/// One partition at a reading, with what shows how often its position moves.
pub(super) struct Move {
    /// When the position last moved, before this reading.
    pub(super) before: Moment,
    /// Whether the position moved at this reading.
    pub(super) moved: bool,
    /// Whether the partition has unread records.
    pub(super) unread: bool,
    pub(super) owned: bool,
}

impl Commits {
    pub(super) fn new(now: Moment) -> Self {
        Self { interval: None, awaited: UNSEEN, stable_since: now, progressed_at: now }
    }

    /// Returns the state after partitions changed their owners.
    #[must_use]
    pub(super) fn rebalanced(self, now: Moment) -> Self {
        Self { stable_since: now, ..self }
    }

    /// Returns the state after a reading, `elapsed` seconds after the previous one.
    #[must_use]
    pub(super) fn with(self, moves: &[Move], elapsed: f64, now: Moment) -> Self {
        let seconds = |since: Moment| now.since(since).as_secs_f64();
        let mut apart: Vec<_> = moves
            .iter()
            .filter(|one| one.moved && one.before > self.stable_since)
            .map(|one| seconds(one.before))
            .collect();
        let seen = median(&mut apart).map(|seen| seen.min(LONGEST));
        let interval = seen.map_or(self.interval, |seen| Some(blend(self.interval, seen)));
        let standing = moves.iter().filter(|one| one.unread && one.owned);
        let mut waits: Vec<_> = standing.map(|one| if one.moved { 0.0 } else { seconds(one.before) }).collect();
        let awaited = interval.unwrap_or(elapsed).max(median(&mut waits).unwrap_or(0.0)).min(LONGEST);
        let progressed_at = if moves.iter().any(|one| one.moved) { now } else { self.progressed_at };
        Self { interval, awaited, progressed_at, ..self }
    }

    /// Seconds for which a caught-up consumer appears to be behind.
    pub(super) const fn awaited(&self) -> f64 {
        self.awaited
    }

    /// The longest usual time between two commits, in seconds; up to two minutes until two were observed.
    pub(super) fn longest(&self) -> f64 {
        self.interval.map_or(LONGEST, |_| self.awaited)
    }

    /// The time over which moves give a rate, where readings are `period` seconds apart.
    pub(super) fn rates_over(&self, period: f64) -> Duration {
        Duration::from_secs_f64(RATES_OVER * self.awaited.max(period))
    }

    /// The number of seconds without progress after which a partition is stuck.
    pub(super) fn stuck_after(&self) -> f64 {
        LONGEST.max(6.0 * self.interval.unwrap_or(UNSEEN))
    }

    /// Whether a partition with unread records, whose position last moved at `moved_at`, is stuck while others progress.
    pub(super) fn stuck(&self, moved_at: Moment, now: Moment) -> bool {
        let after = self.stuck_after();
        now.since(moved_at).as_secs_f64() > after
            && now.since(self.progressed_at) < MOVING
            && now.since(self.stable_since).as_secs_f64() > after
    }

    /// Whether no partition has progressed for longer than commits explain.
    pub(super) fn still(&self, now: Moment) -> bool {
        now.since(self.progressed_at).as_secs_f64() > MOVING.as_secs_f64() + self.awaited
    }
}
