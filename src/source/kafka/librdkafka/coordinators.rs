//! Requests that go to the coordinators of groups: one for each group, paced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument as _;

use super::client::Client;
use super::row_error::row_error;
use crate::lag::{CommittedOffset, Offset, PartitionId};
use crate::source::kafka::native::{Ask, PartitionRow, Reply, locked};
use crate::source::kafka::transport::{
    CommittedRows, GroupAsk, GroupId, GroupState, PartitionsAsk, RowError, TopicPartition,
};

/// A request that is not answered in this time no longer holds up the others.
const PACE: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_millis(100);

type Answers<V> = UnboundedSender<(GroupId, Result<V, RowError>)>;

/// What groups committed.
pub(super) async fn committed(
    client: Arc<Client>,
    asked: Vec<GroupAsk>,
    deadline: Duration,
    rows: Answers<CommittedRows>,
) {
    let asked = asked.into_iter().map(|GroupAsk { group, partitions }| (group, partitions)).collect();
    let ask = |group: &GroupId, partitions: &PartitionsAsk| Ask::Committed {
        group: group.clone(),
        partitions: match partitions {
            PartitionsAsk::Named(partitions) => Some(partitions.clone()),
            PartitionsAsk::AllCommitted => None,
        },
    };
    round(client, asked, deadline, rows, ask, committed_rows).await;
}

/// State and members of groups.
pub(super) async fn describe(client: Arc<Client>, ids: Vec<GroupId>, deadline: Duration, rows: Answers<GroupState>) {
    let asked = ids.into_iter().map(|id| (id, ())).collect();
    round(
        client,
        asked,
        deadline,
        rows,
        |group, ()| Ask::Group(group.clone()),
        |reply, ()| match reply {
            Reply::Group(state) => Some(state),
            _ => None,
        },
    )
    .await;
}

/// Asks for every group until all have answered, the deadline falls or nobody listens any more.
async fn round<P: Send + Sync + 'static, V: Send + 'static>(
    client: Arc<Client>,
    asked: Vec<(GroupId, P)>,
    deadline: Duration,
    rows: Answers<V>,
    ask: impl Fn(&GroupId, &P) -> Ask + Copy + Send + Sync + 'static,
    read: impl Fn(Reply, &P) -> Option<V> + Copy + Send + Sync + 'static,
) {
    let until = Instant::now() + deadline;
    client.replace_if_due().await;
    let ids: Vec<_> = asked.iter().map(|(group, _)| group.clone()).collect();
    let canaries = locked(&client.health).round(&ids, Instant::now());
    let mut tasks = JoinSet::new();
    for (group, partitions) in asked {
        let (client, rows, canary) = (Arc::clone(&client), rows.clone(), canaries.contains(&group));
        let asking = async move {
            let reply = with_retry(&client, &group, canary, until, || ask(&group, &partitions)).await;
            let row = reply.and_then(|reply| {
                read(reply, &partitions).ok_or_else(|| RowError::Broker("an answer to another question".to_owned()))
            });
            // Nobody listens: the loop below ends this task.
            let _ = rows.send((group, row));
        };
        tasks.spawn(asking.in_current_span());
    }
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = rows.closed() => {}
    }
}

/// Asks again, once, when the coordinator was moving.
async fn with_retry(
    client: &Client,
    group: &GroupId,
    canary: bool,
    until: Instant,
    ask: impl Fn() -> Ask,
) -> Result<Reply, RowError> {
    let first = paced(client, group, canary, until, ask()).await;
    if !matches!(first, Err(RowError::Moving(_))) || Instant::now() + RETRY_AFTER >= until {
        return first;
    }
    sleep(RETRY_AFTER).await;
    paced(client, group, canary, until, ask()).await
}

async fn paced(client: &Client, group: &GroupId, canary: bool, until: Instant, ask: Ask) -> Result<Reply, RowError> {
    let Ok(Ok(permit)) = timeout_at(until, client.pace.acquire()).await else {
        return Err(client.unanswered(format!("group {group} was not asked: requests before it are unanswered")));
    };
    let Some(request) = locked(&client.health).open(group, canary, Instant::now()) else {
        return Err(client.unanswered(format!("group {group} was not asked: its requests before are unanswered")));
    };
    let answer = client.ask_coordinator(ask, group, request, until);
    tokio::pin!(answer);
    let quick = timeout(PACE, &mut answer).await;
    drop(permit);
    let result = match quick {
        Ok(result) => result,
        Err(_) => answer.await,
    };
    if !matches!(result, Err(RowError::Overdue(_))) {
        locked(&client.health).moved(group, matches!(result, Err(RowError::Moving(_))));
    }
    result
}

/// A row for each partition that was asked for, or for all that came.
fn committed_rows(reply: Reply, asked: &PartitionsAsk) -> Option<CommittedRows> {
    let Reply::Partitions(rows) = reply else { return None };
    let came = rows.into_iter().filter_map(|row| {
        let partition = PartitionId(u32::try_from(row.partition).ok()?);
        let value = committed_offset(&row);
        Some((TopicPartition { topic: row.topic, partition }, value))
    });
    match asked {
        PartitionsAsk::AllCommitted => Some(came.collect()),
        PartitionsAsk::Named(asked) => {
            let mut came: HashMap<_, _> = came.collect();
            let missing = || Err(RowError::Broker("the partition is not in the answer".to_owned()));
            Some(asked.iter().map(|key| (key.clone(), came.remove(key).unwrap_or_else(missing))).collect())
        }
    }
}

fn committed_offset(row: &PartitionRow) -> Result<CommittedOffset, RowError> {
    match &row.error {
        Some(failure) => Err(row_error(failure, None)),
        None => Ok(Offset::from_wire(row.offset).map_or(CommittedOffset::None, CommittedOffset::At)),
    }
}
