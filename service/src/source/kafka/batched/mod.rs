//! A Kafka cluster that is read in batches: one request to each broker covers everything that a round needs from it.

mod answers;
mod coordinators;
mod groups;
mod offsets;
mod progress;
mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::answers::unanswered;
use self::coordinators::Question;
use super::brokers::{Brokers, bootstrap_address};
use super::dial::{Dialer, LoggedIn};
use super::model::ByName;
use super::protocol::{OauthToken, Request};
use super::transport::{
    Broker, BrokerId, ClusterTransport, GroupAsk, GroupId, GroupState, LedPartitions, LogPosition, OffsetRows,
    ProgressRows, RowError, Rows, TopicRows, TopicsAsk,
};
use crate::lag::{SourceError, SourceErrorKind};
use crate::network::Address;
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use crate::tenancy::AllowedHosts;
use crate::trigger::{GroupType, KafkaSecurity, Sasl};

/// The maximum number of concurrent requests over a connection to a broker that accepts only one group per request.
const AT_ONCE: usize = 50;

/// One cluster, read with one identity. Its methods must be called within a Tokio runtime.
#[derive(Clone, Debug)]
pub struct Batched(Arc<ClusterClient>);

/// The state of the cluster client: brokers, coordinators and connections.
struct ClusterClient {
    brokers: Brokers,
    /// The last known coordinators of groups.
    coordinators: Mutex<ByName<BrokerId>>,
    metrics: UpstreamMetrics,
}

impl Batched {
    /// Creates a client of these brokers; it connects at the first request.
    ///
    /// # Errors
    /// Returns [`SourceErrorKind::Denied`] when addresses, certificates or keys are unusable, and for Kerberos.
    pub fn new<S: AsRef<str>>(
        bootstrap_servers: &[S],
        security: &KafkaSecurity,
        reach: AllowedHosts,
        metrics: &UpstreamMetrics,
    ) -> Result<Self, SourceError> {
        let refused = |cause: String| {
            SourceError::new(SourceErrorKind::Denied, "could not set up a Kafka client")
                .because(cause)
                .remedy("correct the connection")
        };
        if security.sasl == Sasl::Gssapi {
            return Err(refused("sasl gssapi is not supported: there is no Kerberos here".to_owned()));
        }
        let bootstrap = bootstrap_servers.iter().map(|server| bootstrap_address(server.as_ref()));
        let bootstrap = bootstrap.collect::<Result<_, _>>().map_err(refused)?;
        let dialer = Dialer::new(security, reach).map_err(|error| refused(error.to_string()))?;
        let brokers = Brokers::new(bootstrap, dialer);
        Ok(Self(Arc::new(ClusterClient { brokers, coordinators: Mutex::default(), metrics: metrics.clone() })))
    }

    /// Sets the token for connections that are made from now on.
    pub fn set_token(&self, token: OauthToken) {
        self.0.brokers.dialer().set_token(token);
    }

    /// Sets the reason why there is no token; rows that fail for lack of a token report it.
    pub fn set_token_failure(&self, why: &str) {
        self.0.brokers.dialer().set_token_failure(why);
    }

    fn coordinators<Q: Question>(
        &self,
        question: Q,
        asked: Vec<Q::Of>,
        deadline: Duration,
    ) -> Rows<GroupId, Q::Answer> {
        let (rows, answer) = mpsc::unbounded_channel();
        let reading = coordinators::ask(self.0.clone(), question, asked, Instant::now() + deadline, rows);
        tokio::spawn(reading.in_current_span());
        answer
    }

    /// Returns the live brokers of the cluster and their advertised addresses.
    ///
    /// # Errors
    /// Returns an error when no broker has answered.
    pub async fn brokers(&self, deadline: Duration) -> Result<Vec<Broker>, RowError> {
        topics::brokers(&self.0, Instant::now() + deadline).await
    }

    /// Returns the groups of the cluster, as far as the principal may describe them.
    ///
    /// # Errors
    /// Returns an error when a broker has not answered.
    pub async fn group_ids(&self, deadline: Duration) -> Result<Vec<GroupId>, RowError> {
        groups::all(&self.0, Instant::now() + deadline).await
    }
}

impl ClusterClient {
    /// Returns a connection to a broker for a request; looks up the broker's address where it is not known.
    async fn connection(&self, id: BrokerId, api: UpstreamApi, until: Instant) -> Result<Arc<LoggedIn>, RowError> {
        if !self.brokers.knows(id) {
            topics::brokers(self, until).await?;
        }
        self.counted(api, self.brokers.connection(id, until).await)
    }

    /// Returns a connection to any broker but the one at `except`, for a request.
    async fn any(&self, except: Option<&Address>, api: UpstreamApi, until: Instant) -> Result<Arc<LoggedIn>, RowError> {
        self.counted(api, self.brokers.any(except, until).await)
    }

    /// Counts a request that failed for lack of a connection.
    fn counted<T>(&self, api: UpstreamApi, connection: Result<T, RowError>) -> Result<T, RowError> {
        connection.inspect_err(|why| self.metrics.begin(api).ended(outcome(why)))
    }

    /// Sends a request over a connection.
    async fn ask<R: Request>(
        &self,
        connection: &LoggedIn,
        api: UpstreamApi,
        request: &R,
        until: Instant,
    ) -> Result<R::Answer, RowError> {
        let call = self.metrics.begin(api);
        let answer = connection.ask(request, until).await.map_err(|why| unanswered(connection, &why));
        call.ended(answer.as_ref().err().map_or(UpstreamOutcome::Ok, outcome));
        answer
    }

    /// Sends requests over a connection, a limited number at a time; the first error counts.
    async fn ask_each<R: Request>(
        &self,
        connection: &LoggedIn,
        api: UpstreamApi,
        requests: &[R],
        until: Instant,
    ) -> Result<Vec<R::Answer>, RowError> {
        let mut asking = Vec::with_capacity(requests.len());
        for request in requests {
            asking.push(self.ask(connection, api, request, until));
        }
        stream::iter(asking).buffer_unordered(AT_ONCE).try_collect().await
    }
}

const fn outcome(why: &RowError) -> UpstreamOutcome {
    match why {
        RowError::Overdue(_) => UpstreamOutcome::TimedOut,
        RowError::Unreachable(_) | RowError::Leaderless(_) => UpstreamOutcome::Unreachable,
        RowError::Blocked(_) | RowError::Denied(_) => UpstreamOutcome::Denied,
        RowError::Moving(_) => UpstreamOutcome::Moving,
        RowError::Gone(_) => UpstreamOutcome::Missing,
        RowError::Unsupported(_) | RowError::Broker(_) => UpstreamOutcome::Error,
    }
}

impl ClusterTransport for Batched {
    async fn topics(&self, ask: TopicsAsk, deadline: Duration) -> Result<TopicRows, RowError> {
        topics::read(&self.0, ask, Instant::now() + deadline).await
    }

    fn progress(&self, of: GroupType, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, ProgressRows> {
        match of {
            GroupType::Consumer => self.coordinators(progress::Committed, ask, deadline),
            GroupType::Share => self.coordinators(progress::ShareGroups, ask, deadline),
        }
    }

    fn offsets(
        &self,
        leader: BrokerId,
        ask: LedPartitions,
        at: LogPosition,
        deadline: Duration,
    ) -> mpsc::UnboundedReceiver<OffsetRows> {
        let (rows, answer) = mpsc::unbounded_channel();
        let reading = offsets::read(self.0.clone(), leader, ask, at, Instant::now() + deadline, rows);
        tokio::spawn(reading.in_current_span());
        answer
    }

    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState> {
        self.coordinators(groups::Described, ids, deadline)
    }
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("coordinators", &self.coordinators.lock().len()).finish_non_exhaustive()
    }
}
