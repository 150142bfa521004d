//! One Kinesis stream that may be resized: what a decision needs of it, and the one call that changes it.

use std::fmt;
use std::time::Duration;

use aws_sdk_kinesis::types::{HashKeyRange, ScalingType, StreamMode, StreamStatus};

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::cloudwatch;
use super::failure::{Failure, FailureKind};
use super::kinesis::{self, named};
use crate::lag::streams::{Shard, ShardState, StreamCapacity, StreamState, Timestamp, changes};
use crate::lag::{Minute, SourceError, Writes};
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{AwsIdentity, KinesisStream};

/// A stream with more pages of shards than this is none that is resized: 10,000 open shards, and as many closed ones per page of 1,000.
const MOST_PAGES: usize = 100;
/// All hash keys.
const KEYS: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;

/// A stream, called as one identity.
pub struct StreamControl {
    aws: Aws,
    stream: KinesisStream,
}

impl fmt::Display for StreamControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// What was read of a stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamReading {
    /// The service's time.
    pub at: Timestamp,
    /// Whether it can be resized.
    pub state: StreamState,
    /// Its shards.
    pub capacity: StreamCapacity,
    /// What is written to it.
    pub writes: Writes,
    /// How long it keeps records.
    pub retention: Duration,
}

impl StreamControl {
    /// A stream; nothing is called yet.
    #[must_use]
    pub fn new(identity: AwsIdentity, stream: KinesisStream, metrics: UpstreamMetrics) -> Self {
        Self { aws: Aws::new(identity, metrics), stream }
    }

    /// Reads the stream and its writes.
    ///
    /// # Errors
    /// When anything is not readable: a part is never taken for the whole.
    pub async fn read(&self) -> Result<StreamReading, SourceError> {
        let error = |what: &str| {
            let attempt = format!("could not read {what} of stream {}", self.stream);
            move |failure: Failure| failure.into_error(attempt)
        };
        let (state, retention) = self.summary().await.map_err(error("the summary"))?;
        let capacity = self.capacity().await.map_err(error("the shards"))?;
        let writes = cloudwatch::writes(&self.aws, self.stream.name()).await.map_err(error("the writes"))?;
        Ok(StreamReading { at: self.aws.now(), state, capacity, writes, retention })
    }

    /// The open shards, and the writes of the last `minutes`, the newest last.
    ///
    /// # Errors
    /// When either is not readable.
    pub async fn history(&self, minutes: usize) -> Result<(u32, Vec<Option<Minute>>), SourceError> {
        let attempt = |what: &str| format!("could not read {what} of stream {}", self.stream);
        let capacity = self.capacity().await.map_err(|failure| failure.into_error(attempt("the shards")))?;
        let history = cloudwatch::history(&self.aws, self.stream.name(), minutes).await;
        Ok((capacity.open, history.map_err(|failure| failure.into_error(attempt("the writes")))?))
    }

    /// The age of the latest reader within the last minutes; `None` where `GetRecords` was not called.
    ///
    /// # Errors
    /// When that is not readable.
    pub async fn readers_age(&self) -> Result<Option<Duration>, SourceError> {
        let attempt = || format!("could not read how late the readers of stream {} are", self.stream);
        cloudwatch::readers_age(&self.aws, self.stream.name()).await.map_err(|failure| failure.into_error(attempt()))
    }

    /// The shards that the account may still open.
    ///
    /// # Errors
    /// When the account's limits are not readable.
    pub async fn free_shards(&self) -> Result<u32, SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisDescribeLimits);
        let limits = self.aws.call(TurnWait::Reading, scope, |clients| clients.kinesis.describe_limits().send()).await;
        let limits = limits.map_err(|failure| failure.into_error("could not read the account's limits".to_owned()))?;
        Ok(u32::try_from(limits.shard_limit.saturating_sub(limits.open_shard_count)).unwrap_or(0))
    }

    /// Calls `UpdateShardCount`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>): at most ten times a day and stream. The target is
    /// absolute, so that a call whose answer was lost may be looked up in the stream.
    ///
    /// # Errors
    /// When the service refuses it, or does not answer.
    pub async fn update_shard_count(&self, target: u32) -> Result<(), SourceError> {
        let scope = Scope::of(UpstreamApi::KinesisUpdateShardCount, self.stream.as_given());
        let updated = self.aws.call(TurnWait::Reading, scope, |clients| {
            let (name, arn) = named(&self.stream);
            let target = i32::try_from(target).unwrap_or(i32::MAX);
            let request = clients.kinesis.update_shard_count().set_stream_name(name).set_stream_arn(arn);
            request.target_shard_count(target).scaling_type(ScalingType::UniformScaling).send()
        });
        let attempt = || format!("could not set the shards of stream {} to {target}", self.stream);
        updated.await.map(|_| ()).map_err(|failure| failure.into_error(attempt()))
    }

    async fn summary(&self) -> Result<(StreamState, Duration), Failure> {
        let scope = Scope::account(UpstreamApi::KinesisDescribeStreamSummary);
        let answer = self.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.describe_stream_summary().set_stream_name(name).set_stream_arn(arn).send()
        });
        let summary = answer.await?.stream_description_summary;
        let summary = summary.ok_or_else(|| Failure::new(FailureKind::Other, "no summary in the answer"))?;
        let on_demand = summary.stream_mode_details.is_some_and(|mode| mode.stream_mode == StreamMode::OnDemand);
        let state = match summary.stream_status {
            _ if on_demand => StreamState::OnDemand,
            StreamStatus::Active => StreamState::Ready,
            _ => StreamState::Updating,
        };
        let hours = u64::try_from(summary.retention_period_hours).unwrap_or(0);
        Ok((state, Duration::from_secs(hours.saturating_mul(3600)).min(kinesis::LONGEST_RETENTION)))
    }

    async fn capacity(&self) -> Result<StreamCapacity, Failure> {
        let (mut shards, mut widest, mut token) = (Vec::new(), 0.0_f64, None);
        for _ in 0..MOST_PAGES {
            let page = kinesis::listed(&self.aws, &self.stream, token.take(), || ()).await?;
            for sdk in page.shards.unwrap_or_default() {
                let shard = kinesis::shard(&sdk);
                if shard.state == ShardState::Open {
                    widest = widest.max(share(sdk.hash_key_range.as_ref())?);
                }
                shards.push(shard);
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(StreamCapacity { open: open(&shards), widest, changes: changes(&shards) });
            }
        }
        Err(Failure::new(FailureKind::Other, format!("more than {MOST_PAGES} pages of shards")))
    }
}

fn open(shards: &[Shard]) -> u32 {
    let open = shards.iter().filter(|shard| shard.state == ShardState::Open).count();
    u32::try_from(open).unwrap_or(u32::MAX)
}

/// The share of all hash keys that a range has.
fn share(range: Option<&HashKeyRange>) -> Result<f64, Failure> {
    let key = |text: &str| text.parse::<u128>().ok();
    let ends = range.and_then(|range| Some((key(&range.starting_hash_key)?, key(&range.ending_hash_key)?)));
    let width = ends.and_then(|(start, end)| end.checked_sub(start));
    let width = width.ok_or_else(|| Failure::new(FailureKind::Other, "a shard without a range of hash keys"))?;
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    Ok((width as f64 + 1.0) / KEYS)
}
