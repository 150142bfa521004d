//! One account and region as one identity sees it: everything that is read is shared by everyone who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::application::{Progress, Reader, Reading};
use super::checkpoints::CheckpointTable;
use super::round::{Arrival, Gate, Round};
use super::service::Service;
use super::stream::Stream;
use super::turns::ReaderId;
use crate::lag::streams::ShardState;
use crate::lag::{Observation, Report, ShardsObservation, SourceError};
use crate::source::shared::Registry;
use crate::trigger::{ApplicationSource, CheckpointStore, SourceRef, StreamName, StreamSource};

/// The probes of one account that are made at once.
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
}

impl<S: Service> Account<S> {
    pub(crate) fn new(service: S) -> Self {
        Self {
            service: Arc::new(service),
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
        for source in due {
            let stream = match &*source {
                SourceRef::Application(application) => Some(application.stream.stream.clone()),
                SourceRef::Shards(_) | SourceRef::Kafka(_) => None,
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
            SourceRef::Kafka(_) => Err(SourceError::misdirected(source, "AWS")),
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

    async fn count(&self, source: &StreamSource, round: Round) -> Result<Observation, SourceError> {
        let listing = self.stream(&source.stream).listing(round.until).await;
        let listing =
            listing.map_err(|failure| failure.into_error(format!("could not list the shards of {source}")))?;
        let open = listing.shards().iter().filter(|shard| shard.state == ShardState::Open).count();
        let count = |shards: usize| u64::try_from(shards).unwrap_or(u64::MAX);
        Ok(Observation::Shards(ShardsObservation { open: count(open), closed: count(listing.shards().len() - open) }))
    }
}
