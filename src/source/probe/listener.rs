//! The first words with a Kafka listener: which requests it takes, and how it wants a login.
//!
//! Both are asked before any login, in the oldest versions, which every broker takes.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::tls::alert_of;

const WITHIN: Duration = Duration::from_secs(5);
/// No answer to these requests is nearly as long.
const LONGEST_ANSWER: usize = 1 << 20;

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_HANDSHAKE_VERSION: i16 = 1;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;

/// Requests by the version of Kafka that brought them; the newest first.
const BROUGHT_BY: [(i16, &str); 3] = [(75, "3.8"), (65, "3.0"), (60, "2.8")];

/// The requests that a broker takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersions(BTreeMap<i16, i16>);

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
        BROUGHT_BY.iter().find(|(key, _)| self.0.contains_key(key)).map(|(_, version)| *version)
    }
}

/// Asks which requests the broker takes.
///
/// # Errors
/// When what answers within five seconds is no Kafka broker.
pub async fn api_versions<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<ApiVersions, ListenerError> {
    let answer = ask(stream, API_VERSIONS, 0, &[]).await?;
    let mut fields = Fields(&answer);
    let (_error, count) = (fields.i16()?, fields.i32()?);
    let mut versions = BTreeMap::new();
    for _ in 0..count {
        let (key, _least, most) = (fields.i16()?, fields.i16()?, fields.i16()?);
        versions.insert(key, most);
    }
    if versions.is_empty() { Err(ListenerError::NotKafka) } else { Ok(ApiVersions(versions)) }
}

/// Asks whether the listener takes a login by `mechanism`, such as `SCRAM-SHA-512`. No secret is sent.
///
/// # Errors
/// When what answers within five seconds is no Kafka broker.
pub async fn login_by<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mechanism: &str,
) -> Result<Login, ListenerError> {
    let mut body = Vec::new();
    text(&mut body, mechanism);
    let answer = ask(stream, SASL_HANDSHAKE, SASL_HANDSHAKE_VERSION, &body).await?;
    let mut fields = Fields(&answer);
    let (error, count) = (fields.i16()?, fields.i32()?);
    let offered = (0..count).map(|_| fields.text()).collect::<Result<Vec<_>, _>>()?;
    match error {
        0 => Ok(Login::Accepted(offered)),
        UNSUPPORTED_SASL_MECHANISM => Ok(Login::Otherwise(offered)),
        ILLEGAL_SASL_STATE => Ok(Login::NotWanted),
        _ => Err(ListenerError::NotKafka),
    }
}

/// Sends a request and returns what follows the header of its answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: i16,
    version: i16,
    body: &[u8],
) -> Result<Vec<u8>, ListenerError> {
    match timeout(WITHIN, exchange(stream, key, version, body)).await {
        Err(_) => Err(ListenerError::Silent),
        Ok(answer) => answer?,
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: i16,
    version: i16,
    body: &[u8],
) -> io::Result<Result<Vec<u8>, ListenerError>> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    let correlation = i32::from(key).to_be_bytes();
    request.extend(correlation);
    text(&mut request, "keda-stream-scaler-doctor");
    request.extend(body);
    let length = i32::try_from(request.len()).unwrap_or(i32::MAX).to_be_bytes();
    stream.write_all(&[&length[..], &request].concat()).await?;
    stream.flush().await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if is_tls(head) {
        return Ok(Err(ListenerError::SpeaksTls));
    }
    let length = usize::try_from(i32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if !(correlation.len()..=LONGEST_ANSWER).contains(&length) {
        return Ok(Err(ListenerError::NotKafka));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer.strip_prefix(&correlation).map(<[u8]>::to_vec).ok_or(ListenerError::NotKafka))
}

/// An alert or a handshake of TLS begins so.
fn is_tls([kind, major, ..]: [u8; 4]) -> bool {
    matches!(kind, 0x15 | 0x16) && major == 3
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    into.extend(text.as_bytes());
}

impl From<io::Error> for ListenerError {
    fn from(error: io::Error) -> Self {
        alert_of(&error).map_or(Self::Closed, Self::Alert)
    }
}

/// What is left of an answer.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ListenerError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(ListenerError::NotKafka)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn i16(&mut self) -> Result<i16, ListenerError> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, ListenerError> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn text(&mut self) -> Result<String, ListenerError> {
        let length = usize::try_from(self.i16()?).map_err(|_| ListenerError::NotKafka)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(ListenerError::NotKafka)?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
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
