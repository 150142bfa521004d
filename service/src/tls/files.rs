//! Certificate, key and client CA as PEM files.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::Validity;

/// The ALPN protocol of gRPC, which is HTTP/2 only.
const HTTP2: &[u8] = b"h2";

/// The paths of certificate, key and client CA. All of them are PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server certificate, and the intermediate certificates between it and its CA.
    pub certificate: PathBuf,
    /// The certificate's private key, not encrypted.
    pub key: PathBuf,
    /// The CAs of clients. If set, a client must have a certificate of one of them; otherwise every client is accepted.
    pub client_ca: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file does not exist, or may not be read.
    #[error("could not read {}: {cause}", file.display())]
    Unreadable {
        /// The path of the file.
        file: PathBuf,
        /// The cause of the failure.
        cause: io::Error,
    },
    /// A file does not hold the expected PEM.
    #[error("{} holds no {wanted}: {cause}", file.display())]
    NotPem {
        /// The path of the file.
        file: PathBuf,
        /// The expected content.
        wanted: &'static str,
        /// The cause of the failure.
        cause: Cause,
    },
    /// Certificate and key cannot be used together.
    #[error("{} cannot be served with the key in {}: {cause}", certificate.display(), key.display())]
    NotServable {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the key.
        key: PathBuf,
        /// The cause of the failure.
        cause: Unservable,
    },
    /// The file cannot be used to verify clients.
    #[error("{} cannot verify clients: {cause}", file.display())]
    NotAnAuthority {
        /// The path of the file.
        file: PathBuf,
        /// The cause of the failure.
        cause: String,
    },
}

/// Why a certificate and a key cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum Unservable {
    /// They do not belong together, as while one of them is being replaced.
    #[error("the key is another certificate's")]
    Mismatch,
    /// They are unusable for another reason, such as an unknown type of key.
    #[error("{0}")]
    Other(rustls::Error),
}

/// What is wrong with a file's text.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The file has no section of the expected kind.
    #[error("it has no such section")]
    Nothing,
    /// The file is not valid PEM.
    #[error("{0}")]
    Pem(pem::Error),
    /// The section is not a valid certificate.
    #[error("{0}")]
    Der(x509_parser::error::X509Error),
}

/// The contents of the files, ready for handshakes.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// The validity of the certificate, or of an intermediate certificate that ends earlier.
    pub(super) validity: Validity,
    /// The digest of everything that was read: equal digests mean equal identities.
    pub(super) digest: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("validity", &self.validity).finish_non_exhaustive()
    }
}

// === impl Files ===

impl Files {
    /// Reads all files and checks that they can be used together.
    pub(super) fn read(&self) -> Result<Identity, Error> {
        let (certificate, key) = (text(&self.certificate)?, text(&self.key)?);
        let client_ca = self.client_ca.as_deref().map(|file| Ok((file, text(file)?))).transpose()?;
        let mut digest = Sha256::new();
        for text in [Some(&certificate), Some(&key), client_ca.as_ref().map(|(_, text)| text)].into_iter().flatten() {
            digest.update(Sha256::digest(text));
        }
        let chain = certificates(&self.certificate, &certificate)?;
        let validity = self.validity(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|cause| not_pem(&self.key, "unencrypted private key", Cause::from(cause)))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = match client_ca {
            Some((file, text)) => verifier(file, &text, &provider)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = self.config(provider, verifier, chain, key)?;
        Ok(Identity { config: Arc::new(config), validity, digest: digest.finalize().into() })
    }

    fn validity(&self, chain: &[CertificateDer<'_>]) -> Result<Validity, Error> {
        let mut first: Option<Validity> = None;
        for certificate in chain {
            let validity = Validity::of(certificate)
                .map_err(|cause| not_pem(&self.certificate, "certificate", Cause::Der(cause)))?;
            first = Some(first.map_or(validity, |first| first.min(validity)));
        }
        first.ok_or_else(|| not_pem(&self.certificate, "certificate", Cause::Nothing))
    }

    fn config(
        &self,
        provider: Arc<CryptoProvider>,
        verifier: Arc<dyn ClientCertVerifier>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, Error> {
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        let config = config.and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key));
        let mut config = config.map_err(|cause| Error::NotServable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            cause: Unservable::from(cause),
        })?;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        // a resumed session needs no new certificate, though the old one may have expired since
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl From<pem::Error> for Cause {
    fn from(cause: pem::Error) -> Self {
        match cause {
            pem::Error::NoItemsFound => Self::Nothing,
            other => Self::Pem(other),
        }
    }
}

impl From<rustls::Error> for Unservable {
    fn from(cause: rustls::Error) -> Self {
        match cause {
            rustls::Error::InconsistentKeys(_) => Self::Mismatch,
            other => Self::Other(other),
        }
    }
}

fn text(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|cause| Error::Unreadable { file: file.to_owned(), cause })
}

fn not_pem(file: &Path, wanted: &'static str, cause: Cause) -> Error {
    Error::NotPem { file: file.to_owned(), wanted, cause }
}

fn certificates(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(not_pem(file, "certificate", Cause::Nothing)),
        Err(cause) => Err(not_pem(file, "certificate", Cause::from(cause))),
    }
}

fn verifier(file: &Path, text: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let refused = |cause: String| Error::NotAnAuthority { file: file.to_owned(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, text)? {
        roots.add(certificate).map_err(|cause| refused(cause.to_string()))?;
    }
    // a Go client that receives the CA names silently omits a certificate of another CA, which would hide the real error
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .clear_root_hint_subjects()
        .build()
        .map_err(|cause| refused(cause.to_string()))
}
