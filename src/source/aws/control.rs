//! One Kinesis stream that may be resized: what a decision needs of it, and the one call that changes it.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, slice};

use aws_sdk_kinesis::types::ScalingType;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::cloudwatch;
use super::failure::{Failure, FailureKind};
use super::kinesis::{self, named};
use super::listing::list;
use super::service::Address;
use super::written::Written;
use crate::lag::streams::{StreamCapacity, StreamState, Timestamp};
use crate::lag::{Minute, SourceError, Writes};
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{AwsIdentity, KinesisStream};

/// A stream, called as one identity.
pub struct StreamControl {
    aws: Arc<Aws>,
    written: Written<Aws>,
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
        let aws = Arc::new(Aws::new(identity, metrics));
        Self { written: Written::new(aws.clone()), aws, stream }
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
        let summary = kinesis::summary(&self.aws, &self.stream).await.map_err(error("the summary"))?;
        let capacity = self.capacity().await.map_err(error("the shards"))?;
        let written = self.written.read(slice::from_ref(&self.stream)).await.pop();
        let writes = written.unwrap_or_else(|| Err(Failure::new(FailureKind::Other, "no points")));
        let writes = writes.map_err(error("the writes"))?;
        Ok(StreamReading { at: self.aws.now(), state: summary.state, capacity, writes, retention: summary.retention })
    }

    /// The open shards, and the writes of the last `minutes`, the newest last.
    ///
    /// # Errors
    /// When either is not readable.
    pub async fn history(&self, minutes: usize) -> Result<(u32, Vec<Option<Minute>>), SourceError> {
        let attempt = |what: &str| format!("could not read {what} of stream {}", self.stream);
        let capacity = self.capacity().await.map_err(|failure| failure.into_error(attempt("the shards")))?;
        let history = self.written.history(&self.stream, minutes).await;
        Ok((capacity.open, history.map_err(|failure| failure.into_error(attempt("the writes")))?))
    }

    /// The age of the latest reader within the last minutes; `None` where `GetRecords` was not called.
    ///
    /// # Errors
    /// When that is not readable.
    pub async fn readers_age(&self) -> Result<Option<Duration>, SourceError> {
        let attempt = || format!("could not read how late the readers of stream {} are", self.stream);
        cloudwatch::readers_age(&self.aws, &self.stream).await.map_err(|failure| failure.into_error(attempt()))
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

    async fn capacity(&self) -> Result<StreamCapacity, Failure> {
        let listing = list(&*self.aws, &Address::Kinesis(self.stream.clone())).await?;
        listing.capacity().ok_or_else(|| Failure::new(FailureKind::Other, "a shard without a range of hash keys"))
    }
}
