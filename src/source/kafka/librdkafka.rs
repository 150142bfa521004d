//! The transport over librdkafka: fans a batch out into its requests, with deadlines of our own.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::native::{Answer, NativeClient, NativeError, Outcome};
use super::outstanding::{Open, Outstanding, Recycling};
use super::properties::Properties;
use super::row_error::{from_connection, row_error};
use super::transport::{
    BrokerId, ClusterTransport, CommittedRows, GroupAsk, GroupId, GroupState, LogPosition, PartitionsAsk, RowError,
    Rows, Topic, TopicName, TopicPartition, TopicRows, TopicsAsk,
};
use crate::lag::Offset;
use crate::telemetry::{UpstreamApi, UpstreamMetrics, UpstreamOutcome};

/// Group requests under way at once: a round is no burst.
const GROUPS_IN_FLIGHT: usize = 50;

/// librdkafka merges the partitions of one request in quadratic time: 1,000 take some 10 ms, 10,000 take seconds.
const PARTITIONS_A_REQUEST: usize = 1000;
const TOPICS_A_REQUEST: usize = 500;

/// A cluster whose controller did not answer is not asked through it again for this long.
const WITHOUT_CONTROLLER: Duration = Duration::from_secs(10);

/// How long to wait for a controller before any broker is asked instead.
const CONTROLLER_DEADLINE: Duration = Duration::from_millis(700);

/// A token for SASL/OAUTHBEARER.
#[derive(Clone)]
pub struct Token {
    /// The token itself.
    pub value: crate::trigger::Secret,
    /// Whom it is for, as the log shows it.
    pub principal: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// SASL extensions.
    pub extensions: Vec<(String, String)>,
}

/// One cluster, asked by librdkafka with one identity.
pub struct Librdkafka {
    properties: Properties,
    current: Mutex<Current>,
    token: Mutex<Option<Token>>,
    without_controller_until: Mutex<Option<Instant>>,
    in_flight: Arc<Semaphore>,
    next: AtomicU64,
    metrics: UpstreamMetrics,
}

struct Current {
    client: Arc<NativeClient>,
    outstanding: Outstanding,
    recycling: Recycling,
}

// === impl Librdkafka ===

impl Librdkafka {
    /// A client with these properties; it connects when it is asked.
    ///
    /// # Errors
    /// librdkafka's own words, when it does not take the properties: a key that does not fit its password, say.
    pub fn new(properties: Properties, metrics: UpstreamMetrics) -> Result<Self, String> {
        let current = Current {
            client: Arc::new(NativeClient::new(&properties.0)?),
            outstanding: Outstanding::default(),
            recycling: Recycling::new(Instant::now()),
        };
        Ok(Self {
            properties,
            current: Mutex::new(current),
            token: Mutex::default(),
            without_controller_until: Mutex::default(),
            in_flight: Arc::new(Semaphore::new(GROUPS_IN_FLIGHT)),
            next: AtomicU64::new(0),
            metrics,
        })
    }

    /// Sets the token for SASL/OAUTHBEARER, now and for every client that replaces this one.
    ///
    /// # Errors
    /// librdkafka's own words, when it does not take the token.
    pub fn set_token(&self, token: Token) -> Result<(), String> {
        let client = self.current().client.clone();
        give_token(&client, &token)?;
        *lock(&self.token) = Some(token);
        Ok(())
    }

    /// There is no token, because of `cause`.
    pub fn set_token_failure(&self, cause: &str) {
        self.current().client.set_token_failure(cause);
    }

    /// Requests that librdkafka has not answered yet, waited for or not.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.current().client.open_requests()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }

    /// The client to ask, a new one where the old one is stuck.
    fn client(&self) -> (Arc<NativeClient>, Outstanding) {
        let mut current = self.current();
        let now = Instant::now();
        let stuck = current.outstanding.stuck(now);
        if current.recycling.due(stuck, now) {
            match NativeClient::new(&self.properties.0) {
                Ok(client) => {
                    tracing::info!(stuck_requests = stuck, "librdkafka client replaced");
                    if let Some(token) = lock(&self.token).as_ref()
                        && let Err(error) = give_token(&client, token)
                    {
                        tracing::warn!(error, "the new librdkafka client did not take the token");
                    }
                    current.client = Arc::new(client);
                    current.outstanding = Outstanding::default();
                }
                Err(error) => tracing::error!(error, "librdkafka client could not be replaced"),
            }
        }
        (current.client.clone(), current.outstanding.clone())
    }

    /// Asks once for each group, a bounded number at a time, and sends each row as it comes.
    fn each_group<K, V>(
        &self,
        api: UpstreamApi,
        asks: Vec<K>,
        deadline: Duration,
        group_of: fn(&K) -> &GroupId,
        ask: impl Fn(&NativeClient, &K, Open) -> oneshot::Receiver<Outcome<Answer>> + Send + Sync + 'static,
        read: fn(Answer) -> Option<V>,
    ) -> Rows<GroupId, V>
    where
        K: Send + Sync + 'static,
        V: Send + 'static,
    {
        let (to, rows) = mpsc::unbounded_channel();
        let (client, outstanding) = self.client();
        let mut admission = outstanding.admission();
        let ask = Arc::new(ask);
        let deadline = Instant::now() + deadline;
        for one in asks {
            let group = group_of(&one).clone();
            if !admission.admit(&group) {
                let text = "earlier requests for the group are still unanswered".into();
                drop(to.send((group, Err(RowError::Overdue(text)))));
                continue;
            }
            let key = self.next.fetch_add(1, Ordering::Relaxed);
            let (to, client, ask) = (to.clone(), client.clone(), ask.clone());
            let (outstanding, in_flight, metrics) = (outstanding.clone(), self.in_flight.clone(), self.metrics.clone());
            tokio::spawn(async move {
                let answer = async {
                    // the semaphore is never closed
                    let _turn = in_flight.acquire().await.ok();
                    let open = outstanding.begin(key, group.clone());
                    let answer = ask(&client, &one, open).await;
                    answer.unwrap_or_else(|_| Err(client_gone()))
                };
                let row = judged(timeout_at(deadline, answer).await.ok(), &client, &metrics, api, read);
                drop(to.send((group, row)));
            });
        }
        rows
    }

    async fn describe(&self, client: &NativeClient, names: &[&str], deadline: Duration) -> Outcome<Answer> {
        let answer = client.topics(names, deadline).await;
        answer.unwrap_or_else(|_| Err(client_gone()))
    }

    /// Through any broker instead of the controller: no topic ids then.
    async fn metadata(
        &self,
        client: Arc<NativeClient>,
        names: Option<Vec<TopicName>>,
        deadline: Duration,
    ) -> Outcome<Answer> {
        let read = tokio::task::spawn_blocking(move || {
            let names: Option<Vec<&str>> = names.as_ref().map(|names| names.iter().map(AsRef::as_ref).collect());
            client.metadata(names.as_deref(), deadline)
        });
        read.await.unwrap_or_else(|_| Err(client_gone())).map(Answer::Topics)
    }

    async fn named_topics(&self, names: &[TopicName], deadline: Duration) -> Outcome<Answer> {
        let (client, _) = self.client();
        let without_controller = lock(&self.without_controller_until).is_some_and(|until| Instant::now() < until);
        if !without_controller {
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            match self.describe(&client, &names, deadline.min(CONTROLLER_DEADLINE)).await {
                Err(error) if is_time_out(&error) && client.last_error().is_none() => {}
                outcome => return outcome,
            }
        }
        let outcome = self.metadata(client, Some(names.to_vec()), deadline).await;
        if outcome.is_ok() && !without_controller {
            // the controller is gone, or there is none; any broker's metadata names the next one
            *lock(&self.without_controller_until) = Some(Instant::now() + WITHOUT_CONTROLLER);
        }
        outcome
    }
}

fn give_token(client: &NativeClient, token: &Token) -> Result<(), String> {
    client.set_token(token.value.reveal(), &token.principal, token.expires_at_ms, &token.extensions)
}

/// Counts the outcome and makes a row of it.
fn judged<V>(
    outcome: Option<Outcome<Answer>>,
    client: &NativeClient,
    metrics: &UpstreamMetrics,
    api: UpstreamApi,
    read: fn(Answer) -> Option<V>,
) -> Result<V, RowError> {
    match outcome {
        Some(Ok(answer)) => {
            metrics.called(api, UpstreamOutcome::Ok);
            read(answer).ok_or_else(|| RowError::Broker("the answer is of another kind".into()))
        }
        Some(Err(error)) => {
            metrics.called(api, UpstreamOutcome::Error);
            Err(row_error(&error, client.last_error()))
        }
        None => {
            metrics.called(api, UpstreamOutcome::TimedOut);
            let overdue = || RowError::Overdue("no answer before the deadline".into());
            Err(client.last_error().map_or_else(overdue, |cause| from_connection(&cause)))
        }
    }
}

fn is_time_out(error: &NativeError) -> bool {
    matches!(row_error(error, None), RowError::Overdue(_))
}

fn client_gone() -> NativeError {
    NativeError { code: i32::MIN, text: "the client was replaced while it was asked".into() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl ClusterTransport ===

impl ClusterTransport for Librdkafka {
    async fn topics(&self, ask: TopicsAsk, deadline: Duration) -> Result<TopicRows, RowError> {
        let chunks: Vec<Option<Vec<TopicName>>> = match ask {
            TopicsAsk::All => vec![None],
            TopicsAsk::Named(names) => names.chunks(TOPICS_A_REQUEST).map(|names| Some(names.to_vec())).collect(),
        };
        let mut rows = TopicRows::new();
        for chunk in chunks {
            let outcome = match &chunk {
                Some(names) => self.named_topics(names, deadline).await,
                None => self.metadata(self.client().0, None, deadline).await,
            };
            let (client, _) = self.client();
            let read = |answer| if let Answer::Topics(topics) = answer { Some(topics) } else { None };
            let topics = judged(Some(outcome), &client, &self.metrics, UpstreamApi::KafkaMetadata, read)?;
            let connection = client.last_error();
            let mut found: HashMap<_, Result<Topic, RowError>> = topics
                .into_iter()
                .map(|(name, topic)| (name, topic.map_err(|error| row_error(&error, connection.clone()))))
                .collect();
            match chunk {
                Some(names) => rows.extend(names.into_iter().map(|name| {
                    let row = found.remove(&*name);
                    (name, row.unwrap_or_else(|| Err(RowError::Gone("the cluster does not know it".into()))))
                })),
                None => rows.extend(found.into_iter().map(|(name, topic)| (name.into(), topic))),
            }
        }
        Ok(rows)
    }

    fn committed(&self, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, CommittedRows> {
        let read = |answer| {
            let Answer::Committed(rows) = answer else { return None };
            Some(rows.into_iter().map(|(key, row)| (key, row.map_err(|error| row_error(&error, None)))).collect())
        };
        let send = |client: &NativeClient, ask: &GroupAsk, open: Open| match &ask.partitions {
            PartitionsAsk::Named(partitions) => client.committed(&ask.group, Some(partitions), Box::new(open)),
            PartitionsAsk::AllCommitted => client.committed(&ask.group, None, Box::new(open)),
        };
        self.each_group(UpstreamApi::KafkaOffsetFetch, ask, deadline, |ask| &ask.group, send, read)
    }

    fn offsets(
        &self,
        _leader: BrokerId,
        ask: Vec<TopicPartition>,
        at: LogPosition,
        deadline: Duration,
    ) -> Rows<TopicPartition, Offset> {
        let (to, rows) = mpsc::unbounded_channel();
        let (client, _) = self.client();
        for chunk in ask.chunks(PARTITIONS_A_REQUEST) {
            let answer = client.offsets(chunk, at, deadline);
            let mut left: HashSet<TopicPartition> = chunk.iter().cloned().collect();
            let (to, client, metrics) = (to.clone(), client.clone(), self.metrics.clone());
            tokio::spawn(async move {
                let outcome = answer.await.unwrap_or_else(|_| Err(client_gone()));
                let read = |answer| if let Answer::Offsets(rows) = answer { Some(rows) } else { None };
                let row = judged(Some(outcome), &client, &metrics, UpstreamApi::KafkaListOffsets, read);
                let rest = match row {
                    Ok(rows) => {
                        for (partition, row) in rows {
                            left.remove(&partition);
                            let row = row.map_err(|error| row_error(&error, client.last_error()));
                            drop(to.send((partition, row)));
                        }
                        RowError::Overdue("the answer lacks the partition".into())
                    }
                    Err(error) => error,
                };
                for partition in left {
                    drop(to.send((partition, Err(rest.clone()))));
                }
            });
        }
        rows
    }

    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState> {
        let read = |answer| if let Answer::Group(group) = answer { Some(group) } else { None };
        let send = |client: &NativeClient, group: &GroupId, open: Open| client.group(group, Box::new(open));
        self.each_group(UpstreamApi::KafkaDescribeGroups, ids, deadline, |group| group, send, read)
    }
}
