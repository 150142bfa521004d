//! The call that changes the number of shards, and the ledger: a DynamoDB table that records every change of a stream, an audit log for
//! readers without access to the cluster or its logs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::types::ScalingType;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::control::StreamControl;
use super::kinesis::named;
use crate::lag::streams::{StreamState, Timestamp};
use crate::lag::{SourceError, SourceErrorKind};
use crate::telemetry::UpstreamApi;
use crate::trigger::{KinesisStream, is_table};

/// A change of the number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardChange {
    /// When it was decided, by the service's clock.
    pub at: Timestamp,
    /// The number of open shards before the change.
    pub from: u32,
    /// The number of open shards after the change.
    pub to: u32,
    /// The reason for the change.
    pub why: String,
}

impl StreamControl {
    /// Resizes the stream. Targets are absolute: after a lost answer the scaler reads the stream instead of repeating the call. It then
    /// logs the change and writes it to the ledger, if there is one; a failure of the ledger is logged.
    ///
    /// # Errors
    /// Returns an error when the service refuses the call, or when it did not answer and the stream does not show the change.
    pub async fn resize(&self, change: &ShardChange) -> Result<(), SourceError> {
        match self.update_shard_count(change.to).await {
            Err(error) if matches!(error.kind(), SourceErrorKind::TimedOut | SourceErrorKind::Unreachable) => {
                let reading = self.read(std::time::Duration::ZERO).await?;
                if reading.state != StreamState::Updating && reading.capacity.open != change.to {
                    return Err(error);
                }
            }
            answer => answer?,
        }
        tracing::info!(stream = %self, from = change.from, to = change.to, why = change.why, "resized");
        if let Some(ledger) = &self.account.ledger
            && let Err(error) = ledger.add(&self.account.aws, &self.stream, change).await
        {
            tracing::warn!(stream = %self, error = error.chain(), "the change is missing in the ledger");
        }
        Ok(())
    }

    /// Calls `UpdateShardCount`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>): at most ten times per day and stream.
    async fn update_shard_count(&self, target: u32) -> Result<(), SourceError> {
        let scope = Scope::of(UpstreamApi::KinesisUpdateShardCount, self.stream.as_given());
        let updated = self.account.aws.call(TurnWait::Reading, scope, |clients| {
            let (name, arn) = named(&self.stream);
            let target = i32::try_from(target).unwrap_or(i32::MAX);
            let request = clients.kinesis.update_shard_count().set_stream_name(name).set_stream_arn(arn);
            request.target_shard_count(target).scaling_type(ScalingType::UniformScaling).send()
        });
        let attempt = || format!("could not set the shards of stream {} to {target}", self.stream);
        updated.await.map(|_| ()).map_err(|failure| failure.into_error(attempt()))
    }
}

/// How long an item is kept where the table's time-to-live attribute is `expiresAt`.
const KEPT: Duration = Duration::from_secs(14 * 86_400);

/// The ledger table, in the account and region of the stream. Its partition key is `streamName` and its sort key `scalingDatetime`,
/// both of type string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerTable(Arc<str>);

impl LedgerTable {
    /// Returns the table of this name; `None` where the name is not a valid DynamoDB table name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        is_table(name).then(|| Self(name.into()))
    }

    /// Adds one item. Calls `PutItem` (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>) once per change.
    pub(super) async fn add(&self, aws: &Aws, stream: &KinesisStream, change: &ShardChange) -> Result<(), SourceError> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let number = |value: u64| AttributeValue::N(value.to_string());
        let expires_at = change.at.plus(KEPT).unix_ms() / 1000;
        let item = [
            ("streamName", text(stream.name())),
            ("scalingDatetime", text(&change.at.to_string())),
            ("shardCount", number(change.from.into())),
            ("targetShardCount", number(change.to.into())),
            ("scalingType", text("UNIFORM_SCALING")),
            ("why", text(&change.why)),
            ("expiresAt", number(expires_at)),
        ];
        let item = item.map(|(name, value)| (name.to_owned(), value)).into();
        let scope = Scope::of(UpstreamApi::DynamoDbPutItem, &*self.0);
        let put = aws.call(TurnWait::Reading, scope, |clients| {
            clients.dynamodb.put_item().table_name(&*self.0).set_item(Some(item)).send()
        });
        let attempt = || format!("could not add an item to the ledger table {}", self.0);
        put.await.map(drop).map_err(|failure| failure.into_error(attempt()))
    }
}
