//! A round on one cluster: topics, then what the groups committed, then the ends of the logs.
//!
//! The order gives the sign: what is produced in between can only overstate a lag. Rows are used as they come: a silent broker
//! or coordinator holds up the sources that need it and no others. What failed makes its topic doubtful, and the next look at
//! it begins with the topic's leaders.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::ends::EndsReading;
use super::group_rows::{GroupRows, Waiting};
use super::job::Ends;
use super::topics::Topics;
use super::transport::ClusterTransport;
use crate::lag::Report;
use crate::trigger::{KafkaSource, SourceRef, TopicSelection};

/// Reads the groups of one cluster with one identity.
pub struct Cluster<T> {
    topics: Topics<T>,
}

impl<T: ClusterTransport> Cluster<T> {
    /// A cluster of which nothing is known yet.
    pub fn new(transport: T) -> Self {
        Self { topics: Topics::new(transport) }
    }

    /// How it is asked.
    pub(super) const fn transport(&self) -> &T {
        &self.topics.transport
    }

    /// Reads the `due` sources and reports each exactly once. Those whose topics are yet to be found hold up no others.
    pub async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        let (named, of_group): (Vec<_>, Vec<_>) = due.into_iter().partition(|source| names_its_topics(source));
        tokio::join!(self.read(named, report), self.read(of_group, report));
    }

    async fn read(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        let mut waiting = Waiting::new();
        for job in self.topics.plan(due, report).await {
            if job.partitions().next().is_none() {
                // every topic is absent, and counts as empty; a request for no partition would be one for all
                report(&job.source, job.finish(&Ends::new()));
                continue;
            }
            waiting.entry(job.group.clone()).or_default().push(job);
        }
        let mut groups = GroupRows::ask(&self.topics.transport, waiting);
        let (ready, mut waves) = mpsc::unbounded_channel();
        let gather = async move {
            while let Some(wave) = groups.next_wave(report).await {
                // the other side reads for as long as waves come
                let _ = ready.send(wave);
            }
        };
        let read = async {
            let mut reading = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some(wave) = waves.recv() => reading.push(EndsReading::new(&self.topics, wave).run(report)),
                    Some(()) = reading.next() => {}
                    else => break,
                }
            }
        };
        tokio::join!(gather, read);
    }
}

fn names_its_topics(source: &SourceRef) -> bool {
    !matches!(source, SourceRef::Kafka(KafkaSource { topics: TopicSelection::OfGroup { .. }, .. }))
}
