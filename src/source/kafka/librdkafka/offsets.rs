//! One end of the log, for the partitions of one leader.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::row_error::row_error;
use super::topics;
use crate::lag::{Offset, PartitionId};
use crate::source::kafka::native::{Ask, MAX_OFFSETS, PartitionRow, Reply, locked};
use crate::source::kafka::transport::{BrokerId, LogPosition, RowError, TopicPartition, TopicsAsk};

const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Leaders are asked for at most so often because of failed rows.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
const REFRESH_DEADLINE: Duration = Duration::from_secs(3);

type Answers = UnboundedSender<(TopicPartition, Result<Offset, RowError>)>;

/// Reads chunk after chunk; the chunks of one leader would only wait for each other.
pub(super) async fn read(
    client: Arc<Client>,
    leader: BrokerId,
    asked: Vec<TopicPartition>,
    at: LogPosition,
    deadline: Duration,
    rows: Answers,
) {
    let until = Instant::now() + deadline;
    for chunk in asked.chunks(MAX_OFFSETS) {
        let answered = with_retry(&client, leader, chunk, at, until).await;
        for row in answered {
            // Nobody listens: the check below ends the loop.
            let _ = rows.send(row);
        }
        if rows.is_closed() {
            return;
        }
    }
}

/// Asks again, once, for the rows whose leader was moving: librdkafka has then forgotten the old one.
async fn with_retry(
    client: &Arc<Client>,
    leader: BrokerId,
    asked: &[TopicPartition],
    at: LogPosition,
    until: Instant,
) -> Vec<(TopicPartition, Result<Offset, RowError>)> {
    let first = once(client, leader, asked, at, until).await;
    let (moving, mut done): (Vec<_>, Vec<_>) =
        first.into_iter().partition(|(_, row)| matches!(row, Err(RowError::Moving(_))));
    if moving.is_empty() || Instant::now() + RETRY_AFTER >= until {
        done.extend(moving);
    } else {
        sleep(RETRY_AFTER).await;
        let again: Vec<_> = moving.into_iter().map(|(key, _)| key).collect();
        done.extend(once(client, leader, &again, at, until).await);
    }
    if done.iter().any(|(_, row)| row.as_ref().is_err_and(is_about_the_leader)) {
        refresh_leaders(client, asked);
    }
    done
}

fn is_about_the_leader(error: &RowError) -> bool {
    matches!(error, RowError::Moving(_) | RowError::Unreachable(_) | RowError::Overdue(_))
}

async fn once(
    client: &Client,
    leader: BrokerId,
    asked: &[TopicPartition],
    at: LogPosition,
    until: Instant,
) -> Vec<(TopicPartition, Result<Offset, RowError>)> {
    let reply = client.ask(|timeout| Ask::Offsets { partitions: asked.to_vec(), at, timeout }, until).await;
    let rows = reply.and_then(|reply| match reply {
        Reply::Partitions(rows) => Ok(rows),
        _ => Err(RowError::Broker("an answer to another question".to_owned())),
    });
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return asked.iter().map(|key| (key.clone(), Err(error.clone()))).collect(),
    };
    let silent = || client.unanswered(format!("no answer from broker {}", leader.0));
    let mut came: HashMap<TopicPartition, _> = rows
        .into_iter()
        .filter_map(|PartitionRow { topic, partition, offset, error }| {
            let partition = PartitionId(u32::try_from(partition).ok()?);
            // librdkafka makes up rows without an error for brokers that did not answer, with a negative offset.
            let value = match error {
                Some(failure) => Err(row_error(&failure, None)),
                None => Offset::from_wire(offset).ok_or_else(silent),
            };
            Some((TopicPartition { topic, partition }, value))
        })
        .collect();
    let missing = || Err(RowError::Broker("the partition is not in the answer".to_owned()));
    asked.iter().map(|key| (key.clone(), came.remove(key).unwrap_or_else(missing))).collect()
}

/// librdkafka goes on asking a dead leader until somebody makes it look for the new one.
fn refresh_leaders(client: &Arc<Client>, asked: &[TopicPartition]) {
    {
        let mut last = locked(&client.leaders_refreshed);
        let now = Instant::now();
        if last.is_some_and(|last| now - last < REFRESH_EVERY) {
            return;
        }
        *last = Some(now);
    }
    let mut names: Vec<_> = asked.iter().map(|key| key.topic.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let client = Arc::clone(client);
    // Its rows are not for this round; a failure shows in the next one's.
    tokio::spawn(async move { topics::read(&client, TopicsAsk::Named(names), REFRESH_DEADLINE).await.map(drop) });
}
