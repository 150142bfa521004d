//! A TLS handshake that accepts any certificate, records what was presented, and verifies it afterwards.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::network::certificate::{Certificate, distinguished_name};
use crate::network::server_tls::Verifier;
pub(crate) use crate::network::server_tls::{Distrust, HandshakeError};
use crate::source::kafka::{private_key, system_roots};
use crate::trigger::{ClientIdentity, Tls};

/// The deadline of a handshake.
const WITHIN: Duration = Duration::from_secs(5);
/// The time that a server gets to reject a client certificate after the handshake.
const REJECTED_WITHIN: Duration = Duration::from_secs(1);

/// The trusted authorities, and the client certificate to present.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    roots: Arc<RootCertStore>,
    /// The authorities of the connection, without those of the system.
    own: Vec<Certificate>,
    identity: Option<Arc<CertifiedKey>>,
}

/// An encrypted connection.
pub(crate) struct Session {
    /// The encrypted TCP connection.
    pub(crate) stream: TlsStream<TcpStream>,
    /// The certificates and parameters that the other end presented.
    pub(crate) presented: Presented,
}

/// The certificates and parameters that the other end presented.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    /// The TLS version, such as `TLSv1.3`.
    pub(crate) protocol: String,
    /// The other end's certificate, where it can be read.
    pub(crate) certificate: Option<Certificate>,
    /// Whether the certificate is trusted for the requested name.
    pub(crate) trust: Result<(), Distrust>,
    /// The authority of the connection that issued the certificate, if it is one of the connection's own. TLS in Rust trusts an authority
    /// that has expired; clients in other languages may not.
    pub(crate) authority: Option<Certificate>,
    /// The authorities whose client certificates the other end accepts, where it requests one; empty where it names none.
    pub(crate) wants_client_certificate: Option<Vec<String>>,
}

impl TlsSettings {
    /// Returns the settings of a Kafka connection; `None` where it has no TLS.
    pub(crate) fn of_kafka(tls: &Tls) -> Option<Self> {
        match tls {
            Tls::Off => None,
            Tls::On { ca, identity, .. } => Some(Self::new(ca.as_deref(), identity.as_ref())),
        }
    }

    /// Creates settings with the system's authorities, those of `ca`, and a client certificate. A certificate whose key cannot be used is
    /// not presented: the check of the credentials reports it.
    pub(crate) fn new(ca: Option<&str>, identity: Option<&ClientIdentity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities(ca).as_bytes()).flatten());
        let own = CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()).flatten();
        let own = own.filter_map(|der| Certificate::read(&der)).collect();
        Self { roots: Arc::new(roots), own, identity: identity.and_then(certified).map(Arc::new) }
    }
}

/// Returns the certificates that this machine trusts, and those of `ca`, in PEM.
pub(crate) fn authorities(ca: Option<&str>) -> String {
    format!("{}\n{}\n", system_roots(), ca.unwrap_or_default())
}

/// Returns the first certificate of a PEM text.
pub(crate) fn first_certificate(pem: &str) -> Option<Certificate> {
    let der = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().next()?;
    Certificate::read(&der)
}

/// Makes a handshake with `host`, whatever certificate it presents.
/// Returns an error when there is no encrypted connection within five seconds.
pub(crate) async fn handshake(
    stream: TcpStream,
    host: &str,
    terms: &TlsSettings,
    now: SystemTime,
) -> Result<Session, HandshakeError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| HandshakeError::Other(format!("{host} is not a host name")))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::of_all(provider.clone()));
    let client = Arc::new(ClientCertificate { presents: terms.identity.clone(), asked_for: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| HandshakeError::Other(error.to_string()))?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier.clone());
    let config = config.with_client_cert_resolver(client.clone());
    let connected = timeout(WITHIN, TlsConnector::from(Arc::new(config)).connect(name.clone(), stream)).await;
    let stream = connected
        .map_err(|_| HandshakeError::Silent { within: WITHIN })?
        .map_err(|error| HandshakeError::of(&error))?;
    let protocol = stream.get_ref().1.protocol_version().and_then(|protocol| protocol.as_str());
    let chain = verifier.presented();
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let trust = match chain.split_first() {
        Some((own, others)) => Verifier::of_roots(terms.roots.clone(), provider).judge(own, others, &name, now),
        None => Err(Distrust::Other("no certificate was presented".to_owned())),
    };
    let wants_client_certificate = client.asked_for.lock().clone();
    let issuer = chain.last().and_then(|der| Certificate::read(der)).map(|last| last.issuer);
    let presented = Presented {
        authority: terms.own.iter().find(|own| Some(&own.subject) == issuer.as_ref()).cloned(),
        protocol: protocol.unwrap_or("an unknown protocol").replace("TLSv1_", "TLSv1."),
        certificate: chain.first().and_then(|der| Certificate::read(der)),
        trust,
        wants_client_certificate,
    };
    Ok(Session { stream, presented })
}

/// Waits until the other end, if it requests a client certificate, sends something: with TLS 1.3 it rejects a certificate, or a missing one,
/// only after the handshake. Returns the alert.
pub(crate) async fn rejection(session: &mut Session) -> Option<HandshakeError> {
    session.presented.wants_client_certificate.as_ref()?;
    let error = timeout(REJECTED_WITHIN, session.stream.read_u8()).await.ok()?.err()?;
    let why = HandshakeError::of(&error);
    matches!(why, HandshakeError::Alert(_)).then_some(why)
}

fn certified(identity: &ClientIdentity) -> Option<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).flatten().collect();
    let key = private_key(identity).ok()?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).ok()
}

/// Records which client certificates the server requests.
#[derive(Debug)]
struct ClientCertificate {
    presents: Option<Arc<CertifiedKey>>,
    asked_for: Mutex<Option<Vec<String>>>,
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let authorities = authorities.iter().filter_map(|der| distinguished_name(der)).collect();
        *self.asked_for.lock() = Some(authorities);
        self.presents.clone()
    }

    fn has_certs(&self) -> bool {
        // otherwise rustls does not report that the server requests one
        true
    }
}
