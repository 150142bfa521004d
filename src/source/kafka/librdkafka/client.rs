//! The present native client, its replacement, and one request through it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::OauthToken;
use super::recycle::Health;
use super::row_error::row_error;
use crate::source::kafka::native::{Ask, Metadata, Native, NativeToken, Reply, locked};
use crate::source::kafka::reach::Reach;
use crate::source::kafka::transport::{BrokerId, GroupId, RowError};
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};

/// Requests to coordinators at a time, so that a round is no burst.
const IN_FLIGHT: usize = 50;
/// librdkafka's own deadline comes before ours, so that its reason is heard.
const MARGIN: Duration = Duration::from_millis(20);

pub(super) struct Client {
    properties: Vec<(String, String)>,
    reach: Reach,
    native: Mutex<Arc<Native>>,
    token: Mutex<Option<OauthToken>>,
    pub(super) token_wanted: Arc<Notify>,
    pub(super) health: Arc<Mutex<Health>>,
    replacing: tokio::sync::Mutex<()>,
    replaced: AtomicU64,
    metrics: UpstreamMetrics,
    pub(super) pace: Semaphore,
    /// A metadata request blocks a thread: one at a time.
    metadata: Semaphore,
    /// The brokers that can be asked about topics: first the one that answered last.
    pub(super) informants: Mutex<VecDeque<BrokerId>>,
}

/// Tells the group's health when librdkafka has done with a request, however late.
struct Ticket {
    health: Arc<Mutex<Health>>,
    request: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.health).close(self.request);
    }
}

impl Client {
    pub(super) fn new(
        properties: Vec<(String, String)>,
        reach: Reach,
        metrics: UpstreamMetrics,
    ) -> Result<Self, String> {
        let token_wanted = Arc::new(Notify::new());
        let native = Native::new(&properties, reach, Arc::clone(&token_wanted)).map_err(|failure| failure.text)?;
        Ok(Self {
            properties,
            reach,
            native: Mutex::new(Arc::new(native)),
            token: Mutex::new(None),
            token_wanted,
            health: Arc::new(Mutex::new(Health::new(Instant::now()))),
            replacing: tokio::sync::Mutex::new(()),
            replaced: AtomicU64::new(0),
            metrics,
            pace: Semaphore::new(IN_FLIGHT),
            metadata: Semaphore::new(1),
            informants: Mutex::default(),
        })
    }

    pub(super) fn native(&self) -> Arc<Native> {
        Arc::clone(&locked(&self.native))
    }

    pub(super) fn recycled(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    pub(super) fn bootstrap(&self) -> &str {
        let found = self.properties.iter().rev().find(|(name, _)| name == "bootstrap.servers");
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn set_token(&self, token: OauthToken) -> Result<(), String> {
        // Kept locked, so that a replacement gets either the old token or the new one last.
        let mut kept = locked(&self.token);
        give(&self.native(), &token)?;
        *kept = Some(token);
        Ok(())
    }

    /// Replaces the native client if it has to be; requests of the old one are no longer counted.
    pub(super) async fn replace_if_due(self: &Arc<Self>) {
        let Ok(_replacing) = self.replacing.try_lock() else { return };
        let Some(reason) = locked(&self.health).due(Instant::now()) else { return };
        let this = Arc::clone(self);
        // Reads certificates and starts threads.
        let made = tokio::task::spawn_blocking(move || {
            Native::new(&this.properties, this.reach, Arc::clone(&this.token_wanted))
        });
        match made.await {
            Ok(Ok(native)) => {
                let native = Arc::new(native);
                let token = locked(&self.token);
                if let Some(Err(why)) = token.as_ref().map(|token| give(&native, token)) {
                    tracing::warn!(why, "could not give the token to a new Kafka client");
                }
                locked(&self.health).recycled(Instant::now());
                *locked(&self.native) = native;
                self.replaced.fetch_add(1, Ordering::Relaxed);
                tracing::info!(?reason, "replaced a Kafka client");
            }
            Ok(Err(failure)) => tracing::warn!(why = failure.text, ?reason, "could not replace a Kafka client"),
            Err(error) => tracing::warn!(%error, ?reason, "could not replace a Kafka client"),
        }
    }

    /// A request to a group's coordinator; `request` is its number in the group's health.
    pub(super) async fn ask_coordinator(
        &self,
        ask: Ask,
        group: &GroupId,
        request: u64,
        until: Instant,
    ) -> Result<Reply, RowError> {
        let api =
            if matches!(ask, Ask::Group(_)) { UpstreamApi::KafkaDescribeGroups } else { UpstreamApi::KafkaOffsetFetch };
        let ticket = Ticket { health: Arc::clone(&self.health), request };
        let (native, call) = (self.native(), self.metrics.begin(api));
        let answer = native.request(&ask, Some(Box::new(ticket)));
        let result = match timeout_at(until, answer).await {
            Ok(Ok(result)) => result.map_err(|failure| row_error(&failure, native.last_error().as_ref())),
            Ok(Err(_client_ended)) => {
                Err(RowError::Overdue("the client was replaced before the answer came".to_owned()))
            }
            Err(_) => Err(overdue(&native, format!("no answer from the coordinator of group {group}"))),
        };
        call.ended(outcome(&result));
        result
    }

    /// A request that ends by itself; `ask` is given the time that it has.
    pub(super) async fn ask(&self, ask: impl FnOnce(Duration) -> Ask, until: Instant) -> Result<Reply, RowError> {
        let ask = ask(until.saturating_duration_since(Instant::now()).saturating_sub(MARGIN));
        let api = if matches!(ask, Ask::Topics { .. }) {
            UpstreamApi::KafkaDescribeTopics
        } else {
            UpstreamApi::KafkaListOffsets
        };
        let (native, call) = (self.native(), self.metrics.begin(api));
        let result = match timeout_at(until, native.request(&ask, None)).await {
            Ok(Ok(result)) => result.map_err(|failure| row_error(&failure, native.last_error().as_ref())),
            Ok(Err(_client_ended)) => {
                Err(RowError::Overdue("the client was replaced before the answer came".to_owned()))
            }
            Err(_) => Err(overdue(&native, "no answer from the broker".to_owned())),
        };
        call.ended(outcome(&result));
        result
    }

    /// The metadata of `topic`, or of all topics, from any broker; also tells librdkafka where its leaders are.
    pub(super) async fn metadata(&self, topic: Option<&str>, until: Instant) -> Result<Metadata, RowError> {
        let native = self.native();
        let late = || overdue(&native, "no answer to a metadata request".to_owned());
        let Ok(Ok(_one)) = timeout_at(until, self.metadata.acquire()).await else { return Err(late()) };
        let call = self.metrics.begin(UpstreamApi::KafkaMetadata);
        let left = until.saturating_duration_since(Instant::now());
        let (asked, name) = (Arc::clone(&native), topic.map(str::to_owned));
        // Not cut at the deadline, or the next one would not wait for the thread.
        let answer = tokio::task::spawn_blocking(move || asked.metadata(name.as_deref(), left)).await;
        let result = match answer {
            Ok(answer) => answer.map_err(|failure| row_error(&failure, native.last_error().as_ref())),
            Err(error) => Err(RowError::Broker(format!("could not ask for metadata: {error}"))),
        };
        call.ended(outcome(&result));
        if let Ok(metadata) = &result {
            *locked(&self.informants) = metadata.brokers.iter().map(|broker| broker.id).collect();
        }
        result
    }

    /// The reason of a row that got no answer.
    pub(super) fn unanswered(&self, text: String) -> RowError {
        overdue(&self.native(), text)
    }
}

fn overdue(native: &Native, text: String) -> RowError {
    super::row_error::unanswered(text, native.last_error().as_ref())
}

fn give(native: &Native, token: &OauthToken) -> Result<(), String> {
    let token = NativeToken {
        value: token.value.reveal(),
        principal: &token.principal,
        expires_unix_ms: token.expires_unix_ms,
        extensions: &token.extensions,
    };
    native.set_token(&token).map_err(|failure| failure.text)
}

fn outcome<T>(result: &Result<T, RowError>) -> UpstreamOutcome {
    match result {
        Ok(_) => UpstreamOutcome::Ok,
        Err(RowError::Moving(_)) => UpstreamOutcome::Moving,
        Err(RowError::Unreachable(_)) => UpstreamOutcome::Unreachable,
        Err(RowError::Overdue(_)) => UpstreamOutcome::TimedOut,
        Err(RowError::Denied(_)) => UpstreamOutcome::Denied,
        Err(RowError::Gone(_)) => UpstreamOutcome::Missing,
        Err(RowError::Broker(_)) => UpstreamOutcome::Error,
    }
}
