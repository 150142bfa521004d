//! A TLS handshake that takes any certificate, writes down what was presented, and judges it afterwards.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{Certificate, distinguished_name};
use crate::source::kafka::{private_key, system_roots};
use crate::trigger::{ClientIdentity, Tls};

/// A handshake that takes longer does not come to an end.
const WITHIN: Duration = Duration::from_secs(5);

/// Whom to trust, and what to present.
#[derive(Clone)]
pub struct Terms {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<CertifiedKey>>,
}

/// An encrypted connection.
pub struct Session {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// What was seen on the way.
    pub presented: Presented,
}

/// What the other end presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// `TLSv1.3`
    pub protocol: String,
    /// Its own certificate, where it can be read.
    pub certificate: Option<Certificate>,
    /// Whether the certificate is good for the name that was asked for.
    pub trust: Result<(), Distrust>,
    /// Whether it wants a client certificate; the authorities whose it takes, none where it does not say.
    pub wants_client_certificate: Option<Vec<String>>,
}

/// Why a certificate is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It is another host's.
    #[error("the certificate is not for {asked}")]
    WrongName {
        /// The name that was asked for.
        asked: String,
    },
    /// No trusted authority has signed it.
    #[error("no trusted authority has signed the certificate")]
    UnknownIssuer,
    /// Another reason.
    #[error("{0}")]
    Other(String),
}

/// Why there is no encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// What came was no TLS.
    #[error("the answer is not TLS")]
    NotTls,
    /// The other end said why it does not go on.
    #[error("the listener broke off: {0}")]
    Alert(String),
    /// The other end hung up.
    #[error("the listener closed the connection during the handshake")]
    Closed,
    /// The other end said nothing.
    #[error("no answer to the handshake within {} s", WITHIN.as_secs())]
    Silent,
    /// Both ends have nothing in common, or the name is none.
    #[error("{0}")]
    Other(String),
}

impl Terms {
    /// What a Kafka connection says; nothing where it has no TLS.
    #[must_use]
    pub fn of_kafka(tls: &Tls) -> Option<Self> {
        match tls {
            Tls::Off => None,
            Tls::On { ca, identity, .. } => Some(Self::new(ca.as_deref(), identity.as_ref())),
        }
    }

    /// The system's authorities and those of `ca`, and a client certificate. One whose key cannot be used is not presented: the look at
    /// the credentials tells about it.
    #[must_use]
    pub fn new(ca: Option<&str>, identity: Option<&ClientIdentity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities(ca).as_bytes()).flatten());
        Self { roots: Arc::new(roots), identity: identity.and_then(certified).map(Arc::new) }
    }
}

/// The certificates that this machine trusts, and those of `ca`, PEM.
#[must_use]
pub fn authorities(ca: Option<&str>) -> String {
    format!("{}\n{}\n", system_roots(), ca.unwrap_or_default())
}

/// The first certificate of a PEM text.
#[must_use]
pub fn first_certificate(pem: &str) -> Option<Certificate> {
    let der = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().next()?;
    Certificate::read(&der)
}

/// Shakes hands with `host`, whatever certificate it has.
///
/// # Errors
/// When there is no encrypted connection within five seconds.
pub async fn handshake(
    stream: TcpStream,
    host: &str,
    terms: &Terms,
    now: SystemTime,
) -> Result<Session, HandshakeError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| HandshakeError::Other(format!("{host} is no name of a host")))?;
    let recorder = Arc::new(Recorder::new(terms.identity.clone()));
    let config = recorder.config().map_err(|error| HandshakeError::Other(error.to_string()))?;
    let connected = timeout(WITHIN, TlsConnector::from(Arc::new(config)).connect(name.clone(), stream)).await;
    let stream = connected.map_err(|_| HandshakeError::Silent)?.map_err(|error| HandshakeError::of(&error))?;
    let presented = recorder.presented(&name, host, terms, now, stream.get_ref().1.protocol_version());
    Ok(Session { stream, presented })
}

impl HandshakeError {
    fn of(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(format!("{alert:?}")),
            Some(other) => Self::Other(other.to_string()),
            None => Self::Closed,
        }
    }
}

/// The alert of a peer that ended an encrypted connection, if that is what the error tells.
#[must_use]
pub fn alert_of(error: &std::io::Error) -> Option<String> {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => Some(format!("{alert:?}")),
        _ => None,
    }
}

fn certified(identity: &ClientIdentity) -> Option<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).flatten().collect();
    let key = private_key(identity).ok()?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).ok()
}

/// Takes every certificate, and remembers what was presented and asked for.
struct Recorder {
    provider: Arc<CryptoProvider>,
    identity: Option<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    authorities: Option<Vec<String>>,
}

impl Recorder {
    fn new(identity: Option<Arc<CertifiedKey>>) -> Self {
        Self { provider: Arc::new(aws_lc_rs::default_provider()), identity, seen: Mutex::default() }
    }

    fn config(self: &Arc<Self>) -> Result<ClientConfig, rustls::Error> {
        let config =
            ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?;
        let config = config.dangerous().with_custom_certificate_verifier(self.clone());
        Ok(config.with_client_cert_resolver(self.clone()))
    }

    fn presented(
        &self,
        name: &ServerName<'_>,
        host: &str,
        terms: &Terms,
        now: SystemTime,
        protocol: Option<rustls::ProtocolVersion>,
    ) -> Presented {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let protocol = protocol.and_then(|protocol| protocol.as_str()).unwrap_or("an unknown protocol");
        Presented {
            protocol: protocol.replace("TLSv1_", "TLSv1."),
            certificate: seen.chain.first().and_then(|der| Certificate::read(der)),
            trust: self.judge(&seen.chain, name, host, terms, now),
            wants_client_certificate: seen.authorities.clone(),
        }
    }

    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        host: &str,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<(), Distrust> {
        let Some((own, others)) = chain.split_first() else {
            return Err(Distrust::Other("no certificate was presented".to_owned()));
        };
        let judge = WebPkiServerVerifier::builder_with_provider(terms.roots.clone(), self.provider.clone()).build();
        // without a root there is nobody to be trusted
        let judge = judge.map_err(|_| Distrust::UnknownIssuer)?;
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        match judge.verify_server_cert(own, others, name, &[], now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(Distrust::of(&why, host)),
            Err(other) => Err(Distrust::Other(other.to_string())),
        }
    }
}

impl Distrust {
    fn of(why: &CertificateError, host: &str) -> Self {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName { asked: host.to_owned() }
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            other => Self::Other(format!("the certificate is no good: {other}")),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(own).chain(others).map(|der| der.clone().into_owned());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).chain = chain.collect();
        Ok(ServerCertVerified::assertion())
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

impl ResolvesClientCert for Recorder {
    fn resolve(&self, authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let authorities = authorities.iter().filter_map(|der| distinguished_name(der)).collect();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).authorities = Some(authorities);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        // else the wish for one is not told
        true
    }
}
