//! Averages in which the past fades.

/// An exponentially weighted average that is right from its first value on: it is divided by the weights so far.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    /// An average that begins with `value` as if it had gathered this weight, between 0 and 1, so far.
    #[must_use]
    pub fn begun(value: f64, weight: f64) -> Self {
        Self { sum: value * weight, weight }
    }

    /// Adds the mean of the last `elapsed` seconds to an average over about `constant` seconds.
    #[must_use]
    pub fn with(self, mean: f64, elapsed: f64, constant: f64) -> Self {
        self.weighed(mean, share_of(elapsed, constant))
    }

    /// The same where the share is known already: [`share_of`] takes longer than all the rest.
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

/// The middle one; of an even number, the mean of the two. Reorders `values`.
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

/// The weight of a new measurement beside those before.
pub(super) const SHARE: f64 = 0.3;

/// A new measurement mixed into what is known.
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

/// A count as a number to calculate with.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "consumers and partitions are counted in thousands")]
pub const fn count(number: usize) -> f64 {
    number as f64
}
