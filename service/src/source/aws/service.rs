//! The AWS calls of readings, separate from the SDK, so that tests can run readings on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use super::clients::Aws;
use super::cloudwatch::{self, Points, Span};
use super::failure::Failure;
use super::page::{Page, ShardsPage};
use super::tables::TableRead;
use super::{dynamodb_streams, kinesis, tables};
use crate::lag::streams::{Position, ShardId, StreamState, Timestamp};
use crate::trigger::{CheckpointStore, KinesisStream, StreamName};

/// The stream as calls identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The Kinesis stream that has this name or ARN now.
    Kinesis(KinesisStream),
    /// The stream of a DynamoDB table with this ARN: a stream that is disabled and enabled again has another one.
    DynamoDb(Arc<str>),
}

impl Address {
    /// Returns the end of the ARN, which distinguishes the streams that one table has had.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Kinesis(_) => None,
            Self::DynamoDb(arn) => arn.rsplit('/').next(),
        }
    }
}

/// The identity of a stream, and the limits for reading it.
#[derive(Clone, Debug)]
pub struct Description {
    /// The address of the stream.
    pub address: Address,
    /// When the stream was created, where the service reports it; another stream of the same name has another time.
    pub created: Option<Timestamp>,
    /// The retention period of the stream's records.
    pub retention: Duration,
    /// The minimum time between two reads of a shard.
    pub reads_apart: Duration,
    /// Whether the number of shards can be changed.
    pub state: StreamState,
}

/// One account and region, called with one identity.
pub trait Service: Send + Sync + 'static {
    /// Returns the time of the service's clock.
    fn now(&self) -> Timestamp;

    /// Describes a stream, by `DescribeStreamSummary` or `DescribeTable`.
    fn describe(&self, stream: &StreamName) -> impl Future<Output = Result<Description, Failure>> + Send;

    /// Returns a page of the list of shards: the first one, or the one that `next` names.
    fn shards(
        &self,
        stream: &Address,
        next: Option<String>,
    ) -> impl Future<Output = Result<ShardsPage, Failure>> + Send;

    /// Returns an iterator for `position` of a shard, by `GetShardIterator`.
    fn iterator(
        &self,
        stream: &Address,
        shard: &ShardId,
        position: &Position,
    ) -> impl Future<Output = Result<String, Failure>> + Send;

    /// Returns the first records after an iterator, by `GetRecords`: one of a DynamoDB stream, `limit` of a Kinesis stream.
    fn page(
        &self,
        stream: &Address,
        shard: &ShardId,
        iterator: String,
        limit: i32,
    ) -> impl Future<Output = Result<Page, Failure>> + Send;

    /// Returns the points of the writes to each of the streams, in one `GetMetricData` call.
    fn points(
        &self,
        streams: &[KinesisStream],
        span: Span,
    ) -> impl Future<Output = Result<Vec<Points>, Failure>> + Send;

    /// Returns every row of a checkpoint table, by `Scan` or `Query`.
    fn rows(&self, store: &CheckpointStore) -> impl Future<Output = Result<TableRead, Failure>> + Send;
}

impl Service for Aws {
    fn now(&self) -> Timestamp {
        self.now()
    }

    async fn describe(&self, stream: &StreamName) -> Result<Description, Failure> {
        match stream {
            StreamName::Kinesis(name) => {
                let summary = kinesis::summary(self, name).await?;
                Ok(Description {
                    address: Address::Kinesis(name.clone()),
                    created: summary.created,
                    retention: summary.retention,
                    reads_apart: summary.reads_apart,
                    state: summary.state,
                })
            }
            StreamName::DynamoDb(table) => {
                let arn = dynamodb_streams::stream_arn(self, table).await?;
                Ok(Description {
                    address: Address::DynamoDb(arn.into()),
                    created: None,
                    retention: dynamodb_streams::RETENTION,
                    reads_apart: Duration::ZERO,
                    // DynamoDB manages the number of shards
                    state: StreamState::OnDemand,
                })
            }
        }
    }

    async fn shards(&self, stream: &Address, next: Option<String>) -> Result<ShardsPage, Failure> {
        match stream {
            Address::Kinesis(name) => kinesis::shards(self, name, next).await,
            Address::DynamoDb(arn) => dynamodb_streams::shards(self, arn, next).await,
        }
    }

    async fn iterator(&self, stream: &Address, shard: &ShardId, position: &Position) -> Result<String, Failure> {
        match stream {
            Address::Kinesis(name) => kinesis::iterator(self, name, shard, position).await,
            Address::DynamoDb(arn) => dynamodb_streams::iterator(self, arn, shard, position).await,
        }
    }

    async fn page(&self, stream: &Address, shard: &ShardId, iterator: String, limit: i32) -> Result<Page, Failure> {
        match stream {
            Address::Kinesis(name) => kinesis::page(self, name, shard, iterator, limit).await,
            Address::DynamoDb(arn) => dynamodb_streams::page(self, arn, shard, iterator).await,
        }
    }

    async fn points(&self, streams: &[KinesisStream], span: Span) -> Result<Vec<Points>, Failure> {
        cloudwatch::points(self, streams, span).await
    }

    async fn rows(&self, store: &CheckpointStore) -> Result<TableRead, Failure> {
        tables::read(self, store).await
    }
}
