//! Brokers, and ids, partitions and leaders of topics.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};

use super::ClusterClient;
use super::answers::row_error;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{Metadata, MetadataAnswer};
use crate::source::kafka::transport::{Broker, RowError, TopicName, TopicRows, TopicsAsk};
use crate::telemetry::UpstreamApi;

/// The maximum number of topic names in one request.
const MAX_NAMES: usize = 500;
/// A live broker answers in milliseconds; after this time the request also goes to another one, because a round waits for its leaders.
const ALONE_FOR: Duration = Duration::from_millis(250);

/// Returns the live brokers. Calls `Metadata` (<https://kafka.apache.org/protocol.html>) without topics.
pub(super) async fn brokers(asking: &ClusterClient, until: Instant) -> Result<Vec<Broker>, RowError> {
    metadata(asking, Some(&[]), until).await.map(|answer| answer.brokers)
}

/// Returns the topics, each once. Calls `Metadata` with `MAX_NAMES` names per request, or once for all topics.
pub(super) async fn read(asking: &ClusterClient, ask: TopicsAsk, until: Instant) -> Result<TopicRows, RowError> {
    let mut names = match ask {
        TopicsAsk::Named(names) => names,
        TopicsAsk::All => {
            let answer = metadata(asking, None, until).await?;
            return Ok(answer.topics.into_iter().map(|(name, topic)| (name, topic.map_err(row_error))).collect());
        }
    };
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::with_capacity(names.len());
    for names in names.chunks(MAX_NAMES) {
        let answer = metadata(asking, Some(names), until).await?;
        let mut came: HashMap<_, _> = answer.topics.into_iter().collect();
        let missing = || Err(RowError::Broker("the topic is not in the answer".into()));
        rows.extend(
            names
                .iter()
                .map(|name| (name.clone(), came.remove(name).map_or_else(missing, |topic| topic.map_err(row_error)))),
        );
    }
    Ok(rows)
}

/// Calls `Metadata` on one broker, and on another one where the first does not answer soon. The first answer counts.
async fn metadata(
    asking: &ClusterClient,
    topics: Option<&[TopicName]>,
    until: Instant,
) -> Result<MetadataAnswer, RowError> {
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
