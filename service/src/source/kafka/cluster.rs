//! A round on one cluster: topics, then the committed offsets of groups, then the log end offsets.
//!
//! The order gives the sign: records that arrive in between can only overstate a lag. Rows are used as they arrive: a silent broker
//! or coordinator delays the sources that need it and no others. A failed row makes its topic doubtful, and the next read of the topic
//! begins with its leaders.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::sleep;

use super::ends::EndsReading;
use super::group_rows;
use super::log_ends::Ends;
use super::topics::Topics;
use super::transport::{ClusterTransport, TopicName};
use crate::lag::{Report, SourceError};
use crate::trigger::{SourceRef, TopicSelection};

/// Items that arrive within this time of the first form one wave; later ones form a wave of their own.
const WAVE: Duration = Duration::from_millis(250);
/// The maximum number of items in a wave.
const LARGEST_WAVE: usize = 5_000;

/// A source and its topics.
pub(super) type SourceTopics = (Arc<SourceRef>, Arc<[TopicName]>);

/// Reads the groups of one cluster with one identity.
pub struct Cluster<T> {
    topics: Topics<T>,
}

impl<T: ClusterTransport> Cluster<T> {
    /// Creates a cluster of which nothing is known yet.
    pub fn new(transport: T) -> Self {
        Self { topics: Topics::new(transport) }
    }

    /// Returns the transport to the brokers.
    pub(super) const fn transport(&self) -> &T {
        &self.topics.transport
    }

    /// Reads the `due` sources and reports each exactly once.
    pub async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        let (mut named, mut of_groups) = (Vec::new(), Vec::new());
        for source in due {
            match source.as_ref() {
                SourceRef::Kafka(kafka) => match &kafka.topics {
                    TopicSelection::Named(names) => named.push((source.clone(), names.clone())),
                    TopicSelection::OfGroup { .. } => of_groups.push(source),
                },
                _ => report(&source, Err(SourceError::misdirected(&source, "a Kafka cluster"))),
            }
        }
        self.topics.prune();
        let (found, sources) = mpsc::unbounded_channel();
        let of_found = in_waves(sources, |wave| self.read(wave, report));
        tokio::join!(
            self.read(named, report),
            self.topics.of_groups.find(self.transport(), of_groups, report, found),
            of_found
        );
    }

    async fn read(&self, sources: Vec<SourceTopics>, report: &Report) {
        let mut jobs = self.topics.plan(sources, report).await;
        // where every topic is absent, and counts as empty, there is nothing to request
        for job in jobs.extract_if(.., |job| job.is_empty()) {
            report(&job.source, job.finish(&Ends::default()));
        }
        let (ready, waiting) = mpsc::unbounded_channel();
        let read = in_waves(waiting, |wave| EndsReading::new(&self.topics, wave).run(report));
        tokio::join!(group_rows::read(&self.topics, jobs, report, ready), read);
    }
}

/// Runs over all items, in waves that do not wait for each other.
async fn in_waves<V, F: Future<Output = ()>>(items: UnboundedReceiver<V>, run: impl Fn(Vec<V>) -> F) {
    let waves = stream::unfold(items, async |mut items| Some((wave(&mut items).await?, items)));
    let mut waves = pin!(waves.fuse());
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(wave) = waves.next() => running.push(run(wave)),
            Some(()) = running.next() => {}
            else => return,
        }
    }
}

/// Returns the next item, and those that arrive soon after it.
async fn wave<V>(items: &mut UnboundedReceiver<V>) -> Option<Vec<V>> {
    let mut wave = vec![items.recv().await?];
    let mut end = pin!(sleep(WAVE));
    while wave.len() < LARGEST_WAVE {
        let room = LARGEST_WAVE - wave.len();
        tokio::select! {
            more = items.recv_many(&mut wave, room) => if more == 0 { break },
            () = &mut end => break,
        }
    }
    Some(wave)
}
