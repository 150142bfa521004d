//! One account and region, read with one identity: all readings that need the same value share one read of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::application::{Progress, Reader, Reading};
use super::checkpoints::CheckpointTable;
use super::failure::{Failure, FailureKind};
use super::round::{Arrival, Gate, Round};
use super::service::Service;
use super::stream::Stream;
use super::turns::ReaderId;
use super::write_metrics::WriteMetrics;
use crate::lag::streams::{ShardState, StreamCapacity, StreamState};
use crate::lag::{Observation, Report, ShardsObservation, SourceError, SourceErrorKind, WritesObservation};
use crate::source::shared::Registry;
use crate::trigger::{ApplicationSource, CheckpointStore, SourceRef, StreamName, StreamSource, WritesSource};

/// The maximum number of concurrent probes of one account.
const PROBES_AT_ONCE: usize = 192;

/// Reads the streams of one account and region with one identity.
pub(crate) struct Account<S> {
    service: Arc<S>,
    streams: Registry<StreamName, Stream<S>>,
    tables: Registry<CheckpointStore, CheckpointTable>,
    applications: Registry<(StreamName, CheckpointStore), Progress>,
    readers: Registry<ApplicationSource, Reader>,
    next_reader: AtomicU64,
    room: Arc<Semaphore>,
    written: WriteMetrics<S>,
}

impl<S: Service> Account<S> {
    pub(crate) fn new(service: S) -> Self {
        let service = Arc::new(service);
        Self {
            written: WriteMetrics::new(service.clone()),
            service,
            streams: Registry::default(),
            tables: Registry::default(),
            applications: Registry::default(),
            readers: Registry::default(),
            next_reader: AtomicU64::new(0),
            room: Arc::new(Semaphore::new(PROBES_AT_ONCE)),
        }
    }

    /// Reads the `due` sources side by side, as one round, and reports each exactly once.
    pub(crate) async fn observe(self: &Arc<Self>, due: Vec<Arc<SourceRef>>, report: &Report) {
        let (mut reading, round) = (JoinSet::new(), Round::new(self.service.now()));
        let mut gates: HashMap<StreamName, Gate> = HashMap::new();
        let (writes, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|source| matches!(&**source, SourceRef::Writes(_)));
        if !writes.is_empty() {
            let (client, report) = (self.clone(), report.clone());
            reading.spawn(async move { client.observe_writes(&writes, round, &report).await }.in_current_span());
        }
        for source in others {
            let stream = match &*source {
                SourceRef::Application(application) => Some(application.stream.stream.clone()),
                SourceRef::Shards(_) | SourceRef::Kafka(_) | SourceRef::Writes(_) => None,
            };
            let arrival = stream.map(|stream| gates.entry(stream).or_default().expect()).unwrap_or_default();
            let (client, report) = (self.clone(), report.clone());
            reading.spawn(async move { report(&source, client.read(&source, round, arrival).await) }.in_current_span());
        }
        while reading.join_next().await.is_some() {}
    }

    async fn read(&self, source: &SourceRef, round: Round, arrival: Arrival) -> Result<Observation, SourceError> {
        match source {
            SourceRef::Shards(stream) => self.count(stream, round).await,
            SourceRef::Application(application) => self.reading(application, round).observe(arrival).await,
            SourceRef::Kafka(_) | SourceRef::Writes(_) => Err(SourceError::misdirected(source, "AWS")),
        }
    }

    fn stream(&self, name: &StreamName) -> Arc<Stream<S>> {
        self.streams.get_or_insert(name, || Stream::new(self.service.clone(), name.clone(), self.room.clone()))
    }

    fn reading<'a>(&'a self, source: &'a ApplicationSource, round: Round) -> Reading<'a, S> {
        let name = &source.stream.stream;
        let progress = self.applications.get_or_insert(&(name.clone(), source.store.clone()), Progress::default);
        let reader = self
            .readers
            .get_or_insert(source, || Reader::new(ReaderId(self.next_reader.fetch_add(1, Ordering::Relaxed))));
        let table = self.tables.get_or_insert(&source.store, CheckpointTable::default);
        Reading { service: &self.service, source, stream: self.stream(name), table, reader, progress, round }
    }

    /// Reads the writes to all of these streams together: one `GetMetricData` call of `CloudWatch` covers many of them.
    async fn observe_writes(&self, due: &[Arc<SourceRef>], round: Round, report: &Report) {
        let writes = due.iter().filter_map(|source| match &**source {
            SourceRef::Writes(writes) => Some((source, writes)),
            SourceRef::Kafka(_) | SourceRef::Shards(_) | SourceRef::Application(_) => None,
        });
        let (sources, writes): (Vec<_>, Vec<_>) = writes.unzip();
        let streams: Vec<_> = writes.iter().map(|source| source.stream.clone()).collect();
        let shards = join_all(writes.iter().map(|source| self.shards(source, round.until)));
        let (written, shards) = tokio::join!(self.written.read(&streams), shards);
        for (((source, of), writes), shards) in sources.into_iter().zip(writes).zip(written).zip(shards) {
            let writes = writes.map_err(|failure| failure.into_error(format!("could not read the {of}")));
            let observation = shards.and_then(|shards| Ok(WritesObservation { writes: writes?, shards }));
            report(source, observation.map(|observation| Observation::Writes(Box::new(observation))));
        }
    }

    /// Returns the capacity of the stream's shards; an error in on-demand mode, where AWS manages the number of shards.
    async fn shards(&self, source: &WritesSource, until: Instant) -> Result<StreamCapacity, SourceError> {
        let stream = self.stream(&StreamName::Kinesis(source.stream.clone()));
        let error = |what: &str| {
            let attempt = format!("could not {what} of the {source}");
            move |failure: Failure| failure.into_error(attempt)
        };
        if stream.state(until).await.map_err(error("describe the stream"))? == StreamState::OnDemand {
            let error = SourceError::new(SourceErrorKind::Missing, format!("no shards to count of the {source}"));
            let error = error.because("the stream is in on-demand mode");
            return Err(error.remedy("AWS sizes it: remove the trigger, or switch the stream to provisioned mode"));
        }
        let listing = stream.listing(until).await.map_err(error("list the shards"))?;
        let unknown = || Failure::new(FailureKind::Other, "a shard without a range of hash keys");
        listing.capacity().ok_or_else(unknown).map_err(error("list the shards"))
    }

    async fn count(&self, source: &StreamSource, round: Round) -> Result<Observation, SourceError> {
        let listing = self.stream(&source.stream).listing(round.until).await;
        let listing =
            listing.map_err(|failure| failure.into_error(format!("could not list the shards of {source}")))?;
        let open = listing.shards().iter().filter(|shard| shard.state == ShardState::Open).count();
        let count = |shards: usize| u64::try_from(shards).unwrap_or(u64::MAX);
        Ok(Observation::Shards(ShardsObservation { open: count(open), closed: count(listing.shards().len() - open) }))
    }
}
