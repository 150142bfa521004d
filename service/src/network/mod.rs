//! Connections to servers: name resolution, TCP and TLS.

pub mod certificate;
pub mod server_tls;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join_all, select_ok};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The deadline for the answer of the resolver.
const RESOLVE_WITHIN: Duration = Duration::from_secs(4);
/// The deadline for a TCP connection; a host that does not answer earlier drops connections.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The TCP port of the host.
    pub port: u16,
}

/// A connection, and the addresses of its host.
#[derive(Debug)]
pub struct Connected {
    /// The connection to the first address that answered, in the resolver's order.
    pub stream: TcpStream,
    /// The address of the other end.
    pub to: SocketAddr,
    /// The addresses of the same name that did not answer.
    pub failed: Vec<(SocketAddr, Unconnected)>,
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The resolver returned an error.
    #[error("{0}")]
    Refused(String),
    /// The resolver did not answer.
    #[error("no answer within {} s", RESOLVE_WITHIN.as_secs())]
    Silent,
    /// The resolver returned no address.
    #[error("the name has no address")]
    Empty,
}

/// Why there is no connection to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconnected {
    /// The host is reachable, and no process listens on the port.
    #[error("connection refused")]
    Refused,
    /// No host answered before the deadline.
    #[error("no answer within {} s", CONNECT_WITHIN.as_secs())]
    Silent,
    /// The connection failed for another reason, such as a missing route.
    #[error("{0}")]
    Other(String),
}

impl Address {
    /// Parses `host:port`, `[::1]:port`, or a host with the `default` port; `None` where the port is invalid.
    #[must_use]
    pub fn parse(text: &str, default: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.map_or(Some(default), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Resolves the addresses of a name, each once; at least one.
///
/// # Errors
/// Returns an error when the system's resolver returns none within four seconds.
pub async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, Unresolved> {
    let found = timeout(RESOLVE_WITHIN, lookup_host((address.host.as_str(), address.port))).await;
    let found = found.map_err(|_| Unresolved::Silent)?.map_err(|error| Unresolved::Refused(error.to_string()))?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(Unresolved::Empty) } else { Ok(addresses) }
}

/// Connects to one of these addresses, all of which are tried concurrently.
///
/// # Errors
/// Returns the error of each address when none answers within three seconds.
pub async fn connect(addresses: &[SocketAddr]) -> Result<Connected, Vec<(SocketAddr, Unconnected)>> {
    let tried = join_all(addresses.iter().map(|address| async { (*address, connect_to(*address).await) })).await;
    let (mut first, mut failed) = (None, Vec::new());
    for (address, outcome) in tried {
        match outcome {
            Ok(stream) => drop(first.get_or_insert((stream, address))),
            Err(why) => failed.push((address, why)),
        }
    }
    match first {
        Some((stream, to)) => Ok(Connected { stream, to, failed }),
        None => Err(failed),
    }
}

/// Connects to the first of these addresses that answers, all of which are tried concurrently.
/// Returns the error of one address when none answers within three seconds.
pub(crate) async fn connect_to_any(addresses: &[SocketAddr]) -> Result<TcpStream, (SocketAddr, Unconnected)> {
    let tries =
        addresses.iter().map(|address| Box::pin(async { connect_to(*address).await.map_err(|why| (*address, why)) }));
    select_ok(tries).await.map(|(stream, _)| stream)
}

async fn connect_to(address: SocketAddr) -> Result<TcpStream, Unconnected> {
    match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Err(_) => Err(Unconnected::Silent),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(Unconnected::Refused),
        Ok(Err(error)) => Err(Unconnected::Other(error.to_string())),
    }
}

/// A bidirectional connection, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_or_the_usual_port() {
        let parsed = |text| Address::parse(text, 9092).map(|address| (address.host, address.port));
        let expected = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(parsed("b1:9093"), expected("b1", 9093));
        assert_eq!(parsed("b1"), expected("b1", 9092));
        assert_eq!(parsed("[::1]:9093"), expected("::1", 9093));
        assert_eq!(parsed("[::1]"), expected("::1", 9092));
        assert_eq!(parsed("::1"), expected("::1", 9092));
        assert_eq!([parsed("b1:x"), parsed(":9092"), parsed("b1:70000"), parsed("")], [None, None, None, None]);
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["b1:9093", "[::1]:9093"] {
            assert_eq!(Address::parse(text, 1).map(|address| address.to_string()).as_deref(), Some(text));
        }
    }
    #[tokio::test]
    async fn an_address_that_refuses_costs_nothing_where_another_one_answers() {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let listener = listen();
        let open = listener.local_addr().expect("bound");
        let closed = listen().local_addr().expect("bound");
        for addresses in [[closed, open], [open, closed]] {
            let stream = connect_to_any(&addresses).await.expect("a connection");
            assert_eq!(stream.peer_addr().expect("connected"), open);
        }
        assert_eq!(connect_to_any(&[closed]).await.expect_err("closed"), (closed, Unconnected::Refused));
    }
}
