//! Decimal numbers with up to three decimals.

use std::fmt;

use super::metadata::{Metadata, shown};

/// A number with three decimals: exact, so that equal metadata results in equal triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(u64);

/// The valid range of a key's number.
pub(super) struct Range {
    pub(super) default: Decimal,
    pub(super) least: Decimal,
    pub(super) most: Decimal,
}

/// Reads the number of a key; its default where it is absent or invalid.
pub(super) fn number(metadata: &Metadata<'_>, key: &str, range: &Range) -> Decimal {
    let Some(text) = metadata.text(key) else { return range.default };
    match Decimal::parse(text) {
        Some(number) if (range.least..=range.most).contains(&number) => number,
        _ => {
            let Range { least, most, .. } = range;
            let hint = range.share_of(text).map_or_else(String::new, |share| format!(", such as {share}"));
            metadata.problem(key, format!("{} must be a number from {least} to {most}{hint}", shown(text)));
            range.default
        }
    }
}

impl Range {
    /// The share that is meant by a percentage; `None` where it would not be valid.
    fn share_of(&self, text: &str) -> Option<Decimal> {
        let percent = Decimal::parse(text.strip_suffix('%').unwrap_or(text))?;
        let share = Decimal(percent.0 / 100);
        (self.most <= Decimal(1000) && (self.least..=self.most).contains(&share)).then_some(share)
    }
}

impl Decimal {
    /// Creates a number from thousandths.
    pub(super) const fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths)
    }

    /// Parses digits, and up to three decimals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| (1..=12).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return None;
        }
        Some(Self(whole.parse::<u64>().ok()? * 1000 + format!("{fraction:0<3}").parse::<u64>().ok()?))
    }

    /// The nearest such number; `None` for a negative one, or one with too many digits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    pub fn nearest(number: f64) -> Option<Self> {
        (0.0..1e12).contains(&number).then(|| Self((number * 1000.0).round() as u64))
    }

    /// The number as a float.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "twelve digits are fewer than a float's")]
    pub const fn get(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
