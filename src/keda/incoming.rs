//! Where connections come from: a port that speaks plaintext, or one that speaks TLS.

use tokio::net::TcpListener;

use crate::tls;

/// The gRPC port.
pub enum Incoming {
    /// As it comes.
    Plaintext(TcpListener),
    /// Over TLS.
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
