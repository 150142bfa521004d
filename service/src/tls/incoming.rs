//! Accepts connections and makes TLS handshakes concurrently; none can delay another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, TryStreamExt as _, unfold};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use super::refusal::{LogThrottle, Refusal};
use super::under_way::UnderWay;
use crate::telemetry::TlsMetrics;

/// The deadline of a handshake; one of KEDA's takes milliseconds.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// The limits, in time and bytes, for reading from a client that was refused.
const PARTING_DEADLINE: Duration = Duration::from_secs(1);
const PARTING_BYTES: u64 = 64 * 1024;

/// The pause after an error that does not concern one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that accepts TLS connections.
pub struct Listener {
    port: TcpListener,
    tls: Tls,
    metrics: TlsMetrics,
    log_throttle: LogThrottle,
}

/// A port with its pending handshakes; each holds the permit of its connection.
struct Accepting<P, A> {
    listener: Listener,
    admit: A,
    handshakes: JoinSet<Handshake<P>>,
    under_way: UnderWay,
}

/// The result of a handshake.
struct Handshake<P> {
    peer: SocketAddr,
    outcome: Result<(TlsStream<TcpStream>, P), (Refusal, String)>,
}

impl Listener {
    /// Creates a listener that accepts TLS connections on `port`.
    pub fn new(port: TcpListener, tls: Tls, metrics: TlsMetrics) -> Self {
        for refusal in Refusal::ALL {
            metrics.expect_outcome(refusal.word());
        }
        metrics.expect_outcome("ok");
        Self { port, tls, metrics, log_throttle: LogThrottle::default() }
    }

    /// Returns the connections whose handshake succeeded. Dropping the stream closes the port and ends the pending handshakes.
    pub fn connections(self) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
        self.admitted(|_| Some(())).map_ok(|(stream, ())| stream)
    }

    /// Returns the same connections, where `admit` gives a permit before the handshake begins; others are closed at once.
    pub fn admitted<P: Send + 'static>(
        self,
        admit: impl FnMut(SocketAddr) -> Option<P>,
    ) -> impl Stream<Item = io::Result<(TlsStream<TcpStream>, P)>> {
        let accepting = Accepting { listener: self, admit, handshakes: JoinSet::new(), under_way: UnderWay::default() };
        unfold(accepting, |mut accepting| async move {
            let connection = accepting.next().await;
            Some((Ok(connection), accepting))
        })
    }

    fn refused(&mut self, refusal: Refusal, peer: SocketAddr, detail: &str) {
        self.metrics.handshake(refusal.word());
        self.log_throttle.log(refusal, peer, detail);
    }
}

impl<P: Send + 'static, A: FnMut(SocketAddr) -> Option<P>> Accepting<P, A> {
    async fn next(&mut self) -> (TlsStream<TcpStream>, P) {
        loop {
            tokio::select! {
                (stream, peer) = accept(&self.listener.port) => self.accepted(stream, peer),
                Some(ended) = self.handshakes.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, _)) => *id,
                        Err(error) => error.id(),
                    };
                    self.under_way.remove(id);
                    // a panic was already reported, and a handshake that made room was counted
                    if let Ok((_, handshake)) = ended && let Some(connection) = self.ended(handshake) {
                        return connection;
                    }
                }
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Some(permit) = (self.admit)(peer) else { return };
        if let Some(oldest) = self.under_way.make_room(peer) {
            self.listener.refused(Refusal::TooMany, oldest, "");
        }
        let config = self.listener.tls.identity().config.clone();
        let task = self.handshakes.spawn(handshake(config, stream, peer, permit));
        self.under_way.add(peer, task);
    }

    fn ended(&mut self, Handshake { peer, outcome }: Handshake<P>) -> Option<(TlsStream<TcpStream>, P)> {
        match outcome {
            Ok(connection) => {
                self.listener.metrics.handshake("ok");
                Some(connection)
            }
            Err((refusal, detail)) => {
                self.listener.refused(refusal, peer, &detail);
                None
            }
        }
    }
}

/// Returns the next connection of a port; an error that concerns one connection ends only that one.
pub async fn accept(port: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match port.accept().await {
            Ok((stream, peer)) => {
                // an answer must not wait for the acknowledgement of the previous one
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, %peer, "TCP_NODELAY could not be set");
                }
                return (stream, peer);
            }
            // that connection has ended, others have not
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handshake<P>(config: Arc<ServerConfig>, stream: TcpStream, peer: SocketAddr, permit: P) -> Handshake<P> {
    let outcome = match timeout(HANDSHAKE_DEADLINE, TlsAcceptor::from(config).accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => Ok((stream, permit)),
        Ok(Err((error, stream))) => {
            part(stream).await;
            Err((Refusal::of(&error), error.to_string()))
        }
        Err(_) => Err((Refusal::TimedOut, String::new())),
    };
    Handshake { peer, outcome }
}

/// Reads remaining data, so that the client receives the alert: closing a connection with unread data discards what was sent.
async fn part(stream: TcpStream) {
    // the outcome does not matter
    let _ = timeout(PARTING_DEADLINE, copy(&mut stream.take(PARTING_BYTES), &mut sink())).await;
}
