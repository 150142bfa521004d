//! The TLS arguments of `serve`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::tls::{Files, Tls};

/// TLS on the gRPC port; plaintext without these arguments.
#[derive(Debug, Args)]
pub(super) struct TlsArguments {
    /// The certificate to serve, and those between it and its CA; PEM, read again when it changes
    #[arg(
        id = "tls_cert",
        long = "tls-cert",
        env = "STREAM_SCALER_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    certificate: Option<PathBuf>,
    /// The certificate's private key; PEM, not encrypted
    #[arg(id = "tls_key", long = "tls-key", env = "STREAM_SCALER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    key: Option<PathBuf>,
    /// The CAs of clients: with it every client must have a certificate of one of them
    #[arg(
        id = "tls_client_ca",
        long = "tls-client-ca",
        env = "STREAM_SCALER_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    client_ca: Option<PathBuf>,
}

impl TlsArguments {
    /// Reads the certificate files.
    pub(super) fn read(self) -> anyhow::Result<Option<Tls>> {
        let Self { certificate, key, client_ca } = self;
        let files = certificate.zip(key).map(|(certificate, key)| Files { certificate, key, client_ca });
        files.map(Tls::read).transpose().context("could not set up TLS by --tls-cert, --tls-key and --tls-client-ca")
    }
}
