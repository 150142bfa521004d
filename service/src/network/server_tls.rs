//! TLS with servers: which certificates are trusted, and why a handshake fails.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, PeerIncompatible, RootCertStore, SignatureScheme};

use super::certificate::Certificate;

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The certificate has expired.
    #[error("the certificate expired on {until}")]
    Expired {
        /// The day on which it expired.
        until: String,
    },
    /// The certificate is not yet valid.
    #[error("the certificate is not valid before {from}")]
    NotYetValid {
        /// The first day on which it is valid.
        from: String,
    },
    /// The certificate is valid for other hosts only.
    #[error("the certificate is not valid for {asked}, only for {}", .names.join(", "))]
    WrongName {
        /// The requested host name.
        asked: String,
        /// The names for which it is valid.
        names: Vec<String>,
    },
    /// The certificate names no host: common names do not count (RFC 9525).
    #[error("the certificate is not valid for {asked}: it has no subjectAltName")]
    NoName {
        /// The requested host name.
        asked: String,
    },
    /// No trusted authority has signed the certificate.
    #[error("the certificate is issued by {issuer}, which is not in ca")]
    UnknownIssuer {
        /// The authority that signed it.
        issuer: String,
    },
    /// The certificate is not trusted for another reason.
    #[error("{0}")]
    Other(String),
}

/// Why there is no encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The answer is not TLS.
    #[error("the answer is not TLS")]
    NotTls,
    /// The other end ended the handshake with an alert.
    #[error("the listener disconnected: {0}")]
    Alert(String),
    /// The other end closed the connection.
    #[error("the listener closed the connection during the handshake")]
    Closed,
    /// The other end did not answer.
    #[error("no answer to the handshake within {} s", .within.as_secs())]
    Silent {
        /// The time for which the client waited.
        within: Duration,
    },
    /// The other end's certificate is not trusted.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// The other end supports only versions of TLS that are no longer secure.
    #[error("the listener has neither TLS 1.2 nor 1.3")]
    TooOld,
    /// The two ends have no common TLS parameters, or the host name is invalid.
    #[error("{0}")]
    Other(String),
}

/// Verifies the certificates of servers, and keeps the last one.
#[derive(Debug)]
pub struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    presented: Mutex<Vec<CertificateDer<'static>>>,
}

#[derive(Debug)]
enum Trust {
    All,
    /// Trusts certificates of these authorities; with `None`, no certificate.
    Roots(Option<Arc<WebPkiServerVerifier>>),
}

// === impl Distrust ===

impl Distrust {
    /// Returns the reason, where the error is an untrusted certificate.
    fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.downcast_ref(),
            _ => None,
        }
    }

    fn new(why: &rustls::Error, own: &CertificateDer<'_>, name: &ServerName<'_>) -> Self {
        let rustls::Error::InvalidCertificate(reason) = why else { return Self::Other(why.to_string()) };
        let Some(certificate) = Certificate::read(own) else {
            return Self::Other("the certificate cannot be read".to_owned());
        };
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Expired { until: certificate.until }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid { from: certificate.from }
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let (asked, names) = (name.to_str().into_owned(), certificate.names);
                if names.is_empty() { Self::NoName { asked } } else { Self::WrongName { asked, names } }
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer { issuer: certificate.issuer },
            other => Self::Other(format!("the certificate cannot be used: {other}")),
        }
    }
}

// === impl HandshakeError ===

impl HandshakeError {
    /// Returns the reason why a handshake failed.
    pub fn of(error: &io::Error) -> Self {
        use rustls::{AlertDescription, Error};
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
                | Error::AlertReceived(AlertDescription::ProtocolVersion),
            ) => Self::TooOld,
            Some(Error::AlertReceived(alert)) => Self::Alert(format!("{alert:?}")),
            Some(other) => {
                Distrust::of(other).map_or_else(|| Self::Other(other.to_string()), |why| Self::Distrusted(why.clone()))
            }
            None => Self::Closed,
        }
    }
}

// === impl Verifier ===

impl Verifier {
    /// Creates a verifier that trusts certificates of these authorities.
    pub fn of_roots(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Self {
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok();
        Self { provider, trust: Trust::Roots(judge), presented: Mutex::default() }
    }

    /// Creates a verifier that trusts every certificate.
    pub fn of_all(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, trust: Trust::All, presented: Mutex::default() }
    }

    /// Returns the last certificate that was presented, followed by its intermediate certificates.
    pub fn presented(&self) -> Vec<CertificateDer<'static>> {
        self.presented.lock().clone()
    }

    /// Verifies that a certificate is trusted for this name.
    ///
    /// # Errors
    /// Returns why the certificate is not trusted.
    pub fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Distrust> {
        let judged = match &self.trust {
            Trust::All => return Ok(()),
            Trust::Roots(Some(judge)) => judge.verify_server_cert(own, others, name, &[], now).map(drop),
            Trust::Roots(None) => Err(CertificateError::UnknownIssuer.into()),
        };
        judged.map_err(|why| Distrust::new(&why, own, name))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(own).chain(others).map(|der| der.clone().into_owned());
        *self.presented.lock() = chain.collect();
        match self.judge(own, others, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => Err(CertificateError::Other(OtherError(Arc::new(why))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::{AlertDescription, Error};

    use super::*;

    #[test]
    fn a_certificate_without_a_subject_alternative_name_is_refused_in_words() {
        let mut of_ca = CertificateParams::new(Vec::new()).expect("no names");
        of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(of_ca, KeyPair::generate().expect("a key")).expect("a certificate");
        let unnamed = CertificateParams::new(Vec::new()).expect("no names");
        let key = KeyPair::generate().expect("a key");
        let server = unnamed.signed_by(&key, &ca).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a root");
        let verifier = Verifier::of_roots(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
        let name = ServerName::try_from("kafka.shop").expect("a name");
        let why = verifier.verify_server_cert(server.der(), &[], &name, &[], UnixTime::now()).expect_err("no name");
        let why = HandshakeError::of(&io::Error::other(why));
        assert_eq!(why.to_string(), "the certificate is not valid for kafka.shop: it has no subjectAltName");
    }

    #[test]
    fn a_server_that_knows_only_old_versions_of_tls_is_refused_in_words() {
        for error in [
            Error::AlertReceived(AlertDescription::ProtocolVersion),
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ] {
            let why = HandshakeError::of(&io::Error::other(error));
            assert_eq!(why.to_string(), "the listener has neither TLS 1.2 nor 1.3");
        }
    }
}
