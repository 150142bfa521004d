//! `scaleOn: catchUp`

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// A number with three digits behind the point: exact, so that two triggers that say the same are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(u64);

/// `scaleOn: catchUp`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUpPolicy {
    /// The backlog of now is to be gone after this time.
    pub catch_up_time: Duration,
    /// The share of their capacity that consumers are to use.
    pub target_utilization: Decimal,
    /// What one consumer can do in a second, until it is measured.
    pub capacity_per_consumer: Option<Decimal>,
    /// How many consumers run in a replica.
    pub consumers_per_replica: NonZeroU32,
    /// The HPA's `behavior.scaleDown.stabilizationWindowSeconds`.
    pub stabilization_window: Duration,
    /// The HPA's `behavior.scaleUp.tolerance`.
    pub scale_up_tolerance: Decimal,
}

impl Default for CatchUpPolicy {
    fn default() -> Self {
        Self {
            catch_up_time: Duration::from_secs(300),
            target_utilization: Decimal(800),
            capacity_per_consumer: None,
            consumers_per_replica: NonZeroU32::MIN,
            stabilization_window: Duration::from_secs(300),
            scale_up_tolerance: Decimal(100),
        }
    }
}

impl Decimal {
    /// The number of so many thousandths.
    #[must_use]
    pub const fn thousandths(number: u64) -> Self {
        Self(number)
    }

    /// The nearest such number; `None` for one below 0, or too great for its digits to be told.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    pub fn nearest(number: f64) -> Option<Self> {
        (0.0..1e12).contains(&number).then(|| Self((number * 1000.0).round() as u64))
    }

    /// The number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of metadata have fewer digits")]
    pub const fn get(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
