//! One Kinesis stream that may be resized: what a decision needs of it, and the one call that changes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, slice};

use tokio::time::Instant;

use super::budget::Scope;
use super::clients::{Aws, TurnWait};
use super::cloudwatch;
use super::failure::{Failure, FailureKind};
use super::kinesis::{self, Summary, named};
use super::ledger::LedgerTable;
use super::listing::list;
use super::service::Address;
use super::write_metrics::WriteMetrics;
use crate::lag::streams::{StreamCapacity, StreamState, Timestamp};
use crate::lag::{Minute, SourceError, Writes};
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{AwsIdentity, KinesisStream};

/// The streams of one account and region, called as one identity and within its budgets.
#[derive(Clone)]
pub struct StreamAccount {
    pub(super) aws: Arc<Aws>,
    written: Arc<WriteMetrics<Aws>>,
    /// The table that keeps each change, in the same account and region.
    pub(super) ledger: Option<LedgerTable>,
}

/// A stream, called as one identity.
pub struct StreamControl {
    pub(super) account: StreamAccount,
    pub(super) stream: KinesisStream,
    /// The newest summary, and when it was read.
    summary: Mutex<Option<(Instant, Summary)>>,
}

impl StreamAccount {
    /// An account; nothing is called yet. Each change of a stream is written to `ledger` where one is named.
    #[must_use]
    pub fn new(identity: AwsIdentity, metrics: UpstreamMetrics, ledger: Option<LedgerTable>) -> Self {
        let aws = Arc::new(Aws::new(identity, metrics));
        Self { written: Arc::new(WriteMetrics::new(aws.clone())), aws, ledger }
    }

    /// One of its streams.
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

/// What was read of a stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamReading {
    /// The service's time.
    pub at: Timestamp,
    /// Whether it can be resized.
    pub state: StreamState,
    /// Its shards.
    pub capacity: StreamCapacity,
    /// How long it keeps records.
    pub retention: Duration,
}

/// The tag that says who resizes a stream.
const CLAIM: &str = "keda-stream-scaler/resized-by";

impl StreamControl {
    /// Reads the stream; of its summary one that is no older than this will do, unless the stream was being changed.
    ///
    /// # Errors
    /// When anything is not readable: a part is never taken for the whole.
    pub async fn read(&self, summary_kept_for: Duration) -> Result<StreamReading, SourceError> {
        let kept = self
            .kept()
            .clone()
            .filter(|(at, summary)| at.elapsed() < summary_kept_for && summary.state != StreamState::Updating);
        let summary = if let Some((_, summary)) = kept {
            summary
        } else {
            let summary = self.named("read the summary", kinesis::summary(&self.account.aws, &self.stream)).await?;
            *self.kept() = Some((Instant::now(), summary.clone()));
            summary
        };
        let capacity = self.named("list the shards", self.capacity()).await?;
        Ok(StreamReading { at: self.account.aws.now(), state: summary.state, capacity, retention: summary.retention })
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Instant, Summary)>> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is written to the stream, up to a minute ago.
    ///
    /// # Errors
    /// When anything of it is not readable.
    pub async fn writes(&self) -> Result<Writes, SourceError> {
        let read = async {
            let written = self.account.written.read(slice::from_ref(&self.stream)).await.pop();
            written.unwrap_or_else(|| Err(Failure::new(FailureKind::Other, "no points")))
        };
        self.named("read the writes", read).await
    }

    /// Who resizes the stream, by its tag; `None` where it has none. Calls `ListTagsForStream`
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForStream.html>): five calls per second and account.
    ///
    /// # Errors
    /// When the tags are not readable.
    pub async fn claim(&self) -> Result<Option<String>, SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisListTagsForStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.list_tags_for_stream().set_stream_name(name).set_stream_arn(arn).send()
        });
        let tags = self.named("read the tags", call).await?.tags;
        Ok(tags.into_iter().find(|tag| tag.key == CLAIM).and_then(|tag| tag.value))
    }

    /// Says by a tag that `owner` resizes the stream.
    ///
    /// # Errors
    /// When the service refuses it, or does not answer.
    pub async fn set_claim(&self, owner: &str) -> Result<(), SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisAddTagsToStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.add_tags_to_stream().set_stream_name(name).set_stream_arn(arn).tags(CLAIM, owner).send()
        });
        self.named("set the tag", call).await.map(drop)
    }

    /// Removes that tag.
    ///
    /// # Errors
    /// When the service refuses it, or does not answer.
    pub async fn remove_claim(&self) -> Result<(), SourceError> {
        let scope = Scope::account(UpstreamApi::KinesisRemoveTagsFromStream);
        let call = self.account.aws.call(TurnWait::Background, scope, |clients| {
            let (name, arn) = named(&self.stream);
            clients.kinesis.remove_tags_from_stream().set_stream_name(name).set_stream_arn(arn).tag_keys(CLAIM).send()
        });
        self.named("remove the tag", call).await.map(drop)
    }

    /// The result of a call, whose failure says what was attempted.
    async fn named<T>(&self, attempt: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, SourceError> {
        call.await.map_err(|failure| failure.into_error(format!("could not {attempt} of stream {}", self.stream)))
    }

    /// The open shards, and the writes of the last `minutes`, the newest last.
    ///
    /// # Errors
    /// When either is not readable.
    pub async fn history(&self, minutes: usize) -> Result<(u32, Vec<Option<Minute>>), SourceError> {
        let open = self.named("list the shards", self.capacity()).await?.open;
        Ok((open, self.named("read the writes", self.account.written.history(&self.stream, minutes)).await?))
    }

    /// The age of the latest reader within the last minutes; `None` where `GetRecords` was not called.
    ///
    /// # Errors
    /// When that is not readable.
    pub async fn readers_age(&self) -> Result<Option<Duration>, SourceError> {
        self.named("read the age of the readers", cloudwatch::readers_age(&self.account.aws, &self.stream)).await
    }

    /// The shards that the account may still open.
    ///
    /// # Errors
    /// When the account's limits are not readable.
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
