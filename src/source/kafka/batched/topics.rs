//! Brokers, and ids, partitions and leaders of topics.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};

use super::Asking;
use super::row_error::row_error;
use crate::lag::{PartitionId, TopicId};
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{Metadata, MetadataAnswer, TopicMetadata};
use crate::source::kafka::transport::{
    Broker, BrokerId, Leader, LeaderEpoch, RowError, Topic, TopicName, TopicRows, TopicsAsk,
};
use crate::telemetry::UpstreamApi;

/// Names in one request.
const MAX_NAMES: usize = 500;
/// A living broker answers in milliseconds; after this long another one is asked too, because a round waits for its leaders.
const ALONE_FOR: Duration = Duration::from_millis(250);

/// The brokers.
pub(super) async fn brokers(asking: &Asking, until: Instant) -> Result<Vec<Broker>, RowError> {
    let answer = metadata(asking, Some(&[]), until).await?;
    let brokers = answer.brokers.into_iter().map(|broker| {
        let no_port = || RowError::Broker(format!("broker {} says that its port is {}", broker.id, broker.port));
        let port = u16::try_from(broker.port).map_err(|_| no_port())?;
        Ok(Broker { id: BrokerId(broker.id), host: broker.host, port })
    });
    brokers.collect()
}

/// Topics, each once.
pub(super) async fn read(asking: &Asking, ask: TopicsAsk, until: Instant) -> Result<TopicRows, RowError> {
    let mut names = match ask {
        TopicsAsk::Named(names) => names,
        TopicsAsk::All => {
            let answer = metadata(asking, None, until).await?;
            return Ok(answer.topics.iter().map(|topic| (topic.name.as_str().into(), row(topic))).collect());
        }
    };
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::with_capacity(names.len());
    for names in names.chunks(MAX_NAMES) {
        let answer = metadata(asking, Some(names), until).await?;
        let came: HashMap<_, _> = answer.topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        let missing = || Err(RowError::Broker("the topic is not in the answer".to_owned()));
        rows.extend(
            names.iter().map(|name| (name.clone(), came.get(&**name).map_or_else(missing, |topic| row(topic)))),
        );
    }
    Ok(rows)
}

fn row(topic: &TopicMetadata) -> Result<Topic, RowError> {
    if let Some(error) = row_error(topic.error) {
        return Err(error);
    }
    let partitions = topic.leaders.iter().filter_map(|row| {
        let leader = Leader { broker: BrokerId(row.leader), epoch: LeaderEpoch::from_wire(row.epoch) };
        Some((PartitionId(u32::try_from(row.partition).ok()?), (row.leader >= 0).then_some(leader)))
    });
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(Topic { id: (topic.id != 0).then_some(TopicId(topic.id)), partitions })
}

/// Asks one broker, and another one where that does not answer soon. The first answer counts.
async fn metadata(asking: &Asking, topics: Option<&[TopicName]>, until: Instant) -> Result<MetadataAnswer, RowError> {
    let first = asking.any(None, UpstreamApi::KafkaMetadata, until).await?;
    let ask = async |connection: &LoggedIn| {
        asking.ask(connection, UpstreamApi::KafkaMetadata, &Metadata { topics }, until).await
    };
    let second = async {
        let another = asking.any(Some(&first.address), UpstreamApi::KafkaMetadata, until).await?;
        ask(&another).await
    };
    let asked = Box::pin(ask(&first));
    let answer = match select(asked, Box::pin(sleep(ALONE_FOR))).await {
        Either::Left((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(error), _)) => second.await.map_err(|_| error),
        Either::Right(((), asked)) => match select(asked, Box::pin(second)).await {
            Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
            Either::Left((Err(error), other)) => other.await.map_err(|_| error),
            Either::Right((Err(_), asked)) => asked.await,
        },
    }?;
    asking.brokers.learn(&answer.brokers);
    Ok(answer)
}
