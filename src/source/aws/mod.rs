//! Kinesis, DynamoDB Streams and checkpoint tables of one account and region, asked as one identity.
//!
//! Everything that is read is shared by all who ask: the shards of a stream, the rows of a table, what a look into a shard told.

mod application;
mod budget;
mod cached;
mod clients;
mod clock;
pub(super) mod credentials;
mod dynamodb_streams;
mod failure;
pub(super) mod identity;
mod kinesis;
pub(super) mod leases;
mod page;
pub(super) mod probe;
pub(super) mod rights;
mod stream;
mod tables;

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument as _;

use self::application::{Progress, Round};
use self::cached::{Cached, Kept};
use self::clients::Aws;
use self::stream::{SHARDS_LAST, Stream};
use self::tables::TableRead;
use crate::lag::streams::ShardState;
use crate::lag::{Observation, Report, ShardsObservation, SourceError};
use crate::telemetry::UpstreamMetrics;
use crate::trigger::{AwsIdentity, CheckpointStore, SourceRef, StreamName, StreamSource};

/// Reads the streams of one account and region with one identity.
pub(super) struct AwsClient {
    aws: Aws,
    streams: Kept<StreamName, Stream>,
    tables: Kept<CheckpointStore, Cached<TableRead>>,
    applications: Kept<(StreamName, CheckpointStore), tokio::sync::Mutex<Progress>>,
}

impl AwsClient {
    /// A client; it connects when it is asked.
    pub(super) fn new(identity: AwsIdentity, metrics: UpstreamMetrics) -> Self {
        Self {
            aws: Aws::new(identity, metrics),
            streams: Kept::default(),
            tables: Kept::default(),
            applications: Kept::default(),
        }
    }

    /// Reads the `due` sources side by side and reports each exactly once.
    pub(super) async fn observe(self: &Arc<Self>, due: Vec<Arc<SourceRef>>, report: &Report) {
        let mut reading = JoinSet::new();
        for source in due {
            let (client, report) = (self.clone(), report.clone());
            reading.spawn(async move { report(&source, client.read(&source).await) }.in_current_span());
        }
        while reading.join_next().await.is_some() {}
    }

    async fn read(&self, source: &SourceRef) -> Result<Observation, SourceError> {
        match source {
            SourceRef::Shards(stream) => self.count(stream).await,
            SourceRef::Application(application) => Round::new(self, application).observe().await,
            SourceRef::Kafka(_) => Err(SourceError::misdirected(source, "AWS")),
        }
    }

    async fn count(&self, source: &StreamSource) -> Result<Observation, SourceError> {
        let stream = self.streams.of(&source.stream);
        let shards = stream.shards(&self.aws, &source.stream, SHARDS_LAST).await;
        let shards = shards.map_err(|failure| failure.into_error(format!("could not list the shards of {source}")))?;
        let open = shards.iter().filter(|shard| shard.state == ShardState::Open).count();
        let count = |shards: usize| u64::try_from(shards).unwrap_or(u64::MAX);
        Ok(Observation::Shards(ShardsObservation { open: count(open), closed: count(shards.len() - open) }))
    }
}
