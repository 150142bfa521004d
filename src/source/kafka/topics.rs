//! Which topics and partitions each source is about, and who leads them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::group_topics::GroupTopics;
use super::job::{Job, failed};
use super::topology::Topology;
use super::transport::{ClusterTransport, RowError, Topic, TopicName, TopicsAsk};
use crate::lag::{Report, SourceError, SourceErrorKind};
use crate::trigger::{AbsentTopics, KafkaSource, SourceRef, TopicSelection};

const TOPICS_DEADLINE: Duration = Duration::from_secs(2);

/// What is known of the topics of one cluster.
pub(super) struct Topics<T> {
    pub(super) transport: T,
    topology: Mutex<Topology>,
    of_groups: GroupTopics,
}

/// Topics that could not be read, and why.
pub(super) type Refused = HashMap<TopicName, RowError>;

impl<T: ClusterTransport> Topics<T> {
    /// Nothing is known yet.
    pub(super) fn new(transport: T) -> Self {
        Self { transport, topology: Mutex::default(), of_groups: GroupTopics::default() }
    }

    pub(super) fn topology(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the topics of every source; those without are reported.
    pub(super) async fn plan(&self, due: Vec<Arc<SourceRef>>, report: &Report) -> Vec<Job> {
        let mut named = Vec::with_capacity(due.len());
        let groups = self.of_groups.read(&self.transport, &due).await;
        for source in due {
            let SourceRef::Kafka(kafka) = source.as_ref() else {
                report(&source, Err(SourceError::misdirected(&source, "a Kafka cluster")));
                continue;
            };
            let names = match &kafka.topics {
                TopicSelection::Named(names) => Ok(names.iter().cloned().collect()),
                TopicSelection::OfGroup { without_commits } => groups.topics(&kafka.group, *without_commits, &source),
            };
            match names {
                Ok(names) => named.push((source, names)),
                Err(error) => report(&source, Err(error)),
            }
        }
        let refused = self.refresh(named.iter().flat_map(|(_, names): &(_, BTreeSet<TopicName>)| names)).await;
        let mut jobs = Vec::with_capacity(named.len());
        for (source, names) in named {
            let SourceRef::Kafka(kafka) = source.as_ref() else { continue };
            match self.job(&source, kafka, &names, &refused) {
                Ok(job) => jobs.push(job),
                Err(error) => report(&source, Err(error)),
            }
        }
        jobs
    }

    /// Reads the topics that are new, old or doubtful; the answer holds those that could not be read.
    pub(super) async fn refresh<'a>(&self, names: impl Iterator<Item = &'a TopicName>) -> Refused {
        let unread = self.topology().unread(names, Instant::now());
        if unread.is_empty() {
            return HashMap::new();
        }
        let rows = match self.transport.topics(TopicsAsk::Named(unread.clone()), TOPICS_DEADLINE).await {
            Ok(rows) => rows,
            Err(error) => unread.into_iter().map(|name| (name, Err(error.clone()))).collect(),
        };
        let now = Instant::now();
        let mut topology = self.topology();
        let mut refused = HashMap::new();
        for (name, row) in rows {
            topology.learn(&name, &row, now);
            if let Err(error) = row {
                self.of_groups.refused(&name, &error);
                refused.insert(name, error);
            }
        }
        refused
    }

    fn job(
        &self,
        source: &Arc<SourceRef>,
        kafka: &KafkaSource,
        names: &BTreeSet<TopicName>,
        refused: &Refused,
    ) -> Result<Job, SourceError> {
        let mut topology = self.topology();
        let now = Instant::now();
        let mut topics = Vec::with_capacity(names.len());
        let mut absent = Vec::new();
        for name in names {
            // leaders as last seen are better than none while the metadata cannot be read
            if let Some(topic) = topology.topic(name, now) {
                topics.push((name.clone(), topic));
                continue;
            }
            let error = refused.get(name).cloned().unwrap_or_else(|| RowError::Overdue("no answer".into()));
            match (&error, kafka.absent_topics) {
                (RowError::Gone(_), AbsentTopics::CountAsEmpty) => absent.push(name.clone()),
                _ => return Err(failed(format!("could not read topic {name} for {source}"), &error)),
            }
        }
        if topics.iter().all(|(_, topic): &(_, Topic)| topic.partitions.is_empty()) && absent.is_empty() {
            return Err(SourceError::new(SourceErrorKind::Missing, format!("no topic of {source} has a partition")));
        }
        Ok(Job::new(source.clone(), kafka, topics, absent))
    }
}
