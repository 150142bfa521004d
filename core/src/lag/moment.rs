//! A point in time without a clock.

use std::time::Duration;

/// Time since the scaler's own epoch (its start). The pure modules compare the moments that they receive; they have no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Half as large as a `Duration`, because there are several per partition; enough for five centuries.
    nanoseconds: u64,
}

impl Moment {
    /// The moment `elapsed` after the epoch.
    #[must_use]
    pub fn after_epoch(elapsed: Duration) -> Self {
        Self { nanoseconds: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        Duration::from_nanos(self.nanoseconds).as_secs_f64()
    }
}
