//! The brokers through librdkafka.
//!
//! librdkafka asks for one group at a time, so a batch fans out here: paced, with deadlines of our own, and with an eye on requests
//! that librdkafka never finishes (`recycle`).

mod base_properties;
mod client;
mod coordinators;
mod offsets;
mod recycle;
mod row_error;
mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::client::Client;
use super::native::locked;
use super::reach::Reach;
use super::transport::{
    Broker, BrokerId, ClusterTransport, CommittedRows, GroupAsk, GroupId, GroupState, LogPosition, RowError, Rows,
    TopicPartition, TopicRows, TopicsAsk,
};
use crate::lag::Offset;
use crate::telemetry::UpstreamMetrics;
use crate::trigger::Secret;

/// No cluster has a topic of this name, and none can get it.
const NO_TOPIC: &str = "no/topic";

/// One cluster, asked with one identity.
///
/// Its methods must be called within a Tokio runtime. Clones ask through the same client.
#[derive(Clone)]
pub struct Librdkafka(Arc<Client>);

/// A token for SASL OAUTHBEARER.
#[derive(Clone, PartialEq, Eq)]
pub struct OauthToken {
    /// What the broker checks.
    pub value: Secret,
    /// Whose it is.
    pub principal: String,
    /// When it expires: milliseconds since 1970.
    pub expires_unix_ms: i64,
    /// SASL extensions: name and value.
    pub extensions: Vec<(String, String)>,
}

/// What librdkafka did not accept; secret values are hidden.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Librdkafka {
    /// A client with librdkafka's `properties`, which win over our own; nothing is sent before something is asked, except to
    /// connect.
    ///
    /// # Errors
    /// When librdkafka refuses a property or cannot read a key or certificate.
    pub fn new(properties: Vec<(String, String)>, metrics: UpstreamMetrics) -> Result<Self, Refused> {
        Self::within(Reach::Anywhere, properties, metrics)
    }

    /// The same, connecting only to addresses within `reach`.
    ///
    /// # Errors
    /// As [`Librdkafka::new`].
    pub fn within(reach: Reach, properties: Vec<(String, String)>, metrics: UpstreamMetrics) -> Result<Self, Refused> {
        Client::new(base_properties::complete(properties), reach, metrics)
            .map(|client| Self(Arc::new(client)))
            .map_err(Refused)
    }

    /// Gives the token for connections that are made or renewed from now on, also those of later clients of this cluster.
    ///
    /// # Errors
    /// When librdkafka refuses it: expired, malformed, or another mechanism is configured.
    pub fn set_token(&self, token: OauthToken) -> Result<(), Refused> {
        self.0.set_token(token).map_err(Refused)
    }

    /// Says why there is no token; it becomes the reason of rows that fail for want of one.
    ///
    /// # Errors
    /// When another mechanism is configured.
    pub fn set_token_failure(&self, why: &str) -> Result<(), Refused> {
        self.0.native().set_token_failure(why).map_err(|failure| Refused(failure.text))
    }

    /// The brokers that the cluster takes for living, and where they say that they are; logs in where that is yet to be done.
    ///
    /// # Errors
    /// Why no broker has answered.
    pub async fn brokers(&self, deadline: Duration) -> Result<Vec<Broker>, RowError> {
        // the names of all topics may be many
        self.0.metadata(Some(NO_TOPIC), Instant::now() + deadline).await.map(|metadata| metadata.brokers)
    }

    /// Waits until librdkafka wants a token: the first, or one in place of a token that ends soon.
    pub async fn token_wanted(&self) {
        self.0.token_wanted.notified().await;
    }

    /// Requests that librdkafka has not finished, those whose caller gave up included.
    pub fn unfinished(&self) -> usize {
        self.0.native().waiting()
    }

    /// How often the client was replaced.
    pub fn recycled(&self) -> u64 {
        self.0.recycled()
    }
}

impl ClusterTransport for Librdkafka {
    async fn topics(&self, ask: TopicsAsk, deadline: Duration) -> Result<TopicRows, RowError> {
        topics::read(&self.0, ask, deadline).await
    }

    fn committed(&self, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, CommittedRows> {
        let (rows, answer) = mpsc::unbounded_channel();
        tokio::spawn(coordinators::committed(Arc::clone(&self.0), ask, deadline, rows).in_current_span());
        answer
    }

    fn offsets(
        &self,
        leader: BrokerId,
        ask: Vec<TopicPartition>,
        at: LogPosition,
        deadline: Duration,
    ) -> Rows<TopicPartition, Offset> {
        let (rows, answer) = mpsc::unbounded_channel();
        tokio::spawn(offsets::read(Arc::clone(&self.0), leader, ask, at, deadline, rows).in_current_span());
        answer
    }

    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState> {
        let (rows, answer) = mpsc::unbounded_channel();
        tokio::spawn(coordinators::describe(Arc::clone(&self.0), ids, deadline, rows).in_current_span());
        answer
    }
}

impl fmt::Debug for Librdkafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Librdkafka")
            .field("bootstrap", &self.0.bootstrap())
            .field("outstanding", &locked(&self.0.health).outstanding())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OauthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthToken")
            .field("principal", &self.principal)
            .field("expires_unix_ms", &self.expires_unix_ms)
            .finish_non_exhaustive()
    }
}
