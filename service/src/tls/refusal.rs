//! Why a handshake failed, and how often that is logged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};
use tokio::time::Instant;

/// A repeated refusal is logged again after this time; KEDA retries every two minutes at the longest.
const REPEAT: Duration = Duration::from_secs(10 * 60);

/// The maximum number of pairs of address and refusal that are tracked. Further ones are only counted, until old ones are removed.
const MOST_TOLD: usize = 256;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// The client does not speak TLS.
    NotTls,
    /// The client supports no TLS version from 1.2 on.
    OldVersion,
    /// The client and the scaler have no cipher or signature in common.
    NothingInCommon,
    /// The client offers another protocol than HTTP/2.
    NoHttp2,
    /// The client has no certificate, and one is required.
    NoClientCertificate,
    /// The client's certificate is of an unknown CA.
    UnknownClientCa,
    /// The client's certificate has expired, or is not yet valid.
    ClientCertificateExpired,
    /// The client's certificate is invalid for another reason, such as one for servers only.
    ClientCertificateInvalid,
    /// The client does not accept the scaler's certificate.
    ServerCertificateRefused,
    /// The client ended the connection.
    PeerClosed,
    /// The client was too slow.
    TimedOut,
    /// Too many other handshakes were pending.
    TooMany,
    /// The client sent something other than a handshake.
    ProtocolError,
}

/// The refusals that were logged recently.
#[derive(Default)]
pub(super) struct LogThrottle(HashMap<(Refusal, IpAddr), Since>);

struct Since {
    logged: Instant,
    again: u64,
}

// === impl Refusal ===

impl Refusal {
    /// All refusals, for metrics.
    pub(super) const ALL: [Self; 13] = [
        Self::NotTls,
        Self::OldVersion,
        Self::NothingInCommon,
        Self::NoHttp2,
        Self::NoClientCertificate,
        Self::UnknownClientCa,
        Self::ClientCertificateExpired,
        Self::ClientCertificateInvalid,
        Self::ServerCertificateRefused,
        Self::PeerClosed,
        Self::TimedOut,
        Self::TooMany,
        Self::ProtocolError,
    ];

    /// Returns the name of the refusal in logs and metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::OldVersion => "old_version",
            Self::NothingInCommon => "nothing_in_common",
            Self::NoHttp2 => "no_http2",
            Self::NoClientCertificate => "no_client_certificate",
            Self::UnknownClientCa => "unknown_client_ca",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateInvalid => "client_certificate_invalid",
            Self::ServerCertificateRefused => "server_certificate_refused",
            Self::PeerClosed => "peer_closed",
            Self::TimedOut => "timed_out",
            Self::TooMany => "too_many",
            Self::ProtocolError => "protocol_error",
        }
    }

    /// Returns the remedy.
    const fn remedy(self) -> &'static str {
        match self {
            Self::NotTls => "the client speaks plaintext; set enableTLS or caCert at the trigger",
            Self::OldVersion => "the client must support TLS 1.2 or 1.3",
            Self::NothingInCommon => "the client must support a cipher of TLS 1.2 with ECDHE and AEAD, or TLS 1.3",
            Self::NoHttp2 => "the client must offer h2",
            Self::NoClientCertificate => "set tlsClientCert and tlsClientKey in the TriggerAuthentication",
            Self::UnknownClientCa => "the client's certificate must be of a CA in --tls-client-ca",
            Self::ClientCertificateExpired => "renew the client's certificate, and check both clocks",
            Self::ClientCertificateInvalid => "the client's certificate must allow client authentication",
            Self::ServerCertificateRefused => {
                "the client must trust the CA of --tls-cert, which must be valid for the name in scalerAddress"
            }
            Self::PeerClosed => "a probe of this port should be one of the HTTP port",
            Self::TimedOut => "the client did not finish within 10 s",
            Self::TooMany => "too many handshakes at once",
            Self::ProtocolError => "the client sent something other than a handshake",
        }
    }

    /// Returns the refusal for the error of a handshake.
    pub(super) fn of(error: &io::Error) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        cause.map_or(Self::PeerClosed, Self::of_protocol)
    }

    fn of_protocol(error: &rustls::Error) -> Self {
        match error {
            // the first byte of a record is not a TLS content type
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            rustls::Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls12NotOffered
                // introduced with TLS 1.2; every client has sent them since
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            )
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => Self::OldVersion,
            rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
                Self::NothingInCommon
            }
            rustls::Error::NoApplicationProtocol => Self::NoHttp2,
            rustls::Error::NoCertificatesPresented => Self::NoClientCertificate,
            rustls::Error::InvalidCertificate(cause) => Self::of_certificate(cause),
            rustls::Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            ) => Self::ServerCertificateRefused,
            _ => Self::ProtocolError,
        }
    }

    const fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownClientCa,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::ClientCertificateExpired,
            _ => Self::ClientCertificateInvalid,
        }
    }
}

// === impl LogThrottle ===

impl LogThrottle {
    /// Logs a refusal, unless the same refusal of the same address was logged recently.
    pub(super) fn log(&mut self, refusal: Refusal, peer: SocketAddr, detail: &str) {
        if let Some(again) = self.due(refusal, peer.ip()) {
            let reason = refusal.word();
            tracing::warn!(%peer, reason, detail, again, "TLS handshake refused: {}", refusal.remedy());
        }
    }

    /// Returns `None` if the refusal must not be logged; else the number of refusals since it was last logged.
    fn due(&mut self, refusal: Refusal, peer: IpAddr) -> Option<u64> {
        let now = Instant::now();
        if self.0.len() >= MOST_TOLD {
            self.0.retain(|_, since| now - since.logged < REPEAT);
        }
        let full = self.0.len() >= MOST_TOLD;
        match self.0.entry((refusal, peer)) {
            Entry::Occupied(mut known) if now - known.get().logged < REPEAT => {
                known.get_mut().again += 1;
                None
            }
            Entry::Occupied(mut known) => Some(known.insert(Since { logged: now, again: 0 }).again),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(new) => {
                new.insert(Since { logged: now, again: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    fn peer(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn every_refusal_has_a_word_of_its_own() {
        let words: HashSet<_> = Refusal::ALL.map(Refusal::word).into();
        assert_eq!(words.len(), Refusal::ALL.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stays_broken_is_told_of_once_in_ten_minutes_with_the_number_of_its_tries() {
        let mut throttle = LogThrottle::default();
        assert_eq!(throttle.due(Refusal::NotTls, peer(1)), Some(0));
        for _ in 0..9 {
            advance(Duration::from_secs(60)).await;
            assert_eq!(throttle.due(Refusal::NotTls, peer(1)), None);
        }
        assert_eq!(throttle.due(Refusal::OldVersion, peer(1)), Some(0), "another refusal");
        assert_eq!(throttle.due(Refusal::NotTls, peer(2)), Some(0), "another client");
        advance(Duration::from_secs(60)).await;
        assert_eq!(throttle.due(Refusal::NotTls, peer(1)), Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_cannot_fill_memory_or_log() {
        let mut throttle = LogThrottle::default();
        let lines = (0..10_000).filter(|number| throttle.due(Refusal::NotTls, peer(*number)).is_some()).count();
        assert_eq!((lines, throttle.0.len()), (MOST_TOLD, MOST_TOLD));
        advance(REPEAT).await;
        assert_eq!(throttle.due(Refusal::NotTls, peer(20_000)), Some(0), "the old ones are forgotten");
    }
}
