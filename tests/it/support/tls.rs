//! The files of TLS as Kubernetes mounts a secret, and clients that make handshakes as they like.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::certificates::{Authority, Pair};
use super::process::Serving;

const FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// A mounted secret: each file is a link into `..data`, itself a link to the folder of one version.
pub struct Secret {
    folder: tempfile::TempDir,
    versions: AtomicU32,
}

impl Secret {
    pub fn new(pair: &Pair, client_ca: &Authority) -> Self {
        let secret = Self { folder: tempfile::tempdir().unwrap(), versions: AtomicU32::new(0) };
        secret.replace(pair, &client_ca.pem());
        for file in FILES {
            symlink(PathBuf::from("..data").join(file), secret.path(file)).unwrap();
        }
        secret
    }

    /// Replaces all files at once, as the kubelet does.
    pub fn replace(&self, pair: &Pair, client_ca: &str) {
        let version = format!("..{}", self.versions.fetch_add(1, Ordering::Relaxed));
        fs::create_dir(self.folder.path().join(&version)).unwrap();
        for (file, text) in FILES.into_iter().zip([pair.certificate.as_str(), &pair.key, client_ca]) {
            fs::write(self.folder.path().join(&version).join(file), text).unwrap();
        }
        let link = self.folder.path().join("..data_tmp");
        symlink(version, &link).unwrap();
        fs::rename(link, self.folder.path().join("..data")).unwrap();
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The arguments of `serve`, with and without client certificates.
    pub fn arguments(&self, mutual: bool) -> Vec<String> {
        let flags = ["--tls-cert", "--tls-key", "--tls-client-ca"].into_iter().zip(FILES);
        let flags = flags.take(if mutual { 3 } else { 2 });
        flags.flat_map(|(flag, file)| [flag.to_owned(), self.path(file).to_str().unwrap().to_owned()]).collect()
    }

    /// A process that serves with these files.
    pub async fn serving(&self, mutual: bool, more: &[&str]) -> Serving {
        let arguments = self.arguments(mutual);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Serving::start(&arguments).await
    }
}

/// A client that trusts `ca` and shows a certificate, if it has one.
pub fn client(ca: &Authority, certificate: Option<&Pair>) -> ClientConfig {
    client_of(&TLS13, ca, certificate)
}

/// The same with one version of TLS.
pub fn client_of(
    version: &'static SupportedProtocolVersion,
    ca: &Authority,
    certificate: Option<&Pair>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![pair.der.clone()], key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// One handshake; TLS 1.3 tells a client only with the first bytes that it reads whether it was let in.
pub async fn handshake(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A gRPC channel of one connection, which it makes again when that has ended.
pub async fn channel(address: SocketAddr, config: ClientConfig) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| {
        let config = config.clone();
        async move { handshake(address, config).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}
