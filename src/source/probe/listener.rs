//! The first words with a Kafka listener: which requests it takes, and how it wants a login.
//!
//! Both are asked before any login, in the oldest versions, which every broker takes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::tls::alert_of;
use crate::source::kafka::protocol::{self, ApiKey, ErrorCode, ExchangeError, Request, SaslHandshake, exchange};

const WITHIN: Duration = Duration::from_secs(5);
const CLIENT_ID: &str = "keda-stream-scaler-doctor";

/// Requests by the version of Kafka that brought them; the newest first.
const BROUGHT_BY: [(ApiKey, &str); 3] = [(ApiKey(75), "3.8"), (ApiKey(65), "3.0"), (ApiKey(60), "2.8")];

/// The requests that a broker takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersions(BTreeSet<ApiKey>);

/// How a listener wants a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    NotWanted,
    /// By one of these mechanisms, the one that was named among them.
    Accepted(Vec<String>),
    /// By one of these, and not by the one that was named.
    Otherwise(Vec<String>),
}

/// Why a listener did not answer as Kafka does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    /// It answered in TLS.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// It answered something else.
    #[error("the answer is not Kafka's")]
    NotKafka,
    /// It ended the encrypted connection and said why.
    #[error("the listener broke off: {0}")]
    Alert(String),
    /// It hung up.
    #[error("the listener closed the connection without an answer")]
    Closed,
    /// It said nothing.
    #[error("no answer within {} s", WITHIN.as_secs())]
    Silent,
}

impl ApiVersions {
    /// How many kinds of requests.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.0.len()
    }

    /// The version of Kafka that it has at least, where that can be told.
    #[must_use]
    pub fn at_least(&self) -> Option<&'static str> {
        BROUGHT_BY.iter().find(|(key, _)| self.0.contains(key)).map(|(_, version)| *version)
    }
}

/// Asks which requests the broker takes.
///
/// # Errors
/// When what answers within five seconds is no Kafka broker.
pub async fn api_versions<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<ApiVersions, ListenerError> {
    let (_error, ranges) = ask(stream, &protocol::ApiVersions, 0).await?;
    let keys: BTreeSet<_> = ranges.into_iter().map(|range| range.key).collect();
    if keys.is_empty() { Err(ListenerError::NotKafka) } else { Ok(ApiVersions(keys)) }
}

/// Asks whether the listener takes a login by `mechanism`, such as `SCRAM-SHA-512`. No secret is sent.
///
/// # Errors
/// When what answers within five seconds is no Kafka broker.
pub async fn login_by<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mechanism: &str,
) -> Result<Login, ListenerError> {
    match ask(stream, &SaslHandshake { mechanism }, 1).await? {
        (ErrorCode::NONE, offered) => Ok(Login::Accepted(offered)),
        (ErrorCode::UNSUPPORTED_SASL_MECHANISM, offered) => Ok(Login::Otherwise(offered)),
        (ErrorCode::ILLEGAL_SASL_STATE, _) => Ok(Login::NotWanted),
        _ => Err(ListenerError::NotKafka),
    }
}

async fn ask<R: Request, S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &R,
    version: i16,
) -> Result<R::Answer, ListenerError> {
    match timeout(WITHIN, exchange(stream, CLIENT_ID, request, version)).await {
        Err(_) => Err(ListenerError::Silent),
        Ok(answer) => Ok(answer?),
    }
}

impl From<ExchangeError> for ListenerError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Io(error) => alert_of(&error).map_or(Self::Closed, Self::Alert),
            ExchangeError::SpeaksTls => Self::SpeaksTls,
            ExchangeError::Length(_)
            | ExchangeError::OtherRequest(_)
            | ExchangeError::Malformed(_)
            | ExchangeError::TooLong(_) => Self::NotKafka,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What is made of these bytes as an answer.
    async fn answered(bytes: &[u8]) -> Result<ApiVersions, ListenerError> {
        let (mut here, mut there) = tokio::io::duplex(4096);
        there.write_all(bytes).await.expect("room");
        let mut request = [0; 14 + 25];
        let asked = tokio::spawn(async move { api_versions(&mut here).await });
        there.read_exact(&mut request).await.expect("a request");
        drop(there);
        asked.await.expect("an outcome")
    }

    #[tokio::test]
    async fn what_is_no_broker_is_told_apart() {
        assert_eq!(answered(&[0x15, 3, 3, 0, 2, 2, 80]).await, Err(ListenerError::SpeaksTls));
        assert_eq!(answered(b"HTTP/1.1 400 Bad Request\r\n").await, Err(ListenerError::NotKafka));
        assert_eq!(answered(b"").await, Err(ListenerError::Closed));
        assert_eq!(answered(&[0, 0, 0, 6, 0, 0, 0, 99, 0, 0]).await, Err(ListenerError::NotKafka));
        assert_eq!(answered(&[0, 0, 0, 10, 0, 0, 0, 18, 0, 0, 127, 255, 255, 255]).await, Err(ListenerError::NotKafka));
    }

    #[tokio::test]
    async fn the_requests_of_a_broker_tell_its_least_version() {
        let entry = |key: u8| [0, key, 0, 0, 0, 9];
        let answer = |keys: &[u8]| {
            let count = u8::try_from(keys.len()).expect("few");
            let body = [
                &[0, 0, 0, 18, 0, 0, 0, 0, 0, count][..],
                &keys.iter().flat_map(|key| entry(*key)).collect::<Vec<_>>(),
            ]
            .concat();
            [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], &body].concat()
        };
        let old = answered(&answer(&[3])).await.expect("a broker");
        assert_eq!((old.kinds(), old.at_least()), (1, None));
        assert_eq!(answered(&answer(&[3, 60, 65])).await.expect("a broker").at_least(), Some("3.0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_says_nothing_is_not_waited_for() {
        let (mut here, _there) = tokio::io::duplex(4096);
        assert_eq!(api_versions(&mut here).await, Err(ListenerError::Silent));
    }
}
