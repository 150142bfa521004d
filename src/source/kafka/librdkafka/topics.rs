//! Ids, partitions and leaders of topics.
//!
//! The brokers' answer also renews librdkafka's own view of the leaders. The request is sent to a broker that has just answered and
//! not to the controller, as librdkafka would: a client keeps the name of a dead controller for as long as nobody corrects it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::row_error::row_error;
use crate::lag::{PartitionId, TopicId};
use crate::source::kafka::native::{Ask, Reply, TopicFound, TopicRow, locked};
use crate::source::kafka::transport::{BrokerId, RowError, Topic, TopicName, TopicRows, TopicsAsk};

/// Names in one request.
const MAX_NAMES: usize = 500;

/// A living broker answers in milliseconds; one that takes longer is passed over, because a round waits for its leaders.
const PASSED_OVER_AFTER: Duration = Duration::from_millis(250);

pub(super) async fn read(client: &Arc<Client>, ask: TopicsAsk, deadline: Duration) -> Result<TopicRows, RowError> {
    let until = Instant::now() + deadline;
    let mut names = match ask {
        TopicsAsk::Named(names) => names,
        TopicsAsk::All => client.metadata(None, until).await?.topics,
    };
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::with_capacity(names.len());
    for chunk in names.chunks(MAX_NAMES) {
        rows.extend(describe(client, chunk, until).await?);
    }
    Ok(rows)
}

/// Asks the broker that answered last, then another, then one that the brokers name now; only the last one has all the time.
async fn describe(client: &Arc<Client>, names: &[TopicName], until: Instant) -> Result<TopicRows, RowError> {
    let Some(name) = names.first() else { return Ok(Vec::new()) };
    for _ in 0..2 {
        let Some(from) = locked(&client.informants).front().copied() else { break };
        match describe_from(client, from, names, until.min(Instant::now() + PASSED_OVER_AFTER)).await {
            Err(RowError::Overdue(_) | RowError::Unreachable(_)) => {}
            answered => return answered,
        }
        let mut informants = locked(&client.informants);
        if informants.front() == Some(&from) {
            informants.rotate_left(1);
        }
    }
    let living = client.metadata(Some(name), until).await?.brokers;
    let Some(from) = living.first() else {
        return Err(RowError::Unreachable("the cluster names no broker".to_owned()));
    };
    describe_from(client, from.id, names, until).await
}

async fn describe_from(
    client: &Arc<Client>,
    from: BrokerId,
    names: &[TopicName],
    until: Instant,
) -> Result<TopicRows, RowError> {
    let reply = client.ask(|timeout| Ask::Topics { names: names.to_vec(), from, timeout }, until).await?;
    let Reply::Topics(rows) = reply else {
        return Err(RowError::Broker("an answer to another question".to_owned()));
    };
    let mut came: HashMap<TopicName, _> = rows.into_iter().map(|TopicRow { name, found }| (name, found)).collect();
    let row = |name: &TopicName| {
        let found = match came.remove(name) {
            Some(Ok(found)) => Ok(topic(found)),
            Some(Err(failure)) => Err(row_error(&failure, None)),
            None => Err(RowError::Broker("the topic is not in the answer".to_owned())),
        };
        (name.clone(), found)
    };
    Ok(names.iter().map(row).collect())
}

fn topic(TopicFound { id, partitions }: TopicFound) -> Topic {
    let mut partitions: Vec<_> = partitions
        .into_iter()
        .filter_map(|(partition, leader)| Some((PartitionId(u32::try_from(partition).ok()?), leader)))
        .collect();
    partitions.sort_unstable_by_key(|(partition, _)| *partition);
    Topic { id: (id != 0).then_some(TopicId(id)), partitions }
}
