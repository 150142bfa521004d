//! The connections of the gRPC port: counted in total and by address, with and without TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, TryStreamExt as _, unfold};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tonic::transport::server::Connected;

use super::CallerLimits;
use crate::limits::{Limit, Permit, Quota};
use crate::tls;

/// The minimum interval between log lines about refused connections.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Issues a permit to each connection.
pub(super) struct Doorkeeper {
    connections: Arc<Quota>,
    logged: Option<Instant>,
    refused_since: u64,
}

/// A connection that counts against the limits until it is dropped.
pub(super) struct CountedConnection<S> {
    stream: S,
    _pass: Permit,
}

impl Doorkeeper {
    pub(super) fn new(callers: &CallerLimits) -> Self {
        let (in_all, each) = (Limit::GrpcConnections, Limit::GrpcConnectionsPerAddress);
        let connections = Quota::new(callers.limits.grpc_connections, in_all, each, &callers.metrics);
        Self { connections, logged: None, refused_since: 0 }
    }

    /// Accepts plaintext connections.
    pub(super) fn plaintext(self, port: TcpListener) -> impl Stream<Item = io::Result<CountedConnection<TcpStream>>> {
        unfold((self, port), |(mut doorkeeper, port)| async move {
            loop {
                let (stream, peer) = tls::accept(&port).await;
                if let Some(pass) = doorkeeper.admit(peer) {
                    return Some((Ok(CountedConnection { stream, _pass: pass }), (doorkeeper, port)));
                }
            }
        })
    }

    /// Accepts TLS connections; each is counted from before its handshake.
    pub(super) fn tls(
        mut self,
        listener: tls::Listener,
    ) -> impl Stream<Item = io::Result<CountedConnection<impl AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static>>>
    {
        let admitted = listener.admitted(move |peer| self.admit(peer));
        admitted.map_ok(|(stream, pass)| CountedConnection { stream, _pass: pass })
    }

    fn admit(&mut self, peer: SocketAddr) -> Option<Permit> {
        let full = match self.connections.acquire(&peer.ip().to_canonical().to_string()) {
            Ok(pass) => return Some(pass),
            Err(full) => full,
        };
        self.refused_since += 1;
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_EVERY) {
            self.logged = Some(now);
            let refused = std::mem::take(&mut self.refused_since);
            tracing::warn!(%peer, refused, "gRPC connection refused: {full}; {}", full.limit.remedy());
        }
        None
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedConnection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedConnection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for CountedConnection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
