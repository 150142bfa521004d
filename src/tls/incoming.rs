//! Accepts connections and makes handshakes, many at once, none of which can hold up another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use super::refusal::{Refusal, Told};
use crate::telemetry::TlsMetrics;

/// How long a handshake may take; one of KEDA's takes milliseconds.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Handshakes at once. Who comes then is turned away at once, and comes again.
const MOST_HANDSHAKES: usize = 256;

/// How long, and how much, is read of a client that was refused.
const PARTING_DEADLINE: Duration = Duration::from_secs(1);
const PARTING_BYTES: u64 = 64 * 1024;

/// After an error that is not of one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that speaks TLS.
pub struct Listener {
    port: TcpListener,
    tls: Tls,
    metrics: TlsMetrics,
    handshakes: JoinSet<Handshake>,
    told: Told,
}

/// A handshake's end.
struct Handshake {
    peer: SocketAddr,
    outcome: Result<TlsStream<TcpStream>, (Refusal, String)>,
}

impl Listener {
    /// Speaks `tls` on `port`.
    pub fn new(port: TcpListener, tls: Tls, metrics: TlsMetrics) -> Self {
        for refusal in Refusal::ALL {
            metrics.expect_outcome(refusal.word());
        }
        metrics.expect_outcome("ok");
        Self { port, tls, metrics, handshakes: JoinSet::new(), told: Told::default() }
    }

    /// The connections whose handshake succeeded. Dropping it closes the port and ends the handshakes that are under way.
    pub fn connections(self) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
        unfold(self, |mut listener| async move {
            let connection = listener.next().await;
            Some((Ok(connection), listener))
        })
    }

    async fn next(&mut self) -> TlsStream<TcpStream> {
        loop {
            tokio::select! {
                (stream, peer) = accept(&self.port) => self.accepted(stream, peer),
                Some(ended) = self.handshakes.join_next() => {
                    // one that panicked has said so
                    if let Ok(handshake) = ended && let Some(stream) = self.ended(handshake) {
                        return stream;
                    }
                }
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.handshakes.len() < MOST_HANDSHAKES {
            let config = self.tls.identity().config.clone();
            self.handshakes.spawn(handshake(config, stream, peer));
        } else {
            self.refused(Refusal::TooMany, peer, "");
        }
    }

    fn ended(&mut self, Handshake { peer, outcome }: Handshake) -> Option<TlsStream<TcpStream>> {
        match outcome {
            Ok(stream) => {
                self.metrics.handshake("ok");
                Some(stream)
            }
            Err((refusal, detail)) => {
                self.refused(refusal, peer, &detail);
                None
            }
        }
    }

    fn refused(&mut self, refusal: Refusal, peer: SocketAddr, detail: &str) {
        self.metrics.handshake(refusal.word());
        self.told.tell(refusal, peer, detail);
    }
}

async fn accept(port: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match port.accept().await {
            Ok(accepted) => return accepted,
            // that connection is over, others are not
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handshake(config: Arc<ServerConfig>, stream: TcpStream, peer: SocketAddr) -> Handshake {
    // an answer must not wait for the acknowledgement of the one before
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "TCP_NODELAY could not be set");
    }
    let outcome = match timeout(HANDSHAKE_DEADLINE, TlsAcceptor::from(config).accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            part(stream).await;
            Err((Refusal::of(&error), error.to_string()))
        }
        Err(_) => Err((Refusal::TimedOut, String::new())),
    };
    Handshake { peer, outcome }
}

/// Lets a client read why it was refused: a connection that is closed with something unread takes that with it.
async fn part(stream: TcpStream) {
    // whether it does is its own affair
    let _ = timeout(PARTING_DEADLINE, copy(&mut stream.take(PARTING_BYTES), &mut sink())).await;
}
