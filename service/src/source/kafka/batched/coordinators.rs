//! Requests about groups: each goes to the group's coordinator, batched with those for the coordinator's other groups.
//!
//! Where a broker is not the coordinator, its groups are looked up and requested once more in the same round; where the coordinator is
//! moving, until the deadline. No group waits for the coordinator of another one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::ClusterClient;
use super::answers::row_error;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{FindCoordinator, Row};
use crate::source::kafka::transport::{Broker, BrokerId, GroupId, RowError};
use crate::telemetry::UpstreamApi;

/// The maximum number of groups in one request.
const MAX_GROUPS: usize = 500;
/// The maximum number of rows in one answer.
const MAX_ROWS: usize = 10_000;
/// The maximum number of groups whose coordinators are remembered; above it, all are looked up again.
const MOST_REMEMBERED: usize = 20_000;
/// The first pause before a coordinator is looked up again: a cluster needs a moment to name another one, and that one to load the commits
/// of its groups. Each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A request about groups that their coordinator answers.
pub(super) trait Question: Send + Sync + 'static {
    /// The request for one group.
    type Of: OfGroup;
    /// The API under which the requests are counted.
    const API: UpstreamApi;
    /// The coordinator's answer about a group.
    type Answer: Send + 'static;

    /// Sends the requests for these groups to a coordinator.
    fn ask(
        asking: &ClusterClient,
        connection: &LoggedIn,
        asked: &[Self::Of],
        until: Instant,
    ) -> impl Future<Output = Result<Answers<Self::Answer>, RowError>> + Send;
}

/// The request for one group.
pub(super) trait OfGroup: Send + Sync + 'static {
    /// Returns the id of the group.
    fn group(&self) -> &GroupId;
    /// Returns the expected number of rows in the answer.
    fn weight(&self) -> usize;
}

/// One answer per requested group, in the order of the request; `None` where there is none.
pub(super) type Answers<V> = Vec<Option<Result<V, RowError>>>;
type Keys<Q> = Vec<<Q as Question>::Of>;

/// One round of requests of one kind.
struct Round<Q: Question> {
    asking: Arc<ClusterClient>,
    until: Instant,
    rows: UnboundedSender<(GroupId, Result<Q::Answer, RowError>)>,
}

/// Requests every group until all have an answer, the deadline passes or the receiver is dropped.
pub(super) async fn ask<Q: Question>(
    asking: Arc<ClusterClient>,
    _question: Q,
    asked: Keys<Q>,
    until: Instant,
    rows: UnboundedSender<(GroupId, Result<Q::Answer, RowError>)>,
) {
    let round = Round::<Q> { asking, until, rows };
    let (known, unknown) = round.known(asked);
    tokio::select! {
        _ = async { tokio::join!(round.each(known, FIRST_PAUSE), round.look_up(unknown, FIRST_PAUSE)) } => {}
        () = round.rows.closed() => {}
    }
}

impl<Q: Question> Round<Q> {
    fn send(&self, group: GroupId, row: Result<Q::Answer, RowError>) {
        // a dropped receiver ends the round in `ask`
        let _ = self.rows.send((group, row));
    }

    /// Splits the groups into those whose coordinators are known, by coordinator, and the others.
    fn known(&self, asked: Keys<Q>) -> (HashMap<BrokerId, Keys<Q>>, Keys<Q>) {
        let (mut known, mut unknown) = (HashMap::<_, Keys<Q>>::new(), Vec::new());
        let coordinators = self.asking.coordinators.lock();
        for of in asked {
            match coordinators.get(of.group()) {
                Some(broker) => known.entry(*broker).or_default().push(of),
                None => unknown.push(of),
            }
        }
        (known, unknown)
    }

    /// Finds the coordinators of groups and sends them the requests. Groups without one are tried again after the pause, or get an error.
    async fn look_up(&self, asked: Keys<Q>, pause: Duration) {
        if asked.is_empty() {
            return;
        }
        let groups: Vec<_> = asked.iter().map(|of| of.group().clone()).collect();
        let (found, general) = match find(&self.asking, &groups, self.until).await {
            Ok(found) => (found, RowError::Broker("the group is not in the answer".into())),
            Err(error) => (Vec::new(), error),
        };
        let mut errors = HashMap::new();
        {
            let mut coordinators = self.asking.coordinators.lock();
            if coordinators.len() > MOST_REMEMBERED {
                coordinators.clear();
            }
            for (group, broker) in found {
                match broker {
                    Ok(broker) => {
                        coordinators.insert(group, broker.id);
                        self.asking.brokers.learn_one(&broker);
                    }
                    Err(error) => drop(errors.insert(group, row_error(error))),
                }
            }
        }
        let (known, unknown) = self.known(asked);
        let mut again = Vec::new();
        for of in unknown {
            let error = errors.remove(of.group()).unwrap_or_else(|| general.clone());
            if matches!(error, RowError::Moving(_)) && self.has_time(pause) {
                again.push(of);
            } else {
                self.send(of.group().clone(), Err(error));
            }
        }
        tokio::join!(self.each(known, pause), self.again(again, pause));
    }

    /// Sends the requests for groups once more, after the pause.
    async fn again(&self, asked: Keys<Q>, pause: Duration) {
        if !asked.is_empty() {
            sleep(pause).await;
            Box::pin(self.look_up(asked, LONGEST_PAUSE.min(2 * pause))).await;
        }
    }

    fn has_time(&self, pause: Duration) -> bool {
        Instant::now() + pause < self.until
    }

    /// Sends each coordinator the requests for its groups.
    async fn each(&self, known: HashMap<BrokerId, Keys<Q>>, pause: Duration) {
        let chunks = known
            .into_iter()
            .flat_map(|(broker, asked)| chunks::<Q>(asked).into_iter().map(move |chunk| (broker, chunk)));
        let mut asking: FuturesUnordered<_> = chunks.map(|(broker, chunk)| self.chunk(broker, chunk, pause)).collect();
        while asking.next().await.is_some() {}
    }

    async fn chunk(&self, broker: BrokerId, asked: Keys<Q>, pause: Duration) {
        let answers = async {
            let connection = self.asking.connection(broker, Q::API, self.until).await?;
            Q::ask(&self.asking, &connection, &asked, self.until).await
        };
        let (answers, general) = match answers.await {
            Ok(answers) => (answers, RowError::Broker("the group is not in the answer".into())),
            Err(error) => (Vec::new(), error),
        };
        let mut answers = answers.into_iter();
        let mut again = Vec::new();
        for of in asked {
            let group = of.group();
            let answer = answers.next().flatten().unwrap_or_else(|| Err(general.clone()));
            if let Err(RowError::Moving(_) | RowError::Unreachable(_) | RowError::Overdue(_)) = &answer {
                let mut coordinators = self.asking.coordinators.lock();
                if coordinators.get(group) == Some(&broker) {
                    coordinators.remove(group);
                }
            }
            let may_ask_again = match &answer {
                Err(RowError::Moving(_)) => true,
                Err(RowError::Unreachable(_)) => pause == FIRST_PAUSE,
                _ => false,
            };
            if may_ask_again && self.has_time(pause) {
                again.push(of);
            } else {
                self.send(group.clone(), answer);
            }
        }
        self.again(again, pause).await;
    }
}

/// Splits keys into requests by the size of their answers.
fn chunks<Q: Question>(asked: Keys<Q>) -> Vec<Keys<Q>> {
    let mut chunks: Vec<Keys<Q>> = Vec::new();
    let mut rows = 0;
    for of in asked {
        let weight = of.weight();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < MAX_GROUPS && rows + weight <= MAX_ROWS => {
                rows += weight;
                chunk.push(of);
            }
            _ => {
                rows = weight;
                chunks.push(vec![of]);
            }
        }
    }
    chunks
}

/// Looks up coordinators at any broker. Calls `FindCoordinator` (<https://kafka.apache.org/protocol.html>): `MAX_GROUPS` groups per
/// request from version 4 on, one per request before that.
async fn find(
    asking: &ClusterClient,
    groups: &[GroupId],
    until: Instant,
) -> Result<Vec<(GroupId, Row<Broker>)>, RowError> {
    let connection = asking.any(None, UpstreamApi::KafkaFindCoordinator, until).await?;
    let batches =
        connection.version::<FindCoordinator<'_>>().is_ok_and(|version| version >= FindCoordinator::BATCHES_FROM);
    let size = if batches { MAX_GROUPS } else { 1 };
    let requests: Vec<_> = groups.chunks(size).map(|groups| FindCoordinator { groups }).collect();
    let found = asking.ask_each(&connection, UpstreamApi::KafkaFindCoordinator, &requests, until).await;
    found.map(|found| found.into_iter().flatten().collect())
}
