//! The contents of a certificate, for display.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

/// The parts of a certificate that explain why it is trusted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject that the certificate names.
    pub subject: String,
    /// The issuer that signed it.
    pub issuer: String,
    /// The names and addresses for which it is valid.
    pub names: Vec<String>,
    /// The first day on which it is valid, as `2026-01-31`.
    pub from: String,
    /// The day on which it expires.
    pub until: String,
    ends: SystemTime,
}

impl Certificate {
    /// Reads a DER certificate; `None` where it cannot be parsed.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(name).collect();
        let validity = certificate.validity();
        let ends = u64::try_from(validity.not_after.timestamp()).unwrap_or(0);
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names,
            from: day(validity.not_before.timestamp()),
            until: day(validity.not_after.timestamp()),
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(ends),
        })
    }

    /// Returns the remaining validity; zero after the certificate has expired.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Duration {
        self.ends.duration_since(now).unwrap_or_default()
    }
}

/// Returns a distinguished name in DER as text.
pub fn distinguished_name(der: &[u8]) -> Option<String> {
    X509Name::from_der(der).ok().map(|(_, name)| name.to_string())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn day(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix)
        .map_or_else(|_| "a time out of range".to_owned(), |time| time.date().to_string())
}
