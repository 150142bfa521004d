//! The API calls for Kinesis.

use std::time::Duration;

use aws_sdk_kinesis::types::{HashKeyRange, Shard as SdkShard, ShardIteratorType, StreamMode, StreamStatus};
use aws_smithy_types::DateTime;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::failure::{Failure, FailureKind};
use super::page::{Page, PageRecord, Requested, ShardsPage, timestamp, user_records};
use crate::lag::streams::{Position, SequenceNumber, Shard, ShardId, ShardState, StreamState, Timestamp};
use crate::telemetry::UpstreamApi;
use crate::trigger::KinesisStream;

/// Returns the stream's name and ARN for a request, which has either one or the other.
pub(super) fn named(stream: &KinesisStream) -> (Option<String>, Option<String>) {
    match stream.arn() {
        Some(arn) => (None, Some(arn.to_owned())),
        None => (Some(stream.name().to_owned()), None),
    }
}

/// Returns one page of the shards that hold records, closed ones included. Calls `ListShards`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>); `token` requests the next page.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn shards(aws: &Aws, stream: &KinesisStream, token: Option<String>) -> Result<ShardsPage, Failure> {
    let mut requested = Requested::now(aws);
    let scope = Scope::of(UpstreamApi::KinesisListShards, stream.as_given());
    let call = aws.call(TurnWait::Reading, scope, |clients| {
        // set again after the wait for the turn
        requested = Requested::now(aws);
        // a token identifies the stream, and AWS accepts no name beside it
        let (name, arn) = if token.is_none() { named(stream) } else { (None, None) };
        let request = clients.kinesis.list_shards().set_stream_name(name).set_stream_arn(arn);
        request.set_next_token(token).send()
    });
    let page = call.await?;
    let listed = page.shards.unwrap_or_default();
    let open = listed.iter().filter(|listed| shard(listed).state == ShardState::Open);
    let widest = open.map(|listed| share(listed.hash_key_range.as_ref())).collect::<Option<Vec<_>>>();
    let widest = widest.map(|shares| shares.into_iter().fold(0.0, f64::max));
    Ok(ShardsPage { requested, shards: listed.iter().map(shard).collect(), widest, next: page.next_token })
}

/// Returns the share of the hash key space that a range covers.
fn share(range: Option<&HashKeyRange>) -> Option<f64> {
    /// The size of the hash key space.
    const KEYS: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;
    let key = |text: &str| text.parse::<u128>().ok();
    let width = key(&range?.ending_hash_key)?.checked_sub(key(&range?.starting_hash_key)?)?;
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    Some((width as f64 + 1.0) / KEYS)
}

fn shard(shard: &SdkShard) -> Shard {
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
    let range = shard.sequence_number_range.as_ref();
    let closed = range.is_some_and(|range| range.ending_sequence_number.is_some());
    Shard {
        id: ShardId::new(&shard.shard_id),
        parents: parents.into_iter().flatten().map(|parent| ShardId::new(parent)).collect(),
        state: if closed { ShardState::Closed } else { ShardState::Open },
        first: range.and_then(|range| SequenceNumber::parse(&range.starting_sequence_number)),
    }
}

/// The default maximum record size of a stream, in KiB.
const ORDINARY_KIB: u64 = 1024;
/// The read throughput of a shard, shared by all its readers, in KiB per second.
const SHARD_KIB_A_SECOND: u64 = 2048;
/// The longest retention that Kinesis supports.
pub(crate) const LONGEST_RETENTION: Duration = Duration::from_secs(365 * 86_400);
/// The maximum time between two reads of a shard, whatever record size the stream reports.
const LONGEST_APART: Duration = Duration::from_secs(60);

/// The limits for reading a stream, and the identity of the stream.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The retention period of the stream's records.
    pub retention: Duration,
    /// The minimum time between two reads of a shard. Where records may exceed the default maximum size, the two records of a page must
    /// not use more than a fifth of the shard's read throughput.
    pub reads_apart: Duration,
    /// When the stream was created; another stream of the same name has another time.
    pub created: Option<Timestamp>,
    /// Whether the number of shards can be changed.
    pub state: StreamState,
}

/// Returns retention, maximum record size and state of the stream. Calls `DescribeStreamSummary`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html>): 20 calls per second and account.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn summary(aws: &Aws, stream: &KinesisStream) -> Result<Summary, Failure> {
    let scope = Scope::account(UpstreamApi::KinesisDescribeStreamSummary);
    let answer = aws
        .call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(stream);
            clients.kinesis.describe_stream_summary().set_stream_name(name).set_stream_arn(arn).send()
        })
        .await?;
    let summary = answer.stream_description_summary;
    let state = summary.as_ref().map_or(StreamState::Updating, |summary| {
        let on_demand =
            summary.stream_mode_details.as_ref().is_some_and(|mode| mode.stream_mode == StreamMode::OnDemand);
        match summary.stream_status {
            _ if on_demand => StreamState::OnDemand,
            StreamStatus::Active => StreamState::Ready,
            _ => StreamState::Updating,
        }
    });
    let hours = summary.as_ref().map_or(0, |summary| summary.retention_period_hours);
    let created = summary.as_ref().and_then(|summary| summary.stream_creation_timestamp.to_millis().ok());
    let created = created.and_then(|time| u64::try_from(time).ok()).map(Timestamp::from_unix_ms);
    let largest = summary.and_then(|summary| summary.max_record_size_in_kib).and_then(|kib| u64::try_from(kib).ok());
    let larger = largest.filter(|kib| *kib > ORDINARY_KIB).unwrap_or(0);
    let reads_apart =
        Duration::from_millis(larger.saturating_mul(2 * 5 * 1000) / SHARD_KIB_A_SECOND).min(LONGEST_APART);
    match u64::try_from(hours) {
        Ok(hours) if hours > 0 => Ok(Summary {
            retention: Duration::from_secs(hours.saturating_mul(3600)).min(LONGEST_RETENTION),
            reads_apart,
            created,
            state,
        }),
        _ => Err(Failure::new(FailureKind::Other, format!("a retention of {hours} hours"))),
    }
}

/// Returns an iterator for `position`. Calls `GetShardIterator`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html>): five calls per second and shard.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn iterator(
    aws: &Aws,
    stream: &KinesisStream,
    shard: &ShardId,
    position: &Position,
) -> Result<String, Failure> {
    let scope = Scope::of(UpstreamApi::KinesisGetShardIterator, format!("{stream}/{shard}"));
    let answer = aws
        .call(TurnWait::Reading, scope, |clients| {
            let (name, arn) = named(stream);
            let request = clients.kinesis.get_shard_iterator().set_stream_name(name).set_stream_arn(arn);
            let request = request.shard_id(shard.as_str());
            match position {
                Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
                Position::After(number) => request
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .starting_sequence_number(number.as_str()),
                Position::Within(number, _) => request
                    .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                    .starting_sequence_number(number.as_str()),
                Position::At(time) => request
                    .shard_iterator_type(ShardIteratorType::AtTimestamp)
                    .timestamp(DateTime::from_millis(i64::try_from(time.unix_ms()).unwrap_or(i64::MAX))),
            }
            .send()
        })
        .await
        .map_err(Failure::of_checkpoint)?;
    answer.shard_iterator.ok_or_else(|| Failure::new(FailureKind::Other, "no iterator in the answer"))
}

/// Returns at most `limit` records after an iterator. Calls `GetRecords`
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>): five calls per second and shard.
///
/// # Errors
/// Fails when the call fails, or its answer cannot be used.
pub async fn page(
    aws: &Aws,
    stream: &KinesisStream,
    shard: &ShardId,
    iterator: String,
    limit: i32,
) -> Result<Page, Failure> {
    let scope = Scope::of(UpstreamApi::KinesisGetRecords, format!("{stream}/{shard}"));
    let mut at = aws.now();
    let answer = aws
        .call(TurnWait::Reading, scope, |clients| {
            at = aws.now();
            // the iterator identifies the stream, and only an ARN is accepted beside it
            let request = clients.kinesis.get_records().set_stream_arn(named(stream).1);
            request.shard_iterator(iterator).limit(limit).send()
        })
        .await?;
    // without this value an empty page does not prove that the tip is reached
    let behind = answer.millis_behind_latest.and_then(|behind| u64::try_from(behind).ok()).map(Duration::from_millis);
    let records = answer.records.iter().map(|record| {
        Ok(PageRecord {
            number: SequenceNumber::parse(&record.sequence_number),
            arrived: timestamp(record.approximate_arrival_timestamp.as_ref())?,
            user_records: user_records(record.data.as_ref()),
        })
    });
    Ok(Page { at, records: records.collect::<Result<_, Failure>>()?, next: answer.next_shard_iterator, behind })
}
