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
        let share = 1.0 - (-elapsed / constant).exp();
        Self { sum: self.sum + share * (mean - self.sum), weight: self.weight + share * (1.0 - self.weight) }
    }

    /// The average; `None` before the first value.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The middle one; of an even number, the mean of the two. Reorders `values`.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
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
