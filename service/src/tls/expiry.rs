//! The validity period of a certificate.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer as _;

/// The maximum remaining time of a certificate near its end; short-lived certificates are judged by their own lifetime.
const NEAR: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate is near its end when less than one part in this number of its lifetime is left. cert-manager renews at a third.
const NEAR_FRACTION: u32 = 5;

/// The validity period of a certificate. Ordered by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    not_after: OffsetDateTime,
    not_before: OffsetDateTime,
}

/// The state of a certificate at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The certificate is valid, and clients accept it.
    Good,
    /// The certificate should have been renewed: less than a fifth of its lifetime is left, and less than 14 days.
    Near,
    /// The certificate has expired, and clients reject it.
    Over,
    /// The certificate is not yet valid, and clients reject it.
    NotYetValid,
}

impl Validity {
    /// Returns the validity of one certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Result<Self, X509Error> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(X509Error::from)?;
        let validity = certificate.validity();
        Ok(Self { not_after: validity.not_after.to_datetime(), not_before: validity.not_before.to_datetime() })
    }

    /// Returns the end, as a time since 1970.
    pub fn end(&self) -> Duration {
        since_1970(self.not_after)
    }

    /// Returns the state at `now`, a time since 1970.
    pub fn at(&self, now: Duration) -> Expiry {
        let (begin, end) = (since_1970(self.not_before), self.end());
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
    /// Formats the end as RFC 3339 does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.not_after.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// Returns a time since 1970. Times before 1970 count as 1970, which does not change the state now.
fn since_1970(time: OffsetDateTime) -> Duration {
    Duration::from_secs(u64::try_from(time.unix_timestamp()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn validity(begin: u64, end: u64) -> Validity {
        let at = |seconds: u64| OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
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
