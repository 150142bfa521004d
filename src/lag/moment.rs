//! A point in time without a clock.

use std::time::Duration;

/// Time since the scaler's own epoch (its start). The pure floors compare moments that they are given; they have no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `elapsed` after the epoch.
    #[must_use]
    pub const fn after_epoch(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long before `self` the `earlier` moment was; zero where it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}
