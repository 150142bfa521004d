//! The source of connections: a plaintext port or a TLS port.

use tokio::net::TcpListener;

use crate::tls;

/// The gRPC port, with or without TLS.
pub enum Incoming {
    /// Connections are served in plaintext.
    Plaintext(TcpListener),
    /// Connections are served over TLS.
    Tls(tls::Listener),
}

impl From<TcpListener> for Incoming {
    fn from(listener: TcpListener) -> Self {
        Self::Plaintext(listener)
    }
}

impl From<tls::Listener> for Incoming {
    fn from(listener: tls::Listener) -> Self {
        Self::Tls(listener)
    }
}
