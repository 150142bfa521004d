//! A DynamoDB table that records every change of a stream: an audit log for readers without access to the cluster or its logs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::resharding::ShardChange;
use crate::lag::SourceError;
use crate::telemetry::UpstreamApi;
use crate::trigger::{KinesisStream, is_table};

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
