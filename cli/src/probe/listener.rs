//! The first requests to a Kafka listener: which APIs it supports, and which login it requires.
//!
//! Both requests are made before any login.

use std::time::Duration;

use tokio::time::Instant;

use crate::network::Duplex;
use crate::source::kafka::protocol::{ApiKey, Closed, Connection, ErrorCode, RequestError, SaslHandshake};

const WITHIN: Duration = Duration::from_secs(5);
const CLIENT_ID: &str = "keda-stream-scaler-doctor";

/// APIs by the version of Kafka that introduced them; the newest first.
const BROUGHT_BY: [(ApiKey, &str); 3] = [(ApiKey(75), "3.8"), (ApiKey(65), "3.0"), (ApiKey(60), "2.8")];

/// A listener that has answered as a Kafka broker does.
#[derive(Debug)]
pub(crate) struct Listener(Connection);

/// The login that a listener requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// The listener requires no login.
    NotWanted,
    /// The listener supports the requested mechanism, which is one of these.
    Accepted(Vec<String>),
    /// The listener supports these mechanisms, and not the requested one.
    Otherwise(Vec<String>),
}

/// Why a listener did not answer as Kafka does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListenerError {
    /// The listener answered in TLS.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// The listener's answer is not valid for Kafka's protocol.
    #[error("the answer is not Kafka's")]
    NotKafka,
    /// The listener ended the encrypted connection with an alert.
    #[error("the listener disconnected: {0}")]
    Alert(String),
    /// The listener closed the connection.
    #[error("the listener closed the connection without an answer")]
    Closed,
    /// The listener did not answer.
    #[error("no answer within {} s", WITHIN.as_secs())]
    Silent,
}

impl Listener {
    /// Requests the APIs that the broker at the other end of `stream` supports. Calls `ApiVersions`
    /// (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when no Kafka broker answers within five seconds.
    pub(crate) async fn greet<S: Duplex + 'static>(stream: S) -> Result<Self, ListenerError> {
        let connection = Connection::open(stream, CLIENT_ID.into(), Instant::now() + WITHIN).await?;
        if connection.kinds() == 0 { Err(ListenerError::NotKafka) } else { Ok(Self(connection)) }
    }

    /// Returns the number of APIs that the listener supports.
    pub(crate) fn kinds(&self) -> usize {
        self.0.kinds()
    }

    /// Returns the minimum version of Kafka that the listener has, where its APIs show it.
    pub(crate) fn at_least(&self) -> Option<&'static str> {
        BROUGHT_BY.iter().find(|(key, _)| self.0.takes(*key)).map(|(_, version)| *version)
    }

    /// Requests a login by `mechanism`, such as `SCRAM-SHA-512`, without sending a secret. Calls `SaslHandshake`
    /// (<https://kafka.apache.org/protocol.html>).
    /// Returns an error when no Kafka broker answers within five seconds.
    pub(crate) async fn login_by(&self, mechanism: &str) -> Result<Login, ListenerError> {
        match self.0.ask(&SaslHandshake { mechanism }, Instant::now() + WITHIN).await? {
            (ErrorCode::NONE, offered) => Ok(Login::Accepted(offered)),
            (ErrorCode::UNSUPPORTED_SASL_MECHANISM, offered) => Ok(Login::Otherwise(offered)),
            (ErrorCode::ILLEGAL_SASL_STATE, _) => Ok(Login::NotWanted),
            _ => Err(ListenerError::NotKafka),
        }
    }
}

impl From<RequestError> for ListenerError {
    fn from(error: RequestError) -> Self {
        let RequestError::Closed(closed) = error else { return Self::NotKafka };
        match closed {
            Closed::ByBroker | Closed::Broke(_) | Closed::Idle => Self::Closed,
            Closed::Alert(alert) => Self::Alert(alert.to_string()),
            Closed::SpeaksTls => Self::SpeaksTls,
            Closed::NotKafka(_) | Closed::Unnegotiated(_) => Self::NotKafka,
            Closed::Overdue { .. } => Self::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Greets a listener that answers with these bytes.
    async fn answered(bytes: &[u8]) -> Result<Listener, ListenerError> {
        let (here, mut there) = tokio::io::duplex(4096);
        let mut request = [0; 14 + 25];
        let asked = tokio::spawn(Listener::greet(here));
        there.read_exact(&mut request).await.expect("a request");
        there.write_all(bytes).await.expect("room");
        drop(there);
        asked.await.expect("an outcome")
    }

    #[tokio::test]
    async fn what_is_no_broker_is_told_apart() {
        assert_eq!(answered(&[0x15, 3, 3, 0, 2, 2, 80]).await.expect_err("no broker"), ListenerError::SpeaksTls);
        assert_eq!(answered(b"HTTP/1.1 400 Bad Request\r\n").await.expect_err("no broker"), ListenerError::NotKafka);
        assert_eq!(answered(b"").await.expect_err("no broker"), ListenerError::Closed);
        assert_eq!(answered(&[0, 0, 0, 6, 0, 0, 0, 99, 0, 0]).await.expect_err("no broker"), ListenerError::NotKafka);
        assert_eq!(
            answered(&[0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 127, 255, 255, 255]).await.expect_err("no broker"),
            ListenerError::NotKafka
        );
    }

    #[tokio::test]
    async fn the_requests_of_a_broker_tell_its_least_version() {
        let entry = |key: u8| [0, key, 0, 0, 0, 9];
        let answer = |keys: &[u8]| {
            let count = u8::try_from(keys.len()).expect("few");
            let body =
                [&[0, 0, 0, 0, 0, 0, 0, 0, 0, count][..], &keys.iter().flat_map(|key| entry(*key)).collect::<Vec<_>>()]
                    .concat();
            [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], &body].concat()
        };
        let old = answered(&answer(&[3])).await.expect("a broker");
        assert_eq!((old.kinds(), old.at_least()), (1, None));
        assert_eq!(answered(&answer(&[3, 60, 65])).await.expect("a broker").at_least(), Some("3.0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_says_nothing_is_not_waited_for() {
        let (here, _there) = tokio::io::duplex(4096);
        assert_eq!(Listener::greet(here).await.expect_err("silence"), ListenerError::Silent);
    }
}
