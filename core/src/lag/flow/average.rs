//! Averages that weight recent values more.

/// An exponentially weighted average that is unbiased from its first value on: it is divided by the sum of the weights so far.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    /// Creates an average that starts with `value` as if it had already gathered this weight, between 0 and 1.
    #[must_use]
    pub fn begun(value: f64, weight: f64) -> Self {
        Self { sum: value * weight, weight }
    }

    /// Adds the mean of the last `elapsed` seconds to an average over about `constant` seconds.
    #[must_use]
    pub fn with(self, mean: f64, elapsed: f64, constant: f64) -> Self {
        self.weighed(mean, share_of(elapsed, constant))
    }

    /// Does the same as [`Self::with`] for a share that is already known: [`share_of`] takes longer than the rest of the calculation.
    pub(super) fn weighed(self, mean: f64, share: f64) -> Self {
        Self { sum: self.sum + share * (mean - self.sum), weight: self.weight + share * (1.0 - self.weight) }
    }

    /// The average; `None` before the first value.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The share of the last `elapsed` seconds in an average over about `constant` seconds.
pub(super) fn share_of(elapsed: f64, constant: f64) -> f64 {
    1.0 - (-elapsed / constant).exp()
}

/// The median of `values`; for an even number of values, the mean of the middle two. Reorders `values`.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (lower, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let below = lower.iter().copied().max_by(f64::total_cmp).filter(|_| !odd);
    Some(below.map_or(*upper, |below| f64::midpoint(below, *upper)))
}

/// The weight of a new measurement against the earlier ones.
pub(super) const SHARE: f64 = 0.3;

/// Blends a new measurement into the known value.
#[must_use]
pub fn blend(known: Option<f64>, new: f64) -> f64 {
    known.map_or(new, |known| known + SHARE * (new - known))
}

/// The whole part of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float saturates when it is cast"
)]
pub(super) const fn whole(number: f64) -> usize {
    number as usize
}

/// Converts a count to a float for calculations.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "consumers and partitions are counted in thousands")]
pub const fn count(number: usize) -> f64 {
    number as f64
}
