//! The topics and partitions of each source, and their leaders.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::SourceTopics;
use super::group_topics::GroupTopics;
use super::group_types::GroupTypes;
use super::log_starts::LogStarts;
use super::pending_reading::{JobTopic, PendingReading, failed};
use super::topology::Topology;
use super::transport::{ClusterTransport, RowError, TopicName, TopicPartitions, TopicsAsk};
use crate::lag::{Report, SourceError, SourceErrorKind};
use crate::trigger::{AbsentTopics, KafkaSource, PartitionSelection, SourceRef};

const TOPICS_DEADLINE: Duration = Duration::from_secs(2);

/// The known topics of one cluster.
pub(super) struct Topics<T> {
    pub(super) transport: T,
    topology: Mutex<Topology>,
    pub(super) of_groups: GroupTopics,
    pub(super) group_types: GroupTypes,
    log_starts: Mutex<LogStarts>,
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

    pub(super) fn topology(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log_starts(&self) -> MutexGuard<'_, LogStarts> {
        self.log_starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes entries that no source has used for a long time.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        self.topology().prune(now);
        self.of_groups.prune(now);
        self.group_types.prune(now);
        self.log_starts().prune(now);
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
        names: &[TopicName],
        refused: &Refused,
    ) -> Result<PendingReading, SourceError> {
        let mut topology = self.topology();
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
                _ => return Err(failed(format!("could not read topic {name} for {source}"), &error)),
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
