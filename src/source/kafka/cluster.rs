//! A round on one cluster: topics, then what the groups committed, then the ends of the logs.
//!
//! The order gives the sign: what is produced in between can only overstate a lag. Rows are used as they come: a silent broker
//! or coordinator holds up the sources that need it and no others. What failed makes its topic doubtful, and the next look at
//! it begins with the topic's leaders.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ends::EndsReading;
use super::group_rows::{GroupRows, Waiting};
use super::group_topics::GroupTopics;
use super::job::{Ends, Job, failed};
use super::topology::Topology;
use super::transport::{ClusterTransport, RowError, Topic, TopicName, TopicsAsk};
use crate::lag::{Report, SourceError, SourceErrorKind};
use crate::trigger::{AbsentTopics, KafkaSource, SourceRef, TopicSelection};

const TOPICS_DEADLINE: Duration = Duration::from_secs(2);

/// Reads the groups of one cluster with one identity.
pub struct Cluster<T> {
    pub(super) transport: T,
    topology: Mutex<Topology>,
    group_topics: GroupTopics,
}

/// Topics that could not be read, and why.
pub(super) type Refused = HashMap<TopicName, RowError>;

impl<T: ClusterTransport> Cluster<T> {
    /// A cluster of which nothing is known yet.
    pub fn new(transport: T) -> Self {
        Self { transport, topology: Mutex::default(), group_topics: GroupTopics::default() }
    }

    /// Reads the `due` sources and reports each exactly once.
    pub async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        let mut waiting = Waiting::new();
        for job in self.plan(due, report).await {
            if job.partitions().next().is_none() {
                // every topic is absent, and counts as empty; a request for no partition would be one for all
                report(&job.source, job.finish(&Ends::new()));
                continue;
            }
            waiting.entry(job.group.clone()).or_default().push(job);
        }
        let mut groups = GroupRows::ask(&self.transport, waiting);
        while let Some(wave) = groups.next_wave(report).await {
            EndsReading::new(self, wave).run(report).await;
        }
    }

    pub(super) fn topology(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // === topics ===

    /// Finds the topics of every source; those without are reported.
    async fn plan(&self, due: Vec<Arc<SourceRef>>, report: &Report) -> Vec<Job> {
        let mut named = Vec::with_capacity(due.len());
        let groups = self.group_topics.read(&self.transport, &due).await;
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
                self.group_topics.refused(&name, &error);
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
