//! One application on one stream: its checkpoints first, then the shards, then the records that an answer needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::AwsClient;
use super::failure::{Failure, FailureKind};
use super::kinesis::Summary;
use super::stream::{SHARDS_LAST, SHARDS_LAST_AT_LEAST, Stream};
use crate::lag::streams::{
    AgeBasis, AgeRules, Backlog, Beginning, Checkpoint, Lease, Position, Reads, RowsOf, Saw, Shard, ShardId, ShardRead,
    ShardState, Survey, Timestamp, Worker, leases_of, workers_of,
};
use crate::lag::{ApplicationObservation, Checkpoints, Observation, SourceError, SourceErrorKind};
use crate::trigger::{ApplicationSource, InitialPosition, StreamName};

/// Checkpoints that were read so shortly before are those of the same round.
const SAME_ROUND: Duration = Duration::from_secs(1);
/// Shards that are read side by side for one application; often the first ones make the others needless.
const READ_AT_ONCE: usize = 8;
/// Empty pages of a Kinesis shard are followed so far, one a second.
const MOST_PAGES: usize = 5;
/// Kinesis lets an iterator live for five minutes, DynamoDB for fifteen.
const ITERATOR_LASTS: Duration = Duration::from_secs(240);

/// No stream keeps records for longer.
const LONGEST_RETENTION: Duration = Duration::from_secs(365 * 86_400);

/// What is remembered of an application between rounds.
#[derive(Default)]
pub(super) struct Progress {
    /// When it was first looked at.
    seen: Option<Timestamp>,
    reads: Reads,
    iterators: HashMap<ShardId, Iterator>,
    /// Since when shards are known to have ended, whatever the list says.
    ended: HashMap<ShardId, Instant>,
}

impl Progress {
    fn add(&mut self, shard: ShardId, read: ShardRead) {
        if read.saw == Saw::End {
            self.ended.entry(shard.clone()).or_insert_with(Instant::now);
        }
        self.reads.add(shard, read);
    }

    fn keep_only(&mut self, shards: &[Shard]) {
        let listed: HashSet<_> = shards.iter().map(|shard| &shard.id).collect();
        self.reads.retain(|shard| listed.contains(shard));
        self.iterators.retain(|shard, _| listed.contains(shard));
        self.ended.retain(|shard, _| listed.contains(shard));
    }
}

/// Where an empty read can be gone on with.
struct Iterator {
    behind: Position,
    text: String,
    made: Instant,
}

/// One application in one round.
pub(super) struct Round<'a> {
    client: &'a AwsClient,
    source: &'a ApplicationSource,
    stream: Arc<Stream>,
}

impl<'a> Round<'a> {
    pub(super) fn new(client: &'a AwsClient, source: &'a ApplicationSource) -> Self {
        let stream = client.streams.of(&source.stream.stream);
        Self { client, source, stream }
    }

    const fn name(&self) -> &'a StreamName {
        &self.source.stream.stream
    }

    pub(super) async fn observe(&self) -> Result<Observation, SourceError> {
        let written = self.written().await?;
        let checkpoints = match &written {
            None => Checkpoints::NoTable,
            Some((leases, _)) if leases.is_empty() => Checkpoints::None,
            Some(_) => Checkpoints::Some,
        };
        let (leases, workers) = written.unwrap_or_default();
        let mut shards = self.shards(&leases).await?;
        let summary = self.summary().await?;
        let retention = summary.map(|summary| summary.retention);
        let reads_apart = summary.map_or(Duration::ZERO, |summary| summary.reads_apart).max(self.source.probe_interval);
        let progress = self.client.applications.of(&(self.name().clone(), self.source.store.clone()));
        let mut progress = progress.lock().await;
        let seen = *progress.seen.get_or_insert(self.client.aws.now());
        progress.keep_only(&shards);
        let rules = AgeRules {
            from: self.source.age_from,
            beginning: match self.source.initial_position {
                InitialPosition::TrimHorizon => Beginning::TrimHorizon,
                InitialPosition::AtTimestamp(milliseconds) => Beginning::At(Timestamp::from_unix_ms(milliseconds)),
                InitialPosition::Latest => Beginning::Latest { seen },
            },
            seen,
            current_for: reads_apart,
            retention: retention.unwrap_or(LONGEST_RETENTION),
        };
        let (survey, seen) = loop {
            let surveyed = self.survey(&shards, &leases, &rules, &mut progress).await?;
            match self.newer(&shards, &progress).await? {
                Some(newer) => shards = newer,
                None => break surveyed,
            }
        };
        Ok(Observation::Application(ApplicationObservation { survey, checkpoints, workers, retention, seen }))
    }

    /// Retention and size of records. Hundreds of streams at once must wait for their turn to ask; no age needs them.
    async fn summary(&self) -> Result<Option<Summary>, SourceError> {
        match self.stream.summary(&self.client.aws, self.name()).await {
            Ok(summary) => Ok(Some(summary)),
            Err(failure) if failure.kind == FailureKind::Throttled => Ok(None),
            Err(failure) => Err(failure.into_error(format!("could not read the retention of {}", self.source.stream))),
        }
    }

    /// Reads until the answer is as exact as it is to be.
    async fn survey(
        &self,
        shards: &[Shard],
        leases: &[Lease],
        rules: &AgeRules,
        progress: &mut Progress,
    ) -> Result<(Survey, Timestamp), SourceError> {
        loop {
            let now = self.client.aws.now();
            let survey = Survey::new(shards, leases, &progress.reads, rules, now);
            let known = |(shard, position): &(ShardId, Position)| {
                let told = self.stream.told(shard, position, rules.current_for)?;
                (!progress.reads.contains(shard, &told)).then(|| (shard.clone(), told))
            };
            let known: Vec<_> = survey.wanted.iter().filter_map(known).collect();
            if !known.is_empty() {
                for (shard, read) in known {
                    progress.add(shard, read);
                }
                continue;
            }
            let wanted = survey.wanted.iter();
            let may = |shard: &ShardId| self.stream.may_read(shard, rules.current_for);
            let batch: Vec<_> = wanted.filter(|(shard, _)| may(shard)).take(READ_AT_ONCE).cloned().collect();
            if batch.is_empty() {
                return match unbounded(&survey) {
                    None => Ok((survey, now)),
                    Some(shard) => Err(self.not_yet(shard)),
                };
            }
            let reads = batch.into_iter().map(|(shard, position)| {
                let iterator = progress.iterators.remove(&shard);
                let open = shards.iter().any(|other| other.id == shard && other.state == ShardState::Open);
                async move {
                    let read = self.read(&shard, position, iterator, open).await;
                    (shard, read)
                }
            });
            for (shard, read) in futures_util::future::join_all(reads).await {
                let (read, iterator) = read.map_err(|failure| self.not_read(&shard, failure))?;
                if let Some(iterator) = iterator {
                    progress.iterators.insert(shard.clone(), iterator);
                }
                self.stream.tell(&shard, &read);
                progress.add(shard, read);
            }
        }
    }

    /// What stands behind `position`, and where to go on if that is nothing.
    async fn read(
        &self,
        shard: &ShardId,
        position: Position,
        iterator: Option<Iterator>,
        open: bool,
    ) -> Result<(ShardRead, Option<Iterator>), Failure> {
        let (aws, name) = (&self.client.aws, self.name());
        let fresh = |iterator: &Iterator| iterator.behind == position && iterator.made.elapsed() < ITERATOR_LASTS;
        let kept = iterator.filter(fresh).map(|iterator| iterator.text);
        let mut kept_is_in_use = kept.is_some();
        let mut text = match kept {
            Some(text) => text,
            None => self.stream.iterator(aws, name, shard, &position).await?,
        };
        let mut pages = 0;
        loop {
            let at = aws.now();
            let page = match self.stream.page(aws, name, shard, text).await {
                Ok(page) => page,
                Err(failure) if failure.kind == FailureKind::ExpiredIterator && kept_is_in_use => {
                    kept_is_in_use = false;
                    text = self.stream.iterator(aws, name, shard, &position).await?;
                    continue;
                }
                // what the checkpoint stands before is deleted: the oldest record that is left is as old as any can be
                Err(failure) if failure.kind == FailureKind::Trimmed => {
                    let arrived = at.minus(self.stream.summary(aws, name).await?.retention);
                    return Ok((ShardRead { position, at, saw: Saw::Record { arrived } }, None));
                }
                Err(failure) => return Err(failure),
            };
            pages += 1;
            let saw = match (page.first, page.next.as_deref(), name) {
                (Some(arrived), ..) => Saw::Record { arrived },
                (None, None, _) => Saw::End,
                (None, Some(_), StreamName::Kinesis(_)) if page.behind.is_zero() => Saw::Tip,
                (None, Some(next), StreamName::Kinesis(_)) if pages < MOST_PAGES => {
                    text = String::from(next);
                    continue;
                }
                (None, Some(_), StreamName::Kinesis(_)) => Saw::EmptyPages { behind: page.behind },
                // DynamoDB does not say how far it is to the tip, and a shard is to be read once in a long while
                (None, Some(_), StreamName::DynamoDb(_)) if open => Saw::Tip,
                (None, Some(_), StreamName::DynamoDb(_)) => Saw::EmptyPages { behind: Duration::MAX },
            };
            let keep = if matches!(saw, Saw::Tip | Saw::EmptyPages { .. }) { page.next } else { None };
            let iterator = keep.map(|text| Iterator { behind: position.clone(), text, made: Instant::now() });
            return Ok((ShardRead { position, at, saw }, iterator));
        }
    }

    /// The application's checkpoints and workers; `None` where its table is not there yet.
    async fn written(&self) -> Result<Option<(Vec<Lease>, Vec<Worker>)>, SourceError> {
        let store = &self.source.store;
        let attempt = || format!("could not read the checkpoints in {} for {}", store.table, self.source.stream);
        let kept = self.client.tables.of(store);
        let read = match kept.get(SAME_ROUND, super::tables::read(&self.client.aws, store)).await {
            Ok(read) => read,
            Err(failure) if failure.kind == FailureKind::Missing => return Ok(None),
            Err(failure) => return Err(failure.into_error(attempt())),
        };
        let arn = match self.name() {
            StreamName::Kinesis(_) => None,
            StreamName::DynamoDb(table) => {
                let arn = self.stream.arn(&self.client.aws, table, SHARDS_LAST).await;
                Some(arn.map_err(|failure| failure.into_error(format!("could not read {}", self.source.stream)))?)
            }
        };
        let of = match self.name() {
            StreamName::Kinesis(stream) => RowsOf::Kinesis { stream: stream.name(), created: None },
            StreamName::DynamoDb(_) => {
                let table = self.name().name();
                let label = arn.as_ref().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
                RowsOf::DynamoDb { table, label }
            }
        };
        let leases = leases_of(&read.rows, &store.layout, of).map_err(|error| {
            let remedy = error.remedy();
            SourceError::new(SourceErrorKind::Broken, attempt()).because(error).remedy(remedy)
        })?;
        Ok(Some((leases, workers_of(&read.rows, &store.layout))))
    }

    /// The shards; listed again where the checkpoints know better.
    async fn shards(&self, leases: &[Lease]) -> Result<Arc<Vec<Shard>>, SourceError> {
        let shards = self.list(SHARDS_LAST).await?;
        if leases.iter().all(|lease| agrees(lease, &shards)) {
            return Ok(shards);
        }
        self.list(SHARDS_LAST_AT_LEAST).await
    }

    /// The shards, where one has ended that the list has as open: others continue it, and nothing else may tell of them.
    async fn newer(
        &self,
        shards: &Arc<Vec<Shard>>,
        progress: &Progress,
    ) -> Result<Option<Arc<Vec<Shard>>>, SourceError> {
        let open = shards.iter().filter(|shard| shard.state == ShardState::Open);
        let Some(ended) = open.filter_map(|shard| progress.ended.get(&shard.id)).max() else { return Ok(None) };
        // a list may be behind the shards themselves for a while
        let newer = self.list(ended.elapsed().min(SHARDS_LAST_AT_LEAST)).await?;
        Ok((!Arc::ptr_eq(&newer, shards)).then_some(newer))
    }

    async fn list(&self, oldest: Duration) -> Result<Arc<Vec<Shard>>, SourceError> {
        let list = self.stream.shards(&self.client.aws, self.name(), oldest).await;
        list.map_err(|failure| failure.into_error(format!("could not list the shards of {}", self.source.stream)))
    }

    fn not_read(&self, shard: &ShardId, failure: Failure) -> SourceError {
        failure.into_error(format!("could not read shard {shard} for {}", self.source))
    }

    fn not_yet(&self, shard: &ShardId) -> SourceError {
        let interval = self.source.probe_interval.as_secs();
        let attempt = format!("shard {shard} was read less than {interval} s ago, not yet for {}", self.source);
        SourceError::new(SourceErrorKind::Throttled, attempt).remedy("it is read again when probeInterval is over")
    }
}

/// Whether a list of shards has what a lease speaks of.
fn agrees(lease: &Lease, shards: &[Shard]) -> bool {
    let shard = shards.iter().find(|shard| shard.id == lease.shard);
    match (&lease.checkpoint, shard) {
        (Checkpoint::ShardEnd, Some(shard)) => shard.state == ShardState::Closed,
        (Checkpoint::ShardEnd, None) => true,
        (_, shard) => shard.is_some(),
    }
}

/// A shard whose age nothing tells: neither a read, nor the checkpoint.
fn unbounded(survey: &Survey) -> Option<&ShardId> {
    let open = |shard: &ShardId| survey.wanted.iter().any(|(wanted, _)| wanted == shard);
    let unread = survey.shards.iter().find(|report| {
        matches!(report.backlog, Backlog::Unread { basis: AgeBasis::Retention | AgeBasis::Beginning, .. })
            && open(&report.shard)
    });
    unread.map(|report| &report.shard)
}
