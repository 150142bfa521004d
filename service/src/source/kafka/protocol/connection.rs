//! A connection to a broker: requests are sent as they are made, and answers are matched by correlation id.
//!
//! A broker answers in the order of the requests, so an overdue answer blocks all later ones: that connection is closed.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::StreamExt as _;
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::frames::{self, Frames, NoFrame, frame};
use super::{ApiKey, ApiRange, ApiVersions, ErrorCode, Malformed, Metadata, Request, TooLong};

/// An idle connection is closed after this time: before brokers do so (`connections.max.idle.ms`, 10 min), and before a
/// load balancer drops it silently (350 s on AWS).
const IDLE_FOR: Duration = Duration::from_secs(300);

/// The initial buffer for an answer, in bytes; most connections are to clusters of few groups.
const USUAL_ANSWER: usize = 1_024;

/// An overdue request that had less time than this closes no connection: it may have waited for that very connection until its deadline
/// was almost reached.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection was closed for this reason.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The broker supports no version of the request that this client writes.
    #[error("the broker and this client have no version of {0} in common: the broker supports {1}")]
    NoVersion(&'static str, Taken),
    /// The answer is not a valid answer to the request.
    #[error("the answer to {0} is not Kafka's: {1}")]
    Malformed(&'static str, Malformed),
    /// The request cannot be encoded.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl RequestError {
    /// Whether a controller answered: every broker supports some version of Metadata, and controllers support none.
    #[must_use]
    pub fn is_of_a_controller(&self) -> bool {
        matches!(self, Self::NoVersion(name, Taken(None)) if *name == Metadata::NAME)
    }
}

/// The versions of a request that a broker supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken(Option<(i16, i16)>);

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The broker closed it.
    #[error("the broker closed the connection")]
    ByBroker,
    /// The connection failed with an I/O error.
    #[error("the connection broke: {0}")]
    Broke(Arc<str>),
    /// The broker ended the encrypted connection with a TLS alert.
    #[error("the listener disconnected: {0}")]
    Alert(Arc<str>),
    /// The answer is TLS.
    #[error("the answer is TLS")]
    SpeaksTls,
    /// The received bytes are not valid for Kafka's protocol.
    #[error("the answer is not Kafka's: {0}")]
    NotKafka(Arc<str>),
    /// An answer was overdue.
    #[error("no answer to {request} within {} ms", .within.as_millis())]
    Overdue {
        /// Kafka's name of the request.
        request: &'static str,
        /// The time for which the client waited.
        within: Duration,
    },
    /// The connection was idle.
    #[error("the connection was not used for {} s", IDLE_FOR.as_secs())]
    Idle,
    /// The broker did not report which requests it supports.
    #[error("the broker answers ApiVersions with {0}")]
    Unnegotiated(ErrorCode),
}

/// A connection over which requests are made.
pub struct Connection {
    client_id: Arc<str>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    open: Arc<Open>,
    next: AtomicI32,
    versions: HashMap<ApiKey, (i16, i16)>,
    _task: AbortOnDropHandle<()>,
}

/// The requests that wait for their answers, until the connection is closed.
#[derive(Default)]
struct Open {
    state: Mutex<State>,
    closing: CancellationToken,
}

#[derive(Default)]
struct State {
    waiting: HashMap<i32, oneshot::Sender<Bytes>>,
    closed: Option<Closed>,
}

impl Open {
    /// Closes the connection; the first reason is kept. Pending requests get no answer.
    fn close(&self, why: Closed) {
        let mut state = self.state.lock();
        state.closed.get_or_insert(why);
        state.waiting.clear();
        self.closing.cancel();
    }

    fn closed(&self) -> Option<Closed> {
        self.state.lock().closed.clone()
    }
}

impl Connection {
    /// Opens a connection over `stream`, and first requests the versions that the broker supports. Calls `ApiVersions`
    /// (<https://kafka.apache.org/protocol.html>).
    ///
    /// # Errors
    /// Returns an error when no Kafka broker answers until `deadline`.
    pub async fn open<S: AsyncRead + AsyncWrite + Send + 'static>(
        stream: S,
        client_id: Arc<str>,
        deadline: Instant,
    ) -> Result<Self, RequestError> {
        let (outgoing, requests) = mpsc::unbounded_channel();
        let open = Arc::new(Open::default());
        let task = AbortOnDropHandle::new(tokio::spawn(converse(stream, requests, open.clone())));
        let mut connection =
            Self { client_id, outgoing, open, next: AtomicI32::new(0), versions: HashMap::new(), _task: task };
        let (error, ranges) = connection.ask_in(&ApiVersions, 0, deadline).await?;
        if error != ErrorCode::NONE {
            return Err(Closed::Unnegotiated(error).into());
        }
        let versions = ranges.into_iter().map(|ApiRange { key, versions }| (key, versions.into_inner()));
        connection.versions = versions.collect();
        Ok(connection)
    }

    /// Whether the connection is open for requests.
    pub(crate) fn is_open(&self) -> bool {
        self.open.closed().is_none()
    }

    /// Returns the number of requests that have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.open.state.lock().waiting.len()
    }

    /// Returns the number of APIs that the broker supports.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.versions.len()
    }

    /// Whether the broker supports any version of a request.
    #[must_use]
    pub fn takes(&self, key: ApiKey) -> bool {
        self.versions.contains_key(&key)
    }

    /// Returns the newest version of a request that both ends support.
    ///
    /// # Errors
    /// Returns an error when there is none.
    pub fn version<R: Request>(&self) -> Result<i16, RequestError> {
        self.version_to::<R>(*R::VERSIONS.end())
    }

    fn version_to<R: Request>(&self, newest: i16) -> Result<i16, RequestError> {
        let taken = self.versions.get(&R::KEY).copied();
        let version = taken.map(|(least, most)| (least, most.min(newest)));
        let version = version.filter(|(least, most)| least <= most && R::VERSIONS.contains(most));
        version.map(|(_, most)| most).ok_or(RequestError::NoVersion(R::NAME, Taken(taken)))
    }

    /// Sends a request in the newest version that both ends support and that can carry it.
    ///
    /// # Errors
    /// Returns an error when there is no answer by `deadline`; the connection is closed then, unless the broker had too little time.
    pub async fn ask<R: Request>(&self, request: &R, deadline: Instant) -> Result<R::Answer, RequestError> {
        self.ask_in(request, self.version_to::<R>(request.newest())?, deadline).await
    }

    async fn ask_in<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
    ) -> Result<R::Answer, RequestError> {
        let begun = Instant::now();
        let correlation = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = frame(&self.client_id, request, version, correlation)?;
        let (answered, answer) = oneshot::channel();
        {
            let mut state = self.open.state.lock();
            if let Some(closed) = &state.closed {
                return Err(closed.clone().into());
            }
            state.waiting.insert(correlation, answered);
        }
        // where the task has ended there is no answer, which the wait reports
        let _ = self.outgoing.send(frame);
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => frames::read(&answer, request, version).map_err(|malformed| {
                self.open.close(Closed::NotKafka(malformed.to_string().into()));
                RequestError::Malformed(R::NAME, malformed)
            }),
            Ok(Err(_)) => Err(self.open.closed().unwrap_or(Closed::ByBroker).into()),
            Err(_) => {
                let overdue = Closed::Overdue { request: R::NAME, within: begun.elapsed() };
                if begun.elapsed() >= TIME_TO_ANSWER {
                    self.open.close(overdue.clone());
                }
                Err(overdue.into())
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.open.closed()).finish_non_exhaustive()
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some((least, most)) => write!(f, "versions {least} to {most}"),
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    mut requests: mpsc::UnboundedReceiver<Vec<u8>>,
    open: Arc<Open>,
) {
    let (reader, mut writer) = split(stream);
    let writing = async {
        loop {
            let request = match timeout(IDLE_FOR, requests.recv()).await {
                Ok(Some(request)) => request,
                Ok(None) => return Closed::ByBroker,
                Err(_) => return Closed::Idle,
            };
            if let Err(error) = async {
                writer.write_all(&request).await?;
                writer.flush().await
            }
            .await
            {
                return Closed::of(NoFrame::Io(error));
            }
        }
    };
    let reading = async {
        let mut answers = FramedRead::with_capacity(reader, Frames, USUAL_ANSWER);
        while let Some(answer) = answers.next().await {
            let taken = answer.map_err(Closed::of).and_then(|answer| take(&open, answer));
            if let Err(closed) = taken {
                return closed;
            }
        }
        Closed::ByBroker
    };
    tokio::select! {
        why = writing => open.close(why),
        why = reading => open.close(why),
        () = open.closing.cancelled() => {}
    }
}

fn take(open: &Open, answer: Bytes) -> Result<(), Closed> {
    let not_kafka = |why: &dyn fmt::Display| Closed::NotKafka(why.to_string().into());
    let correlation = frames::correlation(&answer).map_err(|malformed| not_kafka(&malformed))?;
    let Some(waiting) = open.state.lock().waiting.remove(&correlation) else {
        return Err(not_kafka(&format_args!("it answers request {correlation}, which was not sent")));
    };
    // the caller may have stopped waiting
    let _ = waiting.send(answer);
    Ok(())
}

impl Closed {
    fn of(error: NoFrame) -> Self {
        match error {
            NoFrame::Io(error) => match (alert(&error), error.kind()) {
                (Some(alert), _) => Self::Alert(alert),
                (None, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Self::ByBroker,
                (None, _) => Self::Broke(error.to_string().into()),
            },
            NoFrame::SpeaksTls => Self::SpeaksTls,
            NoFrame::Length(_) => Self::NotKafka(error.to_string().into()),
        }
    }
}

/// Returns the TLS alert with which a peer ended an encrypted connection, if the error is one.
fn alert(error: &io::Error) -> Option<Arc<str>> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(format!("{alert:?}").into()),
        _ => None,
    }
}
