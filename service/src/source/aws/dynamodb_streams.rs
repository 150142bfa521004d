//! The API calls for DynamoDB Streams.

use std::time::Duration;

use aws_sdk_dynamodbstreams::types::{Shard as SdkShard, ShardIteratorType};
use aws_smithy_types::DateTime;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::failure::{Failure, FailureKind};
use super::page::{Page, PageRecord, Requested, ShardsPage, timestamp};
use crate::lag::streams::{Position, SequenceNumber, Shard, ShardId, ShardState};
use crate::telemetry::UpstreamApi;

/// The fixed retention of a DynamoDB stream: 24 hours.
pub(crate) const RETENTION: Duration = Duration::from_secs(86_400);

/// The stream of a table, as `DescribeTable` reports it.
pub struct TableStream {
    /// The ARN of the present stream, or for a day after the stream was disabled that of the last one.
    pub arn: Option<String>,
    /// The view type of the stream's records, such as `NEW_IMAGE`; `None` where the stream is disabled.
    pub view: Option<String>,
}

/// Returns the ARN of the table's present stream; an error where the table has none.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn stream_arn(aws: &Aws, table: &str) -> Result<String, Failure> {
    let arn = table_stream(aws, table).await?.arn;
    arn.ok_or_else(|| Failure::new(FailureKind::Missing, format!("table {table} has no stream")))
}

/// Returns the table's stream. Calls `DescribeTable`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html>) once.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn table_stream(aws: &Aws, table: &str) -> Result<TableStream, Failure> {
    let scope = Scope::account(UpstreamApi::DynamoDbDescribeTable);
    let answer = aws
        .call(TurnWait::Background, scope, |clients| clients.dynamodb.describe_table().table_name(table).send())
        .await?;
    let Some(table) = answer.table else { return Ok(TableStream { arn: None, view: None }) };
    let specified = table.stream_specification.filter(|stream| stream.stream_enabled);
    let view = specified.and_then(|stream| stream.stream_view_type).map(|view| view.as_str().to_owned());
    Ok(TableStream { arn: table.latest_stream_arn, view })
}

/// Returns one page of the listed shards, closed ones included. Calls `DescribeStream`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_DescribeStream.html>): at most 10 calls per second and
/// account; `after` is the last shard of the previous page.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn shards(aws: &Aws, arn: &str, after: Option<String>) -> Result<ShardsPage, Failure> {
    let scope = Scope::account(UpstreamApi::StreamsDescribeStream);
    let mut requested = Requested::now(aws);
    let page = aws
        .call(TurnWait::Background, scope, |clients| {
            requested = Requested::now(aws);
            clients.streams.describe_stream().stream_arn(arn).set_exclusive_start_shard_id(after).send()
        })
        .await?;
    let Some(stream) = page.stream_description else {
        return Err(Failure::new(FailureKind::Other, "no stream in the answer"));
    };
    let shards = stream.shards.unwrap_or_default().iter().filter_map(shard).collect();
    Ok(ShardsPage { requested, shards, widest: None, next: stream.last_evaluated_shard_id })
}

fn shard(shard: &SdkShard) -> Option<Shard> {
    let closed = shard.sequence_number_range.as_ref().is_some_and(|range| range.ending_sequence_number.is_some());
    Some(Shard {
        id: ShardId::new(shard.shard_id.as_deref()?),
        parents: shard.parent_shard_id.iter().map(|parent| ShardId::new(parent)).collect(),
        state: if closed { ShardState::Closed } else { ShardState::Open },
        first: shard
            .sequence_number_range
            .as_ref()
            .and_then(|range| range.starting_sequence_number.as_deref())
            .and_then(SequenceNumber::parse),
    })
}

/// Returns an iterator for `position`. Calls `GetShardIterator`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html>).
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn iterator(aws: &Aws, arn: &str, shard: &ShardId, position: &Position) -> Result<String, Failure> {
    let scope = Scope::of(UpstreamApi::StreamsGetShardIterator, format!("{arn}/{shard}"));
    let answer = aws
        .call(TurnWait::Reading, scope, |clients| {
            let request = clients.streams.get_shard_iterator().stream_arn(arn).shard_id(shard.as_str());
            match position {
                Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                Position::At(time) => request
                    .shard_iterator_type(ShardIteratorType::AtTimestamp)
                    .timestamp(DateTime::from_millis(i64::try_from(time.unix_ms()).unwrap_or(i64::MAX))),
                Position::After(number) | Position::Within(number, _) => {
                    request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(number.as_str())
                }
            }
            .send()
        })
        .await
        .map_err(Failure::of_checkpoint)?;
    answer.shard_iterator.ok_or_else(|| Failure::new(FailureKind::Other, "no iterator in the answer"))
}

/// Returns the first record after an iterator. Calls `GetRecords`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html>) with a limit of one record.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn page(aws: &Aws, arn: &str, shard: &ShardId, iterator: String) -> Result<Page, Failure> {
    let scope = Scope::of(UpstreamApi::StreamsGetRecords, format!("{arn}/{shard}"));
    let mut at = aws.now();
    let answer = aws
        .call(TurnWait::Reading, scope, |clients| {
            at = aws.now();
            clients.streams.get_records().shard_iterator(iterator).limit(1).send()
        })
        .await?;
    let records = answer.records.unwrap_or_default();
    let records = records.iter().map(|record| {
        let change = record.dynamodb.as_ref();
        Ok(PageRecord {
            number: change.and_then(|change| SequenceNumber::parse(change.sequence_number.as_deref()?)),
            arrived: timestamp(change.and_then(|change| change.approximate_creation_date_time.as_ref()))?,
            user_records: 1,
        })
    });
    Ok(Page { at, records: records.collect::<Result<_, Failure>>()?, next: answer.next_shard_iterator, behind: None })
}
