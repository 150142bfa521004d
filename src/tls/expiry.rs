//! How long a certificate is good for.

use std::fmt;
use std::time::Duration;

use x509_cert::certificate::Certificate;
use x509_cert::der::{self, DateTime, Decode as _};

/// A certificate that is renewed in time is never this close to its end; short-lived ones are judged by their own lifetime.
const NEAR: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate is near its end when this fraction of its lifetime is left. cert-manager renews when a third is.
const NEAR_FRACTION: u32 = 5;

/// When a certificate is good. Ordered by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    not_after: DateTime,
    not_before: DateTime,
}

/// What that means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Clients accept it.
    Good,
    /// It should have been renewed: less than a fifth of its lifetime is left, and less than 14 days.
    Near,
    /// Clients refuse it.
    Over,
    /// Clients refuse it still.
    NotYetValid,
}

impl Validity {
    /// Of one certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> der::Result<Self> {
        let certificate = Certificate::from_der(certificate)?;
        let validity = certificate.tbs_certificate().validity();
        Ok(Self { not_after: validity.not_after.to_date_time(), not_before: validity.not_before.to_date_time() })
    }

    /// The end, as a time since 1970.
    pub fn end(&self) -> Duration {
        self.not_after.unix_duration()
    }

    /// What is to be said of it at `now`, a time since 1970.
    pub fn at(&self, now: Duration) -> Expiry {
        let (begin, end) = (self.not_before.unix_duration(), self.end());
        let near = NEAR.min(end.saturating_sub(begin) / NEAR_FRACTION);
        if now > end {
            Expiry::Over
        } else if now < begin {
            Expiry::NotYetValid
        } else if end - now < near {
            Expiry::Near
        } else {
            Expiry::Good
        }
    }
}

impl fmt::Display for Validity {
    /// The end, as RFC 3339 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.not_after.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn validity(begin: u64, end: u64) -> Validity {
        let at = |seconds| DateTime::from_unix_duration(Duration::from_secs(seconds)).expect("a date");
        Validity { not_after: at(end), not_before: at(begin) }
    }

    #[test]
    fn a_long_lived_certificate_is_near_its_end_for_two_weeks_and_a_short_lived_one_for_a_fifth_of_its_life() {
        let long = validity(DAY, 400 * DAY);
        let short = validity(DAY, 11 * DAY);
        for (validity, now, expected) in [
            (long, DAY - 1, Expiry::NotYetValid),
            (long, DAY, Expiry::Good),
            (long, 386 * DAY, Expiry::Good),
            (long, 386 * DAY + 1, Expiry::Near),
            (long, 400 * DAY, Expiry::Near),
            (long, 400 * DAY + 1, Expiry::Over),
            (short, 9 * DAY, Expiry::Good),
            (short, 9 * DAY + 1, Expiry::Near),
        ] {
            assert_eq!(validity.at(Duration::from_secs(now)), expected, "{now}");
        }
    }

    #[test]
    fn of_several_certificates_the_one_that_ends_first_counts() {
        assert!(validity(9, 10) < validity(1, 20));
        assert_eq!(validity(0, 10).to_string(), "1970-01-01T00:00:10Z");
    }
}
