//! The seam between the Kafka adapter and whatever speaks to the brokers.
//!
//! Batch-shaped: one call names everything a round wants to know, the answer comes in rows, each with an error of its own,
//! and what has come is usable when the deadline falls. A transport that can only ask group by group fans out behind it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::lag::{Offset, PartitionId, TopicId};
use crate::trigger::GroupType;

/// The name of a topic; shared, because a round repeats it for every partition.
pub type TopicName = Arc<str>;
/// The id of a consumer group.
pub type GroupId = Arc<str>;

/// One partition of a named topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number in it.
    pub partition: PartitionId,
}

/// The number of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerId(pub i32);

/// A broker as the cluster's metadata names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: BrokerId,
    /// The host that it advertises to clients.
    pub host: String,
    /// The port that it advertises to clients.
    pub port: u16,
}

/// Counts the leaders that a partition has had. A recreated topic begins again at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(pub u32);

impl LeaderEpoch {
    /// Kafka writes -1 where the epoch is not known.
    #[must_use]
    pub fn from_wire(wire: i32) -> Option<Self> {
        u32::try_from(wire).ok().map(Self)
    }
}

/// The broker that leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The broker.
    pub broker: BrokerId,
    /// Its epoch; brokers before 2.1 do not report it.
    pub epoch: Option<LeaderEpoch>,
}

/// An offset, and the leader epoch that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    /// The offset.
    pub offset: Offset,
    /// For a committed offset the epoch of the last consumed record, for the end of a log the leader's; not every client and
    /// broker reports it.
    pub epoch: Option<LeaderEpoch>,
}

/// What the cluster's metadata says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id; brokers before 2.8 have none.
    pub id: Option<TopicId>,
    /// Each partition with its leader, if it has one now; ordered by partition.
    pub partitions: Vec<(PartitionId, Option<Leader>)>,
}

impl Topic {
    /// The leader of a partition, if it has one now.
    #[must_use]
    pub fn leader(&self, partition: PartitionId) -> Option<Leader> {
        let index = self.partitions.binary_search_by_key(&partition, |(number, _)| *number).ok()?;
        self.partitions.get(index).and_then(|(_, leader)| *leader)
    }
}

/// Which topics to describe.
#[derive(Clone, Debug)]
pub enum TopicsAsk {
    /// These; a row for each comes back.
    Named(Vec<TopicName>),
    /// Every topic that the principal may see.
    All,
}

/// Which committed offsets to read.
#[derive(Clone, Debug)]
pub struct GroupAsk {
    /// The group.
    pub group: GroupId,
    /// Of which partitions.
    pub partitions: PartitionsAsk,
}

/// The partitions of a [`GroupAsk`].
#[derive(Clone, Debug)]
pub enum PartitionsAsk {
    /// These; a row for each comes back.
    Named(Vec<TopicPartitions>),
    /// All that the group has committed and the principal may see.
    AllCommitted,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic's name.
    pub name: TopicName,
    /// Its id; with it, commits for a deleted topic of the same name do not count.
    pub id: Option<TopicId>,
    /// Its partitions.
    pub partitions: Vec<PartitionId>,
}

/// How far a group has come in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has no committed offset, or has not read the partition.
    None,
    /// A consumer group: the committed offset.
    Committed(OffsetAndEpoch),
    /// A share group: so many records are not acknowledged.
    Unacknowledged(u64),
}

/// How far a group has come: a row for each partition that was asked for.
pub type ProgressRows = Vec<(TopicPartition, Result<Progress, RowError>)>;

/// What is known of topics: a row for each that was asked for.
pub type TopicRows = Vec<(TopicName, Result<Topic, RowError>)>;

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// Of which type it is; `None` where there is no such group.
    pub group_type: Option<GroupType>,
    /// The coordinator's word, such as `Stable`, `Empty` or `Dead`.
    pub state: String,
    /// The members and what they were given.
    pub members: Vec<GroupMember>,
}

impl GroupState {
    /// Whether the members are just being given their partitions: who has which is unknown then, though somebody soon will.
    #[must_use]
    pub fn rebalancing(&self) -> bool {
        let nobody = self.members.iter().all(|member| member.assignment.is_empty());
        !self.members.is_empty() && nobody && self.state != "Stable"
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// What the coordinator calls it: another one each time that it joins.
    pub id: String,
    /// Its client id, as the application set it.
    pub client_id: String,
    /// The partitions that it was given.
    pub assignment: Vec<TopicPartition>,
}

/// Which end of the log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogPosition {
    /// The first offset that is still there.
    Start,
    /// The high watermark: the end for consumers that read uncommitted records.
    End,
    /// The last stable offset: the end for consumers that read only committed records.
    StableEnd,
}

/// Why a row has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowError {
    /// A leader or coordinator is moving; look it up and ask again. Coordinators have been asked twice already.
    Moving(String),
    /// The cluster names no leader.
    Leaderless(String),
    /// The broker could not be reached.
    Unreachable(String),
    /// No answer before the deadline.
    Overdue(String),
    /// The principal may not.
    Denied(String),
    /// The topic or partition is not there.
    Gone(String),
    /// The broker cannot do what was requested.
    Unsupported(String),
    /// Any other error of the broker.
    Broker(String),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Moving(text)
        | Self::Leaderless(text)
        | Self::Unreachable(text)
        | Self::Overdue(text)
        | Self::Denied(text)
        | Self::Gone(text)
        | Self::Unsupported(text)
        | Self::Broker(text)) = self;
        f.write_str(text)
    }
}

/// Rows as they come; the stream ends when every asked key was answered or the deadline fell (then the rest has come as
/// [`RowError::Overdue`]).
pub type Rows<K, V> = mpsc::UnboundedReceiver<(K, Result<V, RowError>)>;

/// Asks one cluster with one identity.
pub trait ClusterTransport: Send + Sync + 'static {
    /// Ids, partitions and leaders of topics; never creates one.
    ///
    /// # Errors
    /// When nothing could be asked, so that there are no rows at all.
    fn topics(&self, ask: TopicsAsk, deadline: Duration) -> impl Future<Output = Result<TopicRows, RowError>> + Send;

    /// How far groups of one type have come, without joining them. A group of another type seems to have read nothing.
    fn progress(&self, of: GroupType, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, ProgressRows>;

    /// Offsets at one end of the log; `leader` is the broker that leads all the asked partitions, each in this epoch.
    fn offsets(
        &self,
        leader: BrokerId,
        ask: Vec<(TopicPartition, Option<LeaderEpoch>)>,
        at: LogPosition,
        deadline: Duration,
    ) -> Rows<TopicPartition, OffsetAndEpoch>;

    /// State and members of groups.
    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState>;
}
