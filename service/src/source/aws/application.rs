//! One application on one stream in one round: its checkpoints first, then the shards, then the probes that an answer needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::checkpoints::{CheckpointTable, TableRows};
use super::failure::{Failure, FailureKind};
use super::kinesis::LONGEST_RETENTION;
use super::listing::Listing;
use super::round::{Arrival, Round};
use super::service::Service;
use super::stream::{Described, Dispute, Incarnation, ListNeeded, Stream, Wait};
use super::turns::{ReaderId, Request};
use crate::lag::streams::{
    AgeRules, Beginning, Checkpoint, CheckpointsOf, Contradiction, Lease, Need, Position, Row, RowError, RowsOf,
    ShardId, ShardState, Survey, Timestamp, Wanted, Worker, leases_of, workers_of,
};
use crate::lag::{ApplicationObservation, Checkpoints, Observation, SourceError, SourceErrorKind};
use crate::trigger::{AgeFrom, AgesOf, ApplicationSource, InitialPosition, StreamName};

/// The number of shards in the first batch of concurrent probes of one application: often they make the other probes unnecessary.
const FIRST_BATCH: usize = 8;
/// The maximum number of shards in one batch.
const LARGEST_BATCH: usize = 1024;
/// How long a reading waits for a list that no answer depends on.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// A known record is read again after this time, because the stream may have deleted it.
const RECORDS_LAST: Duration = Duration::from_secs(60);

/// In rounds that begin within this time after a source was first observed, the reading waits until every shard was probed once. The next
/// round returns an answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// One source: triggers with other thresholds on the same application are separate readers, because they need other probes.
pub(super) struct Reader {
    id: ReaderId,
    /// When the source was first observed.
    since: Instant,
}

/// The state of an application that is kept between rounds, for all sources that observe it.
#[derive(Default)]
pub(super) struct Progress(Mutex<ProgressState>);

#[derive(Clone, Copy, Default)]
struct ProgressState {
    /// The start position of an application that begins at the newest record: when it was first observed, or up to where it had processed
    /// everything before its checkpoints were deleted.
    seen: Option<Timestamp>,
    /// Everything that arrived before this was processed while there were checkpoints.
    processed: Option<Timestamp>,
}

impl Reader {
    pub(super) fn new(id: ReaderId) -> Self {
        Self { id, since: Instant::now() }
    }

    /// Whether the application was first observed so recently that the reading may wait until all shards were probed once: a checkpoint
    /// that is hours old is no evidence of lag where the application has processed everything.
    fn is_new(&self, now: Instant) -> bool {
        now.duration_since(self.since) < FIRST_ANSWER
    }
}

impl Progress {
    /// Returns the time from which records count for an application that begins at the newest one.
    fn seen(&self, now: Timestamp, checkpoints: Checkpoints) -> Timestamp {
        let mut state = self.0.lock();
        if checkpoints != Checkpoints::Some
            && let Some(processed) = state.processed.take()
        {
            state.seen = state.seen.max(Some(processed));
        }
        *state.seen.get_or_insert(now)
    }

    /// Records that everything that arrived before `until` is processed.
    fn processed(&self, until: Timestamp, checkpoints: Checkpoints) {
        if checkpoints == Checkpoints::Some {
            let mut state = self.0.lock();
            state.processed = state.processed.max(Some(until));
        }
    }
}

/// The reading of one application in one round.
pub(super) struct Reading<'a, S> {
    pub(super) service: &'a Arc<S>,
    pub(super) source: &'a ApplicationSource,
    pub(super) stream: Arc<Stream<S>>,
    pub(super) table: Arc<CheckpointTable>,
    pub(super) reader: Arc<Reader>,
    pub(super) progress: Arc<Progress>,
    pub(super) round: Round,
}

/// The checkpoint rows of the application.
#[derive(Default)]
struct WriteMetrics {
    leases: Vec<Lease>,
    workers: Vec<Worker>,
}

/// The stream as listed and described in this round.
struct Shards<S> {
    of: Arc<Incarnation<S>>,
    listing: Arc<Listing>,
}

impl<S: Service> Shards<S> {
    /// Returns which list can resolve what contradicts the present one, if any can.
    fn list_needed(&self, leases: &[Lease], failures: &HashMap<ShardId, Failure>) -> Option<ListNeeded> {
        let unfinished = leases.iter().filter(|lease| lease.checkpoint != Checkpoint::ShardEnd);
        let unlisted = unfinished.map(|lease| &lease.shard).filter(|shard| self.listing.get(shard).is_none());
        let refused = failures.iter().filter(|(_, failure)| failure.disputes_list()).map(|(shard, _)| shard);
        let contradiction = Contradiction::find(leases, |shard| self.listing.get(shard));
        let contradicted = contradiction.iter().map(Contradiction::shard);
        let disputes = (unlisted.map(|shard| (shard, Dispute::Unlisted)))
            .chain(refused.map(|shard| (shard, Dispute::Refused)))
            .chain(contradicted.map(|shard| (shard, Dispute::Contradicted)));
        self.of.list_needed(&self.listing, disputes.map(|(shard, dispute)| (shard.clone(), dispute)))
    }
}

/// The result of resolving contradictions between the list of shards and the checkpoints or probes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    Yes,
    /// They contradict each other, and a newer list cannot be read now.
    NoNewerList,
}

impl<S: Service> Reading<'_, S> {
    pub(super) async fn observe(&self, mut arrival: Arrival) -> Result<Observation, SourceError> {
        let (described, rows) = tokio::join!(self.stream.describe(self.round.until), self.rows());
        let (described, rows) = (described.map_err(|failure| self.not_described(failure))?, rows?);
        let written = rows.as_ref().map(|rows| self.written(rows.rows(), &described)).transpose()?;
        let table = rows.map(|rows| rows.reading);
        let checkpoints = match &written {
            None => Checkpoints::NoTable,
            Some(written) if written.leases.is_empty() => Checkpoints::None,
            Some(_) => Checkpoints::Some,
        };
        let WriteMetrics { leases, workers } = written.unwrap_or_default();
        let seen = self.progress.seen(self.service.now(), checkpoints);
        let mut shards = self.shards(&described).await?;
        let retention = described.description.as_ref().map(|description| description.retention);
        let reads_apart = described.description.as_ref().map_or(Duration::ZERO, |description| description.reads_apart);
        // rounds begin slightly early or late; the factor keeps that from delaying a probe by a whole round
        let interval = reads_apart.max(self.source.probe_interval) * 9 / 10;
        let current_since = self.round.begun_at.minus(interval);
        let mut failures = HashMap::new();
        let (survey, at) = loop {
            let settled = self.settle(&mut shards, &leases, &mut failures).await?;
            let rules = AgeRules {
                from: self.age_from(interval),
                beginning: match self.source.initial_position {
                    InitialPosition::TrimHorizon => Beginning::TrimHorizon,
                    InitialPosition::AtTimestamp(milliseconds) => Beginning::At(Timestamp::from_unix_ms(milliseconds)),
                    InitialPosition::Latest => Beginning::Latest { seen },
                },
                seen,
                current_since,
                records_since: self.round.begun_at.minus(RECORDS_LAST),
                listed: shards.listing.at,
                retention: retention.unwrap_or(LONGEST_RETENTION),
                checkpoints: match table {
                    Some(table) if !table.ago.is_zero() => CheckpointsOf::AnEarlierRound,
                    _ => CheckpointsOf::ThisRound,
                },
            };
            let surveyed = self.survey(&shards, &leases, &rules, interval, &mut arrival, &mut failures).await;
            // a probe may have found the end of a shard that is listed as open, or that the shard does not exist
            let disputed = shards.list_needed(&leases, &failures).is_some();
            if settled == Settled::NoNewerList || !disputed || Instant::now() >= self.round.until {
                break surveyed;
            }
        };
        self.check(&survey, failures)?;
        // a shard that was empty an interval ago may have received records since
        self.progress.processed(at.minus(survey.age()).min(current_since), checkpoints);
        let seen = at;
        Ok(Observation::Application(ApplicationObservation { survey, checkpoints, workers, table, retention, seen }))
    }

    /// The sequence numbers of DynamoDB Streams hold no time that bounds an age between two probes, so every turn is used.
    fn age_from(&self, interval: Duration) -> AgeFrom {
        match (self.source.age_from, &self.source.stream.stream) {
            (AgeFrom::Auto(AgesOf::Oldest { exact_above }), StreamName::DynamoDb(_)) => {
                AgeFrom::Auto(AgesOf::Oldest { exact_above: exact_above.min(interval) })
            }
            (from, _) => from,
        }
    }

    async fn rows(&self) -> Result<Option<TableRows>, SourceError> {
        let rows = self.table.rows(self.service, self.source, &self.round).await;
        rows.map_err(|failure| failure.into_error(self.not_written()))
    }

    fn not_written(&self) -> String {
        format!("could not read the checkpoints in {} for {}", self.source.store.table, self.source.stream)
    }

    fn not_described(&self, failure: Failure) -> SourceError {
        let attempt = match self.source.stream.stream {
            StreamName::Kinesis(_) => format!("could not read the retention of {}", self.source.stream),
            StreamName::DynamoDb(_) => format!("could not read {}", self.source.stream),
        };
        failure.into_error(attempt)
    }

    fn written(&self, rows: &[Row], described: &Described) -> Result<WriteMetrics, SourceError> {
        let of = match &self.source.stream.stream {
            StreamName::Kinesis(stream) => RowsOf::Kinesis {
                stream: stream.name(),
                created: described.created().map(|created| created.unix_ms() / 1000),
            },
            table @ StreamName::DynamoDb(_) => {
                RowsOf::DynamoDb { table: table.name(), label: described.address.label().unwrap_or_default() }
            }
        };
        let layout = &self.source.store.layout;
        let leases = leases_of(rows, layout, of).map_err(|error| {
            let (kind, remedy) = match &error {
                RowError::FormerStream { .. } => (SourceErrorKind::Missing, error.remedy()),
                _ => (SourceErrorKind::Broken, error.remedy()),
            };
            SourceError::new(kind, self.not_written()).because(error).remedy(remedy)
        })?;
        Ok(WriteMetrics { leases, workers: workers_of(rows, layout) })
    }

    /// Returns the stream that has the name now, and its shards.
    async fn shards(&self, described: &Described) -> Result<Shards<S>, SourceError> {
        let of = self.stream.incarnation(&described.address, described.created());
        let listing = of.listing(self.round.until).await.map_err(|failure| self.not_listed(failure))?;
        self.accepted(Shards { of, listing }).await
    }

    /// Accepts the list; where another stream has the name now, discards what was known of the former one.
    async fn accepted(&self, shards: Shards<S>) -> Result<Shards<S>, SourceError> {
        if shards.of.accept(&shards.listing) {
            return Ok(shards);
        }
        let of = self.stream.successor(&shards.of);
        let listing = of.listing(self.round.until).await.map_err(|failure| self.not_listed(failure))?;
        of.accept(&listing);
        Ok(Shards { of, listing })
    }

    /// Lists the shards again where the checkpoints, or the shards themselves, contradict the list.
    async fn settle(
        &self,
        shards: &mut Shards<S>,
        leases: &[Lease],
        failures: &mut HashMap<ShardId, Failure>,
    ) -> Result<Settled, SourceError> {
        let contradiction = |shards: &Shards<S>| Contradiction::find(leases, |shard| shards.listing.get(shard));
        if let Some(ListNeeded { since, wait }) = shards.list_needed(leases, failures) {
            let until = match wait {
                Wait::Shortly => self.round.until.min(Instant::now() + SHORT_WAIT),
                Wait::UntilTheEnd => self.round.until,
            };
            match shards.of.newer_listing(since, until).await {
                Ok(listing) if !Arc::ptr_eq(&listing, &shards.listing) => {
                    *shards = self.accepted(Shards { of: shards.of.clone(), listing }).await?;
                    failures.retain(|_, failure| !failure.disputes_list());
                }
                // the older list is better than no answer, unless the checkpoints contradict it
                Ok(_) => return Ok(Settled::NoNewerList),
                Err(failure) if failure.is_passing() && contradiction(shards).is_none() => {
                    return Ok(Settled::NoNewerList);
                }
                Err(failure) => return Err(self.not_listed(failure)),
            }
        }
        match contradiction(shards) {
            None => Ok(Settled::Yes),
            Some(contradiction) => Err(self.contradicted(&contradiction)),
        }
    }

    /// Probes until the answer is as exact as it can be in this round.
    async fn survey(
        &self,
        shards: &Shards<S>,
        leases: &[Lease],
        rules: &AgeRules,
        interval: Duration,
        arrival: &mut Arrival,
        failures: &mut HashMap<ShardId, Failure>,
    ) -> (Survey, Timestamp) {
        let prober = &shards.of.prober;
        let like = Request {
            position: Position::TrimHorizon,
            state: ShardState::Open,
            need: Need::Unknown,
            width: Duration::ZERO,
            interval,
            round: self.round.begun,
        };
        let (mut asked, mut batch) = (HashSet::new(), FIRST_BATCH);
        loop {
            let now = self.service.now();
            let survey = prober.survey(|probes| Survey::new(shards.listing.shards(), leases, probes, rules, now));
            let open: Vec<_> = survey.wanted.iter().filter(|wanted| !asked.contains(&wanted.shard)).cloned().collect();
            // requests of earlier rounds are withdrawn
            prober.request(self.reader.id, &open, &like);
            if open.is_empty() || Instant::now() >= self.round.until {
                return (survey, now);
            }
            arrival.wait_for_others().await;
            // every probe without which there is no answer is needed
            let unknown = |wanted: &&Wanted| wanted.need == Need::Unknown;
            let needed = open.iter().filter(unknown).count().max(batch);
            let (first, rest): (Vec<_>, Vec<_>) = open.iter().partition(unknown);
            let next: Vec<_> = first.into_iter().chain(rest).take(needed).map(|wanted| wanted.shard.clone()).collect();
            let visits = next.iter().filter_map(|shard| {
                let visit = prober.visit(shard, self.reader.id)?;
                Some(async move { (shard.clone(), visit.await) })
            });
            let visits: Vec<_> = visits.collect();
            if let Ok(ended) = timeout_at(self.round.until, join_all(visits)).await {
                failures.extend(ended.into_iter().filter_map(|(shard, outcome)| Some((shard, outcome.err()?))));
            }
            asked.extend(next);
            batch = (batch * 4).min(LARGEST_BATCH);
        }
    }

    /// Returns an error unless the survey is an answer: a failed probe of a shard that matters is an error, and so is an unbounded age.
    /// Without a probe turn an age is reported as an upper bound.
    fn check(&self, survey: &Survey, mut failures: HashMap<ShardId, Failure>) -> Result<(), SourceError> {
        let new = self.reader.is_new(self.round.begun);
        let lacking = |wanted: &Wanted| wanted.need == Need::Unknown || (new && wanted.need == Need::First);
        for wanted in &survey.wanted {
            let passed_over = |failure: &Failure| failure.kind == FailureKind::Throttled && !lacking(wanted);
            if let Some(failure) = failures.remove(&wanted.shard).filter(|failure| !passed_over(failure)) {
                return Err(failure.into_error(format!("could not read shard {} for {}", wanted.shard, self.source)));
            }
        }
        let lacking = survey.wanted.iter().filter(|wanted| lacking(wanted)).count();
        if lacking == 0 {
            return Ok(());
        }
        let shards = survey.shards.len();
        let attempt = format!("{lacking} of {shards} shards are not read yet for {}", self.source);
        Err(SourceError::new(SourceErrorKind::TimedOut, attempt).remedy("retry: the scaler keeps what it has read"))
    }

    fn not_listed(&self, failure: Failure) -> SourceError {
        failure.into_error(format!("could not list the shards of {}", self.source.stream))
    }

    fn contradicted(&self, contradiction: &Contradiction) -> SourceError {
        let attempt = format!("the checkpoints in {} are not of {}", self.source.store.table, self.source.stream);
        let error = SourceError::new(SourceErrorKind::Missing, attempt).because(contradiction);
        error.remedy("check streamName and leaseTable; if the stream was recreated, delete the rows of the former one")
    }
}
