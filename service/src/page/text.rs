//! Numbers and times formatted for people, and text encoded for addresses.

use std::fmt::Write as _;

/// Formats a whole number in groups of three digits.
#[must_use]
pub fn whole(number: f64) -> String {
    grouped(&format!("{:.0}", number.max(0.0)))
}

/// Converts a count for a chart or a text.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count above 2^53 need not be exact to one")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// Formats digits in groups of three.
#[must_use]
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three significant digits; small counts in full.
#[must_use]
pub fn short(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    if !number.is_finite() {
        return "–".to_owned();
    }
    if number < 99_999.5 {
        return if number.fract().abs() < 5e-3 || number >= 99.95 { whole(number) } else { decimals(number) };
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| number >= *size * 0.9995).unwrap_or((1.0, ""));
    format!("{} {unit}", decimals(number / size))
}

fn decimals(number: f64) -> String {
    match number {
        _ if number >= 99.95 => format!("{number:.0}"),
        _ if number >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Formats a time in its two greatest units.
#[must_use]
pub fn time(seconds: f64) -> String {
    const UNITS: [(f64, &str, f64, &str); 3] =
        [(86_400.0, "d", 3600.0, "h"), (3600.0, "h", 60.0, "min"), (60.0, "min", 1.0, "s")];
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    if seconds < 0.05 {
        return "0 s".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    if seconds < 119.5 {
        return format!("{seconds:.0} s");
    }
    let seconds = seconds.round();
    let (size, unit, small, small_unit) = UNITS.into_iter().find(|unit| seconds >= unit.0).unwrap_or(UNITS[2]);
    let rest = ((seconds % size) / small).floor();
    let text = format!("{} {unit}", whole((seconds / size).floor()));
    if rest > 0.0 { format!("{text} {rest:.0} {small_unit}") } else { text }
}

/// Formats how long ago something was, in its greatest unit.
#[must_use]
pub fn ago(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min")];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1.0, "s"));
    format!("{:.0} {unit} ago", (seconds / size).floor().max(0.0))
}

/// Encodes `text` as a part of a query string.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // writing to a string cannot fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_matter() {
        let cases = [
            (0.0, "0"),
            (0.004, "0"),
            (0.25, "0.25"),
            (9.5, "9.50"),
            (42.0, "42"),
            (42.25, "42.2"),
            (1234.0, "1,234"),
            (99_999.0, "99,999"),
            (123_456.0, "123 k"),
            (999_950.0, "1.00 M"),
            (12_345_678.0, "12.3 M"),
            (9.2e18, "9200000 T"),
            (f64::NAN, "–"),
        ];
        for (number, expected) in cases {
            assert_eq!(short(number), expected, "{number}");
        }
        assert_eq!(whole(12_345_678.0), "12,345,678");
        assert_eq!(grouped("9007199254740993"), "9,007,199,254,740,993");
    }

    #[test]
    fn times_have_two_units() {
        let cases = [
            (0.0, "0 s"),
            (9.94, "9.9 s"),
            (85.0, "85 s"),
            (120.0, "2 min"),
            (725.4, "12 min 5 s"),
            (7380.0, "2 h 3 min"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(time(seconds), expected, "{seconds}");
        }
        assert_eq!(time(2.0 * 86_400.0 + 3600.0), "2 d 1 h");
    }

    #[test]
    fn a_past_time_has_one_unit() {
        let texts = [0.0, 3.9, 59.9, 119.0, 3700.0, 200_000.0].map(ago);
        assert_eq!(texts, ["0 s ago", "3 s ago", "59 s ago", "1 min ago", "1 h ago", "2 d ago"]);
    }

    #[test]
    fn whatever_an_address_may_not_hold_is_encoded() {
        assert_eq!(encoded("group ä&<b>"), "group%20%C3%A4%26%3Cb%3E");
    }
}
