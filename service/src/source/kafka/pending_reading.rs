//! One source of a round on its way to an observation: what it requests, and how rows become its result.

use std::collections::HashMap;
use std::sync::Arc;

use super::log_ends::Ends;
use super::transport::{
    ByTopic, GroupId, GroupMember, GroupState, LogPosition, OffsetAndEpoch, Progress, ProgressRows, RowError,
    TopicName, TopicPartitions,
};
use crate::lag::{
    CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation, Offset, PartitionId,
    PartitionObservation, SourceError, SourceErrorKind, TopicObservation, Watermarks,
};
use crate::trigger::{GroupType, IsolationLevel, KafkaSource, SourceRef};

/// A topic of a source.
pub(super) struct JobTopic {
    /// The partitions that the source selects.
    pub(super) selected: TopicPartitions,
    /// The number of partitions of the topic.
    pub(super) partition_count: u32,
}

/// One source of a round whose topics are known.
pub(super) struct PendingReading {
    pub(super) source: Arc<SourceRef>,
    pub(super) group: GroupId,
    pub(super) requested_type: Option<GroupType>,
    group_type: GroupType,
    end: LogPosition,
    /// The topics of the source, ordered by name.
    pub(super) topics: Vec<JobTopic>,
    absent: Vec<Arc<str>>,
    progress: Option<Arc<ProgressRows>>,
    /// The members and their assignments, where they are needed; `None` until they are read.
    members: Option<Members>,
    owners: ByTopic<MemberIndex>,
}

impl PendingReading {
    pub(super) fn new(
        source: Arc<SourceRef>,
        kafka: &KafkaSource,
        mut topics: Vec<JobTopic>,
        absent: Vec<Arc<str>>,
    ) -> Self {
        topics.sort_by(|one, other| one.selected.name.cmp(&other.selected.name));
        let end = match kafka.isolation {
            IsolationLevel::ReadUncommitted => LogPosition::End,
            IsolationLevel::ReadCommitted => LogPosition::StableEnd,
        };
        let group = kafka.group.clone();
        let members = kafka.consumers.is_none().then_some(Members::Unread);
        Self {
            source,
            group,
            requested_type: kafka.group_type,
            group_type: kafka.group_type.unwrap_or(GroupType::Consumer),
            end,
            topics,
            absent,
            progress: None,
            members,
            owners: ByTopic::default(),
        }
    }

    /// Whether the members must still be read.
    pub(super) const fn lacks_members(&self) -> bool {
        self.members.is_none()
    }

    /// Stores the members and their assignments.
    pub(super) fn join(&mut self, state: &GroupState) {
        if state.rebalancing() {
            self.members = Some(Members::Rebalancing(state.members.len()));
            return;
        }
        if state.group_type == Some(GroupType::Share) {
            // every member of a share group consumes every partition of its topics
            let works = |member: &&GroupMember| {
                let mut topics = member.assignment.iter().map(|partition| &partition.topic);
                topics.any(|topic| self.topics.iter().any(|known| known.selected.name == *topic))
            };
            self.members = Some(Members::Settled(state.members.iter().filter(works).map(member).collect()));
            return;
        }
        self.members = Some(Members::Settled(state.members.iter().map(member).collect()));
        let mut owned: HashMap<TopicName, Vec<_>> = HashMap::new();
        for (index, member) in (0..).zip(&state.members) {
            for partition in &member.assignment {
                owned.entry(partition.topic.clone()).or_default().push((partition.partition, MemberIndex(index)));
            }
        }
        self.owners = owned.into_iter().map(|(topic, owners)| (topic, owners.into_iter().collect())).collect();
    }

    /// Whether the source selects no partition at all.
    pub(super) fn is_empty(&self) -> bool {
        self.topics.iter().all(|topic| topic.selected.partitions.is_empty())
    }

    /// Returns the log ends that the job needs of each partition.
    pub(super) const fn positions(&self) -> [LogPosition; 2] {
        [LogPosition::Start, self.end]
    }

    /// Stores the progress of the group, which is of this type.
    pub(super) fn come_so_far(&mut self, group_type: GroupType, rows: Arc<ProgressRows>) {
        self.group_type = group_type;
        if group_type == GroupType::Share {
            // the lag of a share group is counted up to the high watermark
            self.end = LogPosition::End;
        }
        self.progress = Some(rows);
    }

    /// Returns the topics for which a log end that the job needs is missing or failed.
    pub(super) fn lacking(&self, ends: &Ends) -> impl Iterator<Item = &TopicName> {
        let read = |selected: &TopicPartitions| {
            let Some(ends) = ends.get(&selected.name) else { return selected.partitions.is_empty() };
            selected.partitions.iter().all(|&partition| ends.are_good(partition, &self.positions()))
        };
        let topics = self.topics.iter().map(|topic| &topic.selected);
        topics.filter(move |selected| !read(selected)).map(|selected| &selected.name)
    }

    /// Returns the observation; an error if a single row is missing.
    pub(super) fn finish(&self, ends: &Ends) -> Result<Observation, SourceError> {
        let mut failures = Failures::default();
        let topics = self.topics.iter().map(|topic| self.topic(topic, ends, &mut failures));
        let members = self.members.clone().unwrap_or(Members::Unread);
        let (topics, absent) = (topics.collect(), self.absent.clone());
        let observation = GroupObservation { topics, absent, group_type: self.group_type, members };
        match failures.first {
            None => Ok(Observation::Kafka(observation)),
            Some((what, error)) => {
                let more = match failures.count {
                    1 => String::new(),
                    count => format!(" ({count} such rows)"),
                };
                Err(failed(format!("could not read the {what} of group {}{more}", self.group), &error))
            }
        }
    }

    fn topic(&self, topic: &JobTopic, ends: &Ends, failures: &mut Failures) -> TopicObservation {
        let JobTopic { selected, partition_count } = topic;
        let name = &selected.name;
        let (progress, ends, owners) =
            (self.progress.as_ref().and_then(|rows| rows.get(name)), ends.get(name), self.owners.get(name));
        let mut partitions = Vec::with_capacity(selected.partitions.len());
        partitions.extend(selected.partitions.iter().filter_map(|&partition| {
            let of = (name, partition);
            let progress = failures.take(of, "committed offset", progress.and_then(|of| of.get(&partition)));
            let ends = ends.and_then(|ends| ends.of(partition));
            let start = failures.take(of, "start of the log", ends.and_then(|ends| ends.row(LogPosition::Start)));
            let end = failures.take(of, "end of the log", ends.and_then(|ends| ends.row(self.end)));
            let (start, end) = (start?, end?);
            let watermarks = Watermarks { start: start.offset, end: end.offset };
            let owner = owners.and_then(|owners| owners.get(&partition)).copied();
            Some(PartitionObservation { partition, committed: committed(progress?, end), watermarks, owner })
        }));
        TopicObservation { name: name.clone(), id: selected.id, partition_count: *partition_count, partitions }
    }
}

fn member(member: &GroupMember) -> Member {
    Member { id: member.id.as_str().into(), client_id: member.client_id.as_str().into() }
}

/// Returns the committed offset of a partition that ends at `end`.
///
/// A commit of a later epoch than the leader's, which was read after it, was made for a deleted topic of the same name, whose
/// epochs went further: this topic has no committed offset.
fn committed(progress: Progress, end: OffsetAndEpoch) -> CommittedOffset {
    match progress {
        Progress::None => CommittedOffset::None,
        Progress::Committed(commit) if commit.epoch.zip(end.epoch).is_some_and(|(commit, end)| commit > end) => {
            CommittedOffset::None
        }
        Progress::Committed(commit) => CommittedOffset::At(commit.offset),
        Progress::Unacknowledged(lag) => CommittedOffset::At(Offset(end.offset.0.saturating_sub(lag))),
    }
}

/// Rows without a value: the first error is reported, the others are counted.
#[derive(Default)]
struct Failures {
    first: Option<(String, RowError)>,
    count: usize,
}

impl Failures {
    /// Returns the value of a row, if it has one, and records the error otherwise.
    fn take<V: Copy>(
        &mut self,
        (topic, partition): (&TopicName, PartitionId),
        what: &str,
        row: Option<&Result<V, RowError>>,
    ) -> Option<V> {
        let error = match row {
            Some(Ok(value)) => return Some(*value),
            Some(Err(error)) => error.clone(),
            None => RowError::Overdue("no answer".into()),
        };
        self.count += 1;
        self.first.get_or_insert_with(|| (format!("{what} of partition {partition} of topic {topic}"), error));
        None
    }
}

/// Converts a row's error into an error of the source.
pub fn failed(attempt: String, row: &RowError) -> SourceError {
    let (kind, remedy) = match row {
        RowError::Moving(_) => (SourceErrorKind::Unreachable, "leaders are moving; it is tried again at once"),
        RowError::Leaderless(_) => (
            SourceErrorKind::Unreachable,
            "start the brokers that have its replicas; kafka-topics.sh --describe --unavailable-partitions names them",
        ),
        RowError::Unreachable(_) => (
            SourceErrorKind::Unreachable,
            "check bootstrapServers, the listener's security, and that the brokers are up",
        ),
        RowError::Overdue(_) => (SourceErrorKind::TimedOut, "check that the brokers are up and reachable"),
        RowError::Blocked(_) => (
            SourceErrorKind::Denied,
            "where \"*\" keeps brokers on other hosts allowed; on your own machine, start serve with --dev",
        ),
        RowError::Denied(_) => (
            SourceErrorKind::Denied,
            "check the connection's credentials, and that its principal may Describe the topic and the group",
        ),
        RowError::Gone(_) => (SourceErrorKind::Missing, "create the topic, or correct topic and partitionLimitation"),
        RowError::Unsupported(_) => {
            (SourceErrorKind::Broken, "upgrade the brokers; docs/kafka.md names the oldest for each feature")
        }
        RowError::Broker(_) => (SourceErrorKind::Broken, "check the brokers' log"),
    };
    SourceError::new(kind, attempt).because(row).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::lag::{PartitionId, SourceErrorKind};
    use crate::source::kafka::log_ends::{SeenLog, TopicEnds};
    use crate::source::kafka::transport::{ByPartition, LeaderEpoch};
    use crate::trigger::Trigger;

    fn job() -> PendingReading {
        let metadata = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")];
        let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let source = Trigger::parse(&metadata).expect("a good trigger").source;
        let SourceRef::Kafka(kafka) = &source else { panic!("a Kafka source") };
        let selected = TopicPartitions { name: "t".into(), id: None, partitions: [PartitionId(0)].into() };
        let topic = JobTopic { selected, partition_count: 1 };
        PendingReading::new(Arc::new(source.clone()), kafka, vec![topic], Vec::new())
    }

    fn at(offset: u64, epoch: Option<u32>) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: Offset(offset), epoch: epoch.map(LeaderEpoch) }
    }

    fn progress(row: Result<Progress, RowError>) -> Arc<ProgressRows> {
        let of_topic = ByPartition::from_iter([(PartitionId(0), row)]);
        Arc::new(ByTopic::from_iter([("t".into(), of_topic)]))
    }

    fn ends(end: Option<OffsetAndEpoch>) -> Ends {
        let mut ends = TopicEnds::default();
        ends.add(&[PartitionId(0)], |_| Some(at(0, None)));
        if let Some(end) = end {
            let _: SeenLog = ends.take(PartitionId(0), LogPosition::End, Ok(end));
        }
        Ends::from_iter([("t".into(), ends)])
    }

    /// L1 to L3: KEDA counts a partition that the answer lacks as zero lag.
    #[test]
    fn a_row_that_is_missing_is_an_error_and_never_zero() {
        for committed in [Progress::None, Progress::Committed(at(100, None))] {
            let mut job = job();
            job.come_so_far(GroupType::Consumer, progress(Ok(committed)));
            let ends = ends(None);
            assert_eq!(job.lacking(&ends).count(), 1);
            let error = job.finish(&ends).expect_err("the end is missing");
            assert_eq!(error.kind(), SourceErrorKind::TimedOut);
            assert!(error.chain().contains("end of the log of partition 0 of topic t"), "{}", error.chain());
        }
    }

    #[test]
    fn each_kind_of_row_error_is_an_error_of_its_kind() {
        let cases = [
            (RowError::Moving("m".into()), SourceErrorKind::Unreachable),
            (RowError::Leaderless("m".into()), SourceErrorKind::Unreachable),
            (RowError::Unreachable("m".into()), SourceErrorKind::Unreachable),
            (RowError::Overdue("m".into()), SourceErrorKind::TimedOut),
            (RowError::Blocked("m".into()), SourceErrorKind::Denied),
            (RowError::Denied("m".into()), SourceErrorKind::Denied),
            (RowError::Gone("m".into()), SourceErrorKind::Missing),
            (RowError::Unsupported("m".into()), SourceErrorKind::Broken),
            (RowError::Broker("m".into()), SourceErrorKind::Broken),
        ];
        for (row, kind) in cases {
            let mut job = job();
            job.come_so_far(GroupType::Consumer, progress(Err(row)));
            assert_eq!(job.finish(&ends(Some(at(5, None)))).expect_err("a row failed").kind(), kind);
        }
    }

    /// K5: a recreated topic begins again at epoch 0.
    #[test]
    fn a_commit_of_a_later_epoch_than_the_leaders_belongs_to_a_deleted_topic() {
        let none = CommittedOffset::None;
        let committed = CommittedOffset::At(Offset(2));
        let cases = [
            (Some(3), Some(0), none),
            (Some(3), Some(3), committed),
            (Some(3), Some(4), committed),
            (Some(3), None, committed),
            (None, Some(0), committed),
        ];
        for (of_commit, of_leader, expected) in cases {
            let mut job = job();
            job.come_so_far(GroupType::Consumer, progress(Ok(Progress::Committed(at(2, of_commit)))));
            let Ok(Observation::Kafka(group)) = job.finish(&ends(Some(at(42, of_leader)))) else { panic!("a reading") };
            assert_eq!(group.topics[0].partitions[0].committed, expected, "{of_commit:?} {of_leader:?}");
        }
    }
}
