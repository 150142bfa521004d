//! One complete reading of one source, and the types of a Kafka log in it; partial readings do not exist.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Writes;
use super::streams::{StreamCapacity, Survey, Timestamp, Worker};
use crate::trigger::GroupType;

/// The number of a partition within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a partition's log: the number of records before it, deleted ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// Converts an offset of the protocol; negative numbers are sentinels, not offsets.
    #[must_use]
    pub fn from_wire(wire: i64) -> Option<Self> {
        u64::try_from(wire).ok().map(Self)
    }

    /// Records from `earlier` up to here; 0 where `earlier` is the later one.
    #[must_use]
    pub const fn records_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The commit of a group for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommittedOffset {
    /// The group never committed, or its commit has expired.
    None,
    /// The offset of the next record to read.
    At(Offset),
}

/// The two ends of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// The first offset that still exists.
    pub start: Offset,
    /// The offset that the next record will get (or the last stable offset, where the trigger reads committed records only).
    pub end: Offset,
}

/// The identity of a topic, which differs for a recreated topic of the same name (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A complete reading of one source.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// An observation of a Kafka consumer group.
    Kafka(GroupObservation),
    /// An observation of the shards of a stream.
    Shards(ShardsObservation),
    /// An observation of an application on a stream.
    Application(ApplicationObservation),
    /// An observation of the writes to a stream.
    Writes(Box<WritesObservation>),
}

/// What is written to a Kinesis stream, and what it accepts.
#[derive(Clone, Debug, PartialEq)]
pub struct WritesObservation {
    /// The writes of the last days.
    pub writes: Writes,
    /// The capacity of its shards.
    pub shards: StreamCapacity,
}

/// The number of shards of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardsObservation {
    /// The number of shards that accept records.
    pub open: u64,
    /// The number of closed shards that the service still lists.
    pub closed: u64,
}

/// Whether an application has written any progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Checkpoints {
    /// The checkpoint table does not exist.
    NoTable,
    /// The checkpoint table has no row of this stream.
    None,
    /// The application has written checkpoints.
    Some,
}

/// How far an application is behind on a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationObservation {
    /// The state of every shard.
    pub survey: Survey,
    /// Whether the application has written any progress.
    pub checkpoints: Checkpoints,
    /// What its workers have written about themselves; no decision depends on it.
    pub workers: Vec<Worker>,
    /// How its checkpoint table was read; `None` where there is no table, and in a recording.
    pub table: Option<TableReading>,
    /// How long the stream keeps records; `None` until it was read.
    pub retention: Option<Duration>,
    /// The time of the observation, by the service's clock.
    pub seen: Timestamp,
}

/// How a checkpoint table was read; a large one is not read in each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableReading {
    /// How long before the round its rows were read; zero where they were read in the round itself.
    pub ago: Duration,
    /// The minimum interval between reads, by the table's size and `leaseTableReadUnits`.
    pub every: Duration,
    /// The cost of one read, in DynamoDB read units.
    pub read_units: f64,
}

/// What a consumer group has committed, and where the logs that it reads end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupObservation {
    /// Every existing topic of the source, ordered by name.
    pub topics: Vec<TopicObservation>,
    /// Requested topics that do not exist; only where the source counts those as empty.
    pub absent: Vec<Arc<str>>,
    /// The type of the group.
    pub group_type: GroupType,
    /// The members of the group.
    pub members: Members,
}

/// The members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Members {
    /// No trigger needs the members, so they were not read.
    #[default]
    Unread,
    /// The group is stable with these members, and each partition names its owner.
    Settled(Vec<Member>),
    /// The group is rebalancing with this number of members.
    Rebalancing(usize),
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator assigned: a new one each time that the member joins.
    pub id: Arc<str>,
    /// The id that the application set.
    pub client_id: Arc<str>,
}

/// The index of a member in its group's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberIndex(pub u32);

/// The partitions of one topic that the source selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicObservation {
    /// The topic's name.
    pub name: Arc<str>,
    /// The topic's identity; brokers before 2.8 have none.
    pub id: Option<TopicId>,
    /// The number of partitions of the topic, including those that the source does not select.
    pub partition_count: u32,
    /// The partitions that the source selects, ordered.
    pub partitions: Vec<PartitionObservation>,
}

/// One partition: the commit was read before the ends, so a race can only overstate the lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionObservation {
    /// The partition's number.
    pub partition: PartitionId,
    /// The commit of the group. A share group commits no offset: for it, this is the end of the log less the lag that the group's
    /// coordinator reports, so that it advances as records are acknowledged.
    pub committed: CommittedOffset,
    /// The start and the end of the log.
    pub watermarks: Watermarks,
    /// The owner of the partition, where members were read and a member owns it.
    pub owner: Option<MemberIndex>,
}

impl Default for GroupObservation {
    fn default() -> Self {
        let (topics, absent, members) = (Vec::new(), Vec::new(), Members::Unread);
        Self { topics, absent, group_type: GroupType::Consumer, members }
    }
}

impl GroupObservation {
    /// The number of partitions of the largest topic.
    pub(crate) fn most_partitions(&self) -> u32 {
        self.topics.iter().map(|topic| topic.partition_count).max().unwrap_or(0)
    }

    /// The member that owns a partition.
    #[must_use]
    pub fn owner(&self, partition: &PartitionObservation) -> Option<&Member> {
        let Members::Settled(members) = &self.members else { return None };
        members.get(usize::try_from(partition.owner?.0).ok()?)
    }
}
