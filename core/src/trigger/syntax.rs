//! Values in the syntax of KEDA and Go.

use std::fmt;
use std::time::Duration;

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number in JSON syntax, which KEDA accepts: no plus sign, no leading zero, no point, no exponent.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if plain && !leading_zero { text.parse().ok() } else { None }
}

/// A duration as Go writes it (`1m30s`, `500ms`, `1.5h`), or bare seconds (`30`).
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = parse_integer(text) {
        return u64::try_from(seconds).ok().map(Duration::from_secs);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (value, tail) = rest.split_at(number);
        let unit = tail.find(|sign: char| sign.is_ascii_digit() || sign == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let value: f64 = value.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(value * seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Writes a duration of whole seconds in the largest unit that needs no fraction, such as `10m`.
pub(super) fn duration_text(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0s".to_owned(),
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A number with three decimals: exact, so that equal metadata results in equal triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(u64);

/// The valid range of a key's number.
pub(super) struct Range {
    pub(super) default: Decimal,
    pub(super) least: Decimal,
    pub(super) most: Decimal,
}

impl Range {
    /// The share that is meant by a percentage; `None` where it would not be valid.
    pub(super) fn share_of(&self, text: &str) -> Option<Decimal> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(text), Some(false), "{text}");
        }
        for text in ["", "yes", "tRUE", "on", "2", "notvalid"] {
            assert_eq!(parse_bool(text), None, "{text}");
        }
    }

    #[test]
    fn integers_are_jsons() {
        let cases = [("0", 0), ("10", 10), ("-1", -1), ("1000000", 1_000_000), ("9223372036854775807", i64::MAX)];
        for (text, number) in cases {
            assert_eq!(parse_integer(text), Some(number), "{text}");
        }
        for text in ["", "-", "+5", "010", "-01", "0x1", "1.5", "1e3", "1_000", "9223372036854775808", "AA", "١"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_gos_or_bare_seconds() {
        let cases = [
            ("30", Duration::from_secs(30)),
            ("0", Duration::ZERO),
            ("30s", Duration::from_secs(30)),
            ("1m30s", Duration::from_secs(90)),
            ("1.5h", Duration::from_secs(5400)),
            ("500ms", Duration::from_millis(500)),
            ("2h45m", Duration::from_secs(9900)),
            (".5s", Duration::from_millis(500)),
            ("100us", Duration::from_micros(100)),
            ("100µs", Duration::from_micros(100)),
        ];
        for (text, duration) in cases {
            assert_eq!(parse_duration(text), Some(duration), "{text}");
        }
        for text in ["", "s", "3 s", "-1s", "1x", "1.5", "1m30", ".", ".s", "1..5s", "99999999999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
