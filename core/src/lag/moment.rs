//! A point in time without a clock.

use std::num::NonZeroU64;
use std::time::Duration;

/// Time since the scaler's own epoch (its start). The pure modules compare the moments that they receive; they have no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Nanoseconds since one before the epoch. Half as large as a `Duration`, also as an `Option`, because there are several per partition;
    /// enough for five centuries.
    nanoseconds: NonZeroU64,
}

impl Moment {
    /// The moment `elapsed` after the epoch.
    #[must_use]
    pub fn after_epoch(elapsed: Duration) -> Self {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        Self { nanoseconds: NonZeroU64::MIN.saturating_add(nanoseconds) }
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds.get().saturating_sub(earlier.nanoseconds.get()))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        Duration::from_nanos(self.nanoseconds.get() - 1).as_secs_f64()
    }
}
