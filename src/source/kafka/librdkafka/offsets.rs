//! One end of the log, for the partitions of one leader.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::client::Client;
use super::row_error::row_error;
use crate::lag::{Offset, PartitionId};
use crate::source::kafka::native::{Ask, MAX_OFFSETS, PartitionRow, Reply};
use crate::source::kafka::transport::{BrokerId, LogPosition, RowError, TopicPartition};

type Answers = UnboundedSender<(TopicPartition, Result<Offset, RowError>)>;

/// Reads chunk after chunk; the chunks of one leader would only wait for each other. Nothing is asked twice here: librdkafka
/// asks a leader that moved or died again and again until its topic is looked up, which is for the round to do.
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
        let answered = once(&client, leader, chunk, at, until).await;
        for row in answered {
            // Nobody listens: the check below ends the loop.
            let _ = rows.send(row);
        }
        if rows.is_closed() {
            return;
        }
    }
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
