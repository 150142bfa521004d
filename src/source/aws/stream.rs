//! One stream as all who ask about it share it: its shards, its retention, and how often each shard is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::cached::Cached;
use super::clients::Aws;
use super::failure::{Failure, FailureKind};
use super::kinesis::Summary;
use super::page::Page;
use super::{dynamodb_streams, kinesis};
use crate::lag::streams::{Position, Shard, ShardId, ShardRead};
use crate::trigger::StreamName;

/// New shards are seen after this long at the latest, and as soon as a checkpoint or the end of a shard tells of them.
pub(super) const SHARDS_LAST: Duration = Duration::from_secs(60);
/// Not even a checkpoint that tells of new shards makes the list be read more often.
pub(super) const SHARDS_LAST_AT_LEAST: Duration = Duration::from_secs(5);
/// Retention and size are changed by hand, and seldom.
const SUMMARY_LASTS: Duration = Duration::from_secs(600);
/// Turns of a shard are about so far apart whatever a trigger says.
const TURNS_APART: Duration = Duration::from_secs(1);
/// A table's stream may be replaced.
const ARN_LASTS: Duration = Duration::from_secs(60);

/// What is known of a stream.
#[derive(Default)]
pub(super) struct Stream {
    shards: Cached<Vec<Shard>>,
    summary: Cached<Summary>,
    arn: Cached<String>,
    last_reads: Mutex<HashMap<ShardId, LastRead>>,
}

/// The last look into a shard, whoever took it.
struct LastRead {
    at: Instant,
    /// `None` while it is under way, and where it failed.
    told: Option<ShardRead>,
}

impl Stream {
    /// Its shards, listed no longer than `oldest` ago.
    pub(super) async fn shards(
        &self,
        aws: &Aws,
        name: &StreamName,
        oldest: Duration,
    ) -> Result<Arc<Vec<Shard>>, Failure> {
        match name {
            StreamName::Kinesis(stream) => self.shards.get(oldest, kinesis::shards(aws, stream)).await,
            StreamName::DynamoDb(table) => {
                self.shards
                    .get(oldest, async {
                        let arn = self.arn(aws, table, ARN_LASTS).await?;
                        match dynamodb_streams::shards(aws, &arn).await {
                            // the stream was replaced
                            Err(failure) if failure.kind == FailureKind::Missing => {
                                let arn = self.arn(aws, table, Duration::ZERO).await?;
                                dynamodb_streams::shards(aws, &arn).await
                            }
                            shards => shards,
                        }
                    })
                    .await
            }
        }
    }

    /// How long it keeps records, and how often its shards may be read.
    pub(super) async fn summary(&self, aws: &Aws, name: &StreamName) -> Result<Summary, Failure> {
        match name {
            StreamName::Kinesis(stream) => {
                self.summary.get(SUMMARY_LASTS, kinesis::summary(aws, stream)).await.map(|summary| *summary)
            }
            StreamName::DynamoDb(_) => {
                Ok(Summary { retention: dynamodb_streams::RETENTION, reads_apart: Duration::ZERO })
            }
        }
    }

    /// The ARN of a table's stream.
    pub(super) async fn arn(&self, aws: &Aws, table: &str, oldest: Duration) -> Result<Arc<String>, Failure> {
        self.arn.get(oldest, dynamodb_streams::stream_arn(aws, table)).await
    }

    fn last_reads(&self) -> MutexGuard<'_, HashMap<ShardId, LastRead>> {
        self.last_reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look that is no older than `oldest` tells of a position, whichever application it was taken for.
    pub(super) fn told(&self, shard: &ShardId, position: &Position, oldest: Duration) -> Option<ShardRead> {
        let reads = self.last_reads();
        let last = reads.get(shard).filter(|last| last.at.elapsed() < oldest)?;
        last.told.as_ref()?.told_of(position)
    }

    /// A look has told something.
    pub(super) fn tell(&self, shard: &ShardId, read: &ShardRead) {
        if let Some(last) = self.last_reads().get_mut(shard) {
            last.told = Some(read.clone());
        }
    }

    /// Whether a shard may be read again; then it counts as read. Within a second everybody waits for a turn instead.
    pub(super) fn may_read(&self, shard: &ShardId, interval: Duration) -> bool {
        let now = Instant::now();
        let mut reads = self.last_reads();
        // shards come and go; what is older than any interval says nothing
        if reads.len() > 100_000 {
            reads.retain(|_, last| now.duration_since(last.at) < SUMMARY_LASTS);
        }
        let last = reads.get(shard).map(|last| now.duration_since(last.at));
        let may = interval <= TURNS_APART || last.is_none_or(|last| last >= interval);
        if may {
            reads.insert(shard.clone(), LastRead { at: now, told: None });
        }
        may
    }

    /// An iterator behind `position` of a shard.
    pub(super) async fn iterator(
        &self,
        aws: &Aws,
        name: &StreamName,
        shard: &ShardId,
        position: &Position,
    ) -> Result<String, Failure> {
        match name {
            StreamName::Kinesis(stream) => kinesis::iterator(aws, stream, shard, position).await,
            StreamName::DynamoDb(table) => {
                let arn = self.arn(aws, table, ARN_LASTS).await?;
                dynamodb_streams::iterator(aws, &arn, shard, position).await
            }
        }
    }

    /// The first record behind an iterator.
    pub(super) async fn page(
        &self,
        aws: &Aws,
        name: &StreamName,
        shard: &ShardId,
        iterator: String,
    ) -> Result<Page, Failure> {
        match name {
            StreamName::Kinesis(stream) => kinesis::page(aws, stream, shard, iterator).await,
            StreamName::DynamoDb(table) => {
                let arn = self.arn(aws, table, ARN_LASTS).await?;
                dynamodb_streams::page(aws, &arn, shard, iterator).await
            }
        }
    }
}
