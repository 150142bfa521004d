//! Schedules the next reading of a target, on a grid of moments that all targets of a backend share.
//!
//! A target is read at its own interval, independent of its neighbours: a round reads only what is due. Targets share rounds because
//! the readings of one interval, and of its multiples, fall on the same points of the grid. The position of the grid is random for
//! each backend, so that several scalers do not read a cluster at the same moments.

use std::time::Duration;

use tokio::time::Instant;

/// The longest distance between two points of a grid in milliseconds: the longest `pollInterval`.
const LONGEST_STEP_MS: u64 = 600_000;

/// The grid distance of quick retries, so that targets that fail together are read together.
const RETRY_STEP: Duration = Duration::from_millis(50);

/// The moments at which the targets of one backend are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    origin: Instant,
    /// How far before `origin` the grid starts.
    phase: Duration,
}

impl Grid {
    /// Creates the grid of a backend that is first read `now`; `random` sets its position.
    pub(super) fn new(now: Instant, random: u64) -> Self {
        Self { origin: now, phase: Duration::from_millis(random % LONGEST_STEP_MS) }
    }

    /// Returns the next regular due time, not before `now`, of a target whose last reading was due at `last`.
    ///
    /// On the grid this is one interval later. A target that is not on the grid reaches it by at most two late readings, each late by
    /// half an interval at most: no reading is ever early.
    pub(super) fn regular(&self, last: Instant, interval: Duration, now: Instant) -> Instant {
        let earliest = (last + interval).max(now);
        let (on_grid, late) = self.from(earliest, interval);
        if late > interval / 2 { on_grid - interval / 2 } else { on_grid }
    }

    /// Returns the time of a quick retry: `pause` after `now`, or less than 50 ms later.
    pub(super) fn retry(&self, pause: Duration, now: Instant) -> Instant {
        self.from(now + pause, RETRY_STEP).0
    }

    /// Returns the first point from `earliest` on that is a multiple of `step`, and how much later it is.
    fn from(&self, earliest: Instant, step: Duration) -> (Instant, Duration) {
        let since = earliest.saturating_duration_since(self.origin) + self.phase;
        let past = Duration::from_nanos_u128(since.as_nanos() % step.as_nanos().max(1));
        let late = if past.is_zero() { past } else { step - past };
        (earliest + late, late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[tokio::test]
    async fn a_target_comes_onto_the_grid_without_an_early_reading_and_stays_there() {
        let now = Instant::now();
        for random in (0..LONGEST_STEP_MS).step_by(7_919) {
            let grid = Grid::new(now, random);
            for interval in [1_500, 2_000, 7_000, 60_000, 600_000].map(MS) {
                for joined in [0, 1, 333, 59_999].map(|after| now + MS(after)) {
                    let mut last = joined;
                    let mut gaps = Vec::new();
                    for _ in 0..5 {
                        let next = grid.regular(last, interval, last);
                        gaps.push(next - last);
                        last = next;
                    }
                    assert!(gaps.iter().all(|gap| *gap >= interval && *gap <= interval * 3 / 2), "{gaps:?}");
                    assert!(gaps[2..].iter().all(|gap| *gap == interval), "{gaps:?}");
                    assert_eq!(grid.from(last, interval).1, Duration::ZERO);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_reading_that_took_longer_than_its_interval_is_followed_by_one_that_is_not_in_the_past() {
        let (now, interval) = (Instant::now(), MS(2_000));
        let grid = Grid::new(now, 123);
        let ended = now + MS(7_300);
        let next = grid.regular(now, interval, ended);
        assert!(next >= ended && next < ended + interval / 2);
    }

    #[tokio::test]
    async fn a_retry_comes_no_earlier_than_its_pause_and_less_than_50_ms_later() {
        let now = Instant::now();
        for random in 0..300 {
            let grid = Grid::new(now, random * 37);
            let pause = grid.retry(MS(300), now + MS(random)) - (now + MS(random));
            assert!(pause >= MS(300) && pause < MS(350), "{pause:?}");
        }
    }
}
