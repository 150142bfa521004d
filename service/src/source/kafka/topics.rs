//! The topics and partitions of each source, and what is remembered of them between rounds: ids, partitions and leaders.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::cluster::SourceTopics;
use super::group_topics::GroupTopics;
use super::group_types::GroupTypes;
use super::log_starts::LogStarts;
use super::model::ByName;
use super::pending_reading::{JobTopic, PendingReading, failed};
use super::transport::{ClusterTransport, RowError, Topic, TopicName, TopicPartitions, TopicsAsk};
use crate::lag::{FORGET_AFTER, PartitionId, Report, SourceError, SourceErrorKind};
use crate::trigger::{AbsentTopics, KafkaSource, PartitionSelection, SourceRef};

const TOPICS_DEADLINE: Duration = Duration::from_secs(2);

/// The known topics of one cluster.
pub(super) struct Topics<T> {
    pub(super) transport: T,
    pub(super) topology: Mutex<Topology>,
    pub(super) of_groups: GroupTopics,
    pub(super) group_types: GroupTypes,
    pub(super) log_starts: Mutex<LogStarts>,
}

/// Topics that could not be read, and why.
pub(super) type Refused = HashMap<TopicName, RowError>;

impl<T: ClusterTransport> Topics<T> {
    /// Creates the state of a cluster of which nothing is known yet.
    pub(super) fn new(transport: T) -> Self {
        Self {
            transport,
            topology: Mutex::default(),
            of_groups: GroupTopics::default(),
            group_types: GroupTypes::default(),
            log_starts: Mutex::default(),
        }
    }

    /// Removes entries that no source has used for a long time.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        self.topology.lock().prune(now);
        self.of_groups.prune(now);
        self.group_types.prune(now);
        self.log_starts.lock().prune(now);
    }

    /// Reads the topics of the sources; a source whose topics cannot be read is reported.
    pub(super) async fn plan(&self, sources: Vec<SourceTopics>, report: &Report) -> Vec<PendingReading> {
        let refused = self.refresh(sources.iter().flat_map(|(_, names): &SourceTopics| &**names)).await;
        let mut jobs = Vec::with_capacity(sources.len());
        for (source, names) in sources {
            let SourceRef::Kafka(kafka) = source.as_ref() else { continue };
            match self.job(&source, kafka, &names, &refused) {
                Ok(job) => jobs.push(job),
                Err(error) => report(&source, Err(error)),
            }
        }
        jobs
    }

    /// Reads the topics that are new, old or doubtful; returns those that could not be read.
    pub(super) async fn refresh<'a>(&self, names: impl Iterator<Item = &'a TopicName>) -> Refused {
        let unread = self.topology.lock().unread(names, Instant::now());
        if unread.is_empty() {
            return HashMap::new();
        }
        let rows = match self.transport.topics(TopicsAsk::Named(unread.clone()), TOPICS_DEADLINE).await {
            Ok(rows) => rows,
            Err(error) => unread.into_iter().map(|name| (name, Err(error.clone()))).collect(),
        };
        let now = Instant::now();
        let mut topology = self.topology.lock();
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
        names: &[TopicName],
        refused: &Refused,
    ) -> Result<PendingReading, SourceError> {
        let mut topology = self.topology.lock();
        let now = Instant::now();
        let mut topics = Vec::with_capacity(names.len());
        let mut absent = Vec::new();
        for name in names {
            // the last known leaders are better than none while the metadata cannot be read
            if let Some(all) = topology.partitions(name, now) {
                topics.push(selected(all, &kafka.partitions));
                continue;
            }
            let error = refused.get(name).cloned().unwrap_or_else(|| RowError::Overdue("no answer".into()));
            match (&error, kafka.absent_topics) {
                (RowError::Gone(_), AbsentTopics::CountAsEmpty) => absent.push(name.clone()),
                _ => return Err(failed(format!("could not read topic {name} of group {}", kafka.group), &error)),
            }
        }
        let most = topics.iter().map(|topic| topic.partition_count).max().unwrap_or(0);
        if most == 0 && absent.is_empty() {
            return Err(SourceError::new(SourceErrorKind::Missing, format!("no topic of {source} has a partition")));
        }
        // an empty selection is a mistake, not zero lag; where no partition exists there is nothing to select
        if most > 0 && topics.iter().all(|topic| topic.selected.partitions.is_empty()) {
            let attempt = format!("partitionLimitation selects no partition of {source}");
            let error = SourceError::new(SourceErrorKind::Missing, attempt)
                .because(format!("its topics have partitions 0 to {}", most - 1));
            return Err(error.remedy("correct partitionLimitation"));
        }
        Ok(PendingReading::new(source.clone(), kafka, topics, absent))
    }
}

fn selected(mut topic: TopicPartitions, selection: &PartitionSelection) -> JobTopic {
    let partition_count = topic.partitions.last().map_or(0, |last| last.0.saturating_add(1));
    if *selection != PartitionSelection::All {
        topic.partitions =
            topic.partitions.iter().filter(|partition| selection.selects(partition.0)).copied().collect();
    }
    JobTopic { selected: topic, partition_count }
}

/// The maximum time until added partitions are noticed. Consumers notice them after five minutes, unless they are
/// configured otherwise (`metadata.max.age.ms`).
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// The last known topics of one cluster.
#[derive(Debug, Default)]
pub(super) struct Topology {
    topics: ByName<Known>,
}

#[derive(Debug)]
struct Known {
    topic: Topic,
    partitions: Arc<[PartitionId]>,
    read_at: Instant,
    used_at: Instant,
    doubtful: bool,
}

impl Topology {
    /// Returns those of `names` that must be read before they are used.
    pub(super) fn unread<'a>(&self, names: impl Iterator<Item = &'a TopicName>, now: Instant) -> Vec<TopicName> {
        let good = |known: &Known| !known.doubtful && now.duration_since(known.read_at) < READ_AGAIN_AFTER;
        let unread: HashSet<_> = names.filter(|name| !self.topics.get(*name).is_some_and(good)).cloned().collect();
        unread.into_iter().collect()
    }

    /// Stores the cluster's answer about a topic. A deleted topic is removed at once.
    pub(super) fn learn(&mut self, name: &TopicName, row: &Result<Topic, RowError>, now: Instant) {
        match row {
            Ok(topic) => {
                let (topic, partitions) = (topic.clone(), topic.numbers());
                let known = Known { topic, partitions, read_at: now, used_at: now, doubtful: false };
                self.topics.insert(name.clone(), known);
            }
            Err(RowError::Gone(_) | RowError::Denied(_) | RowError::Blocked(_)) => {
                self.topics.remove(name);
            }
            Err(_) => {}
        }
    }

    /// Forgets topics that no source has used within [`FORGET_AFTER`].
    pub(super) fn prune(&mut self, now: Instant) {
        self.topics.retain(|_, known| now.duration_since(known.used_at) < FORGET_AFTER);
    }

    /// Returns all last known partitions of the topic.
    pub(super) fn partitions(&mut self, name: &TopicName, now: Instant) -> Option<TopicPartitions> {
        let known = self.topics.get_mut(name)?;
        known.used_at = now;
        Some(TopicPartitions { name: name.clone(), id: known.topic.id, partitions: known.partitions.clone() })
    }

    /// Returns the last known state of the topic. Does not count as use.
    pub(super) fn last(&self, name: &TopicName) -> Option<&Topic> {
        self.topics.get(name).map(|known| &known.topic)
    }

    /// Marks the topic as doubtful because a read failed: its leaders may have moved.
    pub(super) fn doubt(&mut self, name: &TopicName) {
        if let Some(known) = self.topics.get_mut(name) {
            known.doubtful = true;
        }
    }
}
