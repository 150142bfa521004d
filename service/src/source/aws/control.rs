//! One Kinesis stream that may be resized: what a decision reads of it, and the call that changes it.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, slice};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::cloudwatch;
use super::failure::{Failure, FailureKind};
use super::kinesis::{self, Summary, named};
use super::listing::list;
use super::resharding::LedgerTable;
use super::service::Address;
use super::write_metrics::WriteMetrics;
use crate::lag::streams::{StreamCapacity, StreamReading, StreamState};
use crate::lag::{Minute, SourceError, Writes};
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{AwsIdentity, KinesisStream};

/// The streams of one account and region, called with one identity and within its call budgets.
#[derive(Clone)]
pub struct StreamAccount {
    pub(super) aws: Arc<Aws>,
    written: Arc<WriteMetrics<Aws>>,
    /// The table that records each change, in the same account and region.
    pub(super) ledger: Option<LedgerTable>,
}

/// A stream, called with one identity.
pub struct StreamControl {
    pub(super) account: StreamAccount,
    pub(super) stream: KinesisStream,
    /// The newest summary, and when it was read.
    summary: Mutex<Option<(Instant, Summary)>>,
}

impl StreamAccount {
    /// Creates the account without calling AWS. Each change of a stream is written to `ledger`, if given.
    #[must_use]
    pub fn new(identity: AwsIdentity, metrics: UpstreamMetrics, ledger: Option<LedgerTable>) -> Self {
        let aws = Arc::new(Aws::new(identity, metrics));
        Self { written: Arc::new(WriteMetrics::new(aws.clone())), aws, ledger }
    }

    /// Returns the control of one stream of this account.
    #[must_use]
    pub fn stream(&self, stream: KinesisStream) -> StreamControl {
        StreamControl { account: self.clone(), stream, summary: Mutex::default() }
    }
}

impl fmt::Display for StreamControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// The tag that names the object that resizes a stream.
const CLAIM: &str = "keda-stream-scaler/resized-by";

impl StreamControl {
    /// Reads the stream; reuses a summary that is no older than `summary_kept_for`, unless the stream was being changed.
    ///
    /// # Errors
    /// Returns an error when any part is unreadable: a partial reading is never returned.
    pub async fn read(&self, summary_kept_for: Duration) -> Result<StreamReading, SourceError> {
        let kept = self
            .summary
            .lock()
            .clone()
            .filter(|(at, summary)| at.elapsed() < summary_kept_for && summary.state != StreamState::Updating);
        let summary = if let Some((_, summary)) = kept {
            summary
        } else {
            let summary = self.named("read the summary", kinesis::summary(&self.account.aws, &self.stream)).await?;
            *self.summary.lock() = Some((Instant::now(), summary.clone()));
            summary
        };
        let capacity = self.named("list the shards", self.capacity()).await?;
        Ok(StreamReading { at: self.account.aws.now(), state: summary.state, capacity, retention: summary.retention })
    }

    /// Returns the writes to the stream, up to a minute ago.
    ///
    /// # Errors
    /// Returns an error when any part is unreadable.
    pub async fn writes(&self) -> Result<Writes, SourceError> {
        let read = async {
            let written = self.account.written.read(slice::from_ref(&self.stream)).await.pop();
            written.unwrap_or_else(|| Err(Failure::new(FailureKind::Other, "no points")))
        };
        self.named("read the writes", read).await
    }

    /// Returns who resizes the stream, from its tag; `None` where it has none. Calls `ListTagsForStream`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForStream.html>): five calls per second and account.
    ///
    /// # Errors
    /// Returns an error when the tags are unreadable.
    pub async fn claim(&self) -> Result<Option<String>, SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisListTagsForStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.list_tags_for_stream().set_stream_name(name).set_stream_arn(arn).send()
        });
        let tags = self.named("read the tags", call).await?.tags;
        Ok(tags.into_iter().find(|tag| tag.key == CLAIM).and_then(|tag| tag.value))
    }

    /// Sets the tag that marks the stream as resized by `owner`. Calls `AddTagsToStream`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_AddTagsToStream.html>): five calls per second and account.
    ///
    /// # Errors
    /// Returns an error when the service refuses the call or does not answer.
    pub async fn set_claim(&self, owner: &str) -> Result<(), SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisAddTagsToStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.add_tags_to_stream().set_stream_name(name).set_stream_arn(arn).tags(CLAIM, owner).send()
        });
        self.named("set the tag", call).await.map(drop)
    }

    /// Removes that tag. Calls `RemoveTagsFromStream`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RemoveTagsFromStream.html>): five calls per second and account.
    ///
    /// # Errors
    /// Returns an error when the service refuses the call or does not answer.
    pub async fn remove_claim(&self) -> Result<(), SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisRemoveTagsFromStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.remove_tags_from_stream().set_stream_name(name).set_stream_arn(arn).tag_keys(CLAIM).send()
        });
        self.named("remove the tag", call).await.map(drop)
    }

    /// Returns the result of a call; an error names what was attempted.
    async fn named<T>(&self, attempt: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, SourceError> {
        call.await.map_err(|failure| failure.into_error(format!("could not {attempt} of stream {}", self.stream)))
    }

    /// Returns the number of open shards and the writes of the last `minutes`, the newest last.
    ///
    /// # Errors
    /// Returns an error when either is unreadable.
    pub async fn history(&self, minutes: usize) -> Result<(u32, Vec<Option<Minute>>), SourceError> {
        let open = self.named("list the shards", self.capacity()).await?.open;
        Ok((open, self.named("read the writes", self.account.written.history(&self.stream, minutes)).await?))
    }

    /// Returns the age of the latest reader within the last minutes; `None` where `GetRecords` was not called.
    ///
    /// # Errors
    /// Returns an error when the age is unreadable.
    pub async fn readers_age(&self) -> Result<Option<Duration>, SourceError> {
        self.named("read the age of the readers", cloudwatch::readers_age(&self.account.aws, &self.stream)).await
    }

    /// Returns the number of shards that the account may still open. Calls `DescribeLimits`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeLimits.html>): one call per second and account.
    ///
    /// # Errors
    /// Returns an error when the account's limits are unreadable.
    pub async fn free_shards(&self) -> Result<u32, SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisDescribeLimits);
        let limits = self
            .account
            .aws
            .call(TurnWait::Background, scope, |clients| clients.kinesis.describe_limits().send())
            .await;
        let limits = limits.map_err(|failure| failure.into_error("could not read the account's limits".to_owned()))?;
        Ok(u32::try_from(limits.shard_limit.saturating_sub(limits.open_shard_count)).unwrap_or(0))
    }

    async fn capacity(&self) -> Result<StreamCapacity, Failure> {
        let listing = list(&*self.account.aws, &Address::Kinesis(self.stream.clone())).await?;
        listing.capacity().ok_or_else(|| Failure::new(FailureKind::Other, "a shard without a range of hash keys"))
    }
}
