//! How often positions move.
//!
//! A consumer commits every few seconds: between two commits it looks as if it stood still, and as if it were behind.

use std::time::Duration;

use super::average::{blend, median};
use crate::lag::Moment;

/// Until a commit was seen to move twice.
const UNSEEN: f64 = 10.0;
/// Commits further apart than this many seconds are no habit: a partition that makes no progress for longer, while others do, is stuck.
const LONGEST: f64 = 120.0;
/// This many commits, or readings where those are rarer, show what a consumer does without being saturated.
const RATES_OVER: f64 = 6.0;
/// Others move if one of them has within this time.
const MOVING: Duration = Duration::from_secs(60);

/// How often positions move, and since when they may be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Commits {
    /// Seconds between two moves of a busy partition's position, once seen.
    interval: Option<f64>,
    /// The same, with the moves that are still awaited.
    awaited: f64,
    /// Nobody has been given another partition since.
    pub(super) stable_since: Moment,
    /// When any position moved last.
    pub(super) progressed_at: Moment,
}

/// One partition at a reading: what shows how often it moves.
pub(super) struct Move {
    /// When the position had moved last, before this reading.
    pub(super) before: Moment,
    /// Whether it has moved now.
    pub(super) moved: bool,
    /// Whether something is unread.
    pub(super) unread: bool,
    pub(super) owned: bool,
}

impl Commits {
    pub(super) fn new(now: Moment) -> Self {
        Self { interval: None, awaited: UNSEEN, stable_since: now, progressed_at: now }
    }

    /// Whoever owns what has changed.
    #[must_use]
    pub(super) fn rebalanced(self, now: Moment) -> Self {
        Self { stable_since: now, ..self }
    }

    /// With a reading, `elapsed` seconds after the one before.
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

    /// Seconds for which a caught-up consumer looks as if it were behind.
    pub(super) const fn awaited(&self) -> f64 {
        self.awaited
    }

    /// The longest time between two commits that counts as usual, in seconds; until two were seen, any up to two minutes.
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

    /// Whether a partition with something unread, whose position moved last at `moved_at`, is stuck while others move.
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
