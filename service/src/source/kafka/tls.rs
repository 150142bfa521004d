//! The encryption of connections to brokers: the project's one TLS stack, with the settings of a connection.

use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::client::system_roots;
use crate::network::server_tls::Verifier;
use crate::trigger::{CertificateVerification, ClientIdentity, Tls};

/// The PEM label of PKCS#8 keys that have a password.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Why certificates and keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableTls {
    #[error("ca holds no certificate in PEM")]
    Ca,
    #[error("cert holds no certificate in PEM")]
    Certificate,
    #[error("key holds no private key in PEM that can be read: {0}; openssl pkcs8 -topk8 converts it")]
    Key(String),
    #[error("key has a password, and keyPassword is not given")]
    NoPassword,
    #[error("keyPassword does not open key")]
    WrongPassword,
    #[error("cert and key do not belong together: {0}")]
    Mismatch(String),
    #[error("TLS cannot be set up: {0}")]
    Other(String),
}

/// Returns the TLS settings; `None` where the connection has no TLS.
pub(super) fn client_config(tls: &Tls) -> Result<Option<Arc<ClientConfig>>, UnusableTls> {
    let Tls::On { ca, identity, verification } = tls else { return Ok(None) };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| UnusableTls::Other(error.to_string()))?;
    let verifier = match verification {
        CertificateVerification::Full => Verifier::of_roots(Arc::new(roots(ca.as_deref())?), provider),
        CertificateVerification::Off => Verifier::of_all(provider),
    };
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let chain: Vec<_> =
                CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).filter_map(Result::ok).collect();
            if chain.is_empty() {
                return Err(UnusableTls::Certificate);
            }
            let config = config.with_client_auth_cert(chain, private_key(identity)?);
            config.map_err(|error| UnusableTls::Mismatch(error.to_string()))?
        }
    };
    Ok(Some(Arc::new(config)))
}

/// Returns the system's certificate authorities and those of `ca`.
fn roots(ca: Option<&str>) -> Result<RootCertStore, UnusableTls> {
    let mut roots = RootCertStore::empty();
    let certificates = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect::<Vec<_>>();
    roots.add_parsable_certificates(certificates(&system_roots()));
    if let Some(ca) = ca {
        let (added, _) = roots.add_parsable_certificates(certificates(ca));
        if added == 0 {
            return Err(UnusableTls::Ca);
        }
    }
    Ok(roots)
}

/// Returns the key of a client certificate, decrypted where it has a password.
///
/// # Errors
/// Fails when the key cannot be read or decrypted.
pub fn private_key(identity: &ClientIdentity) -> Result<PrivateKeyDer<'static>, UnusableTls> {
    let pem = identity.key.reveal();
    if !pem.contains(ENCRYPTED) {
        return PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| UnusableTls::Key(error.to_string()));
    }
    let password = identity.key_password.as_ref().ok_or(UnusableTls::NoPassword)?;
    // the PEM may have text before the key, as openssl writes it
    let begin = pem.find("-----BEGIN ENCRYPTED").unwrap_or_default();
    let (_, document) = SecretDocument::from_pem(pem.get(begin..).unwrap_or_default())
        .map_err(|error| UnusableTls::Key(error.to_string()))?;
    let key = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
    let key = key.map_err(|error| UnusableTls::Key(error.to_string()))?;
    let key = key.decrypt(password.reveal()).map_err(|_| UnusableTls::WrongPassword)?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
