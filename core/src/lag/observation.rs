//! One complete reading of a source. There is no partial one.

use std::sync::Arc;
use std::time::Duration;

use super::streams::{StreamCapacity, Survey, Timestamp, Worker};
use super::{CommittedOffset, PartitionId, TopicId, Watermarks, Writes};
use crate::trigger::GroupType;

/// A complete reading of one source.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Of a Kafka consumer group.
    Kafka(GroupObservation),
    /// Of the shards of a stream.
    Shards(ShardsObservation),
    /// Of an application on a stream.
    Application(ApplicationObservation),
    /// Of the writes to a stream.
    Writes(Box<WritesObservation>),
}

/// What is written to a Kinesis stream, and what it accepts.
#[derive(Clone, Debug, PartialEq)]
pub struct WritesObservation {
    /// What was written.
    pub writes: Writes,
    /// Its shards.
    pub shards: StreamCapacity,
}

/// How many shards a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardsObservation {
    /// Those that records are written to.
    pub open: u64,
    /// Those that the service still lists although they are closed.
    pub closed: u64,
}

/// Whether an application has written any progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Checkpoints {
    /// Its table is not there.
    NoTable,
    /// Its table has nothing of this stream.
    None,
    /// It has.
    Some,
}

/// How far an application is behind on a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationObservation {
    /// Every shard.
    pub survey: Survey,
    /// Whether the application has written any progress.
    pub checkpoints: Checkpoints,
    /// What its workers have written of themselves; nothing is decided by it.
    pub workers: Vec<Worker>,
    /// How its checkpoint table was read; `None` where there is no table, and in a recording.
    pub table: Option<TableReading>,
    /// The stream keeps records for so long; `None` until it could be asked for.
    pub retention: Option<Duration>,
    /// When it was seen, by the service's clock.
    pub seen: Timestamp,
}

/// How a checkpoint table was read. A large one is not read in each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableReading {
    /// How long before the round its rows were read; zero where that was in the round itself.
    pub ago: Duration,
    /// How often the table is read at most, by its size and `leaseTableReadUnits`.
    pub every: Duration,
    /// What one read costs, in DynamoDB's read units.
    pub read_units: f64,
}

/// What a consumer group has committed, and where the logs that it reads end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupObservation {
    /// Every topic of the source that is there, ordered by name.
    pub topics: Vec<TopicObservation>,
    /// Topics that were asked for and are not there; only where the source counts those as empty.
    pub absent: Vec<Arc<str>>,
    /// Of which type the group is.
    pub group_type: GroupType,
    /// Who reads them.
    pub members: Members,
}

/// The members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Members {
    /// Nobody asked for them.
    #[default]
    Unread,
    /// These, and each partition says whose it is.
    Settled(Vec<Member>),
    /// So many, who are just being given their partitions.
    Rebalancing(usize),
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the coordinator calls it: another one each time that it joins.
    pub id: Arc<str>,
    /// What the application calls it.
    pub client_id: Arc<str>,
}

/// The place of a member in its group's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberIndex(pub u32);

/// The partitions of one topic that the source selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicObservation {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity; brokers before 2.8 have none.
    pub id: Option<TopicId>,
    /// How many partitions the topic has, those included that the source does not select.
    pub partition_count: u32,
    /// Those that the source selects, ordered.
    pub partitions: Vec<PartitionObservation>,
}

/// One partition: the commit was read before the ends, so a race can only overstate the lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionObservation {
    /// Its number.
    pub partition: PartitionId,
    /// What the group committed. A share group commits no offset: for it, this is the end of the log less the lag that the
    /// group's coordinator reports, so that it moves as records are acknowledged.
    pub committed: CommittedOffset,
    /// Where the log begins and ends.
    pub watermarks: Watermarks,
    /// Whose it is, where members were read and it is somebody's.
    pub owner: Option<MemberIndex>,
}

impl Default for GroupObservation {
    fn default() -> Self {
        let (topics, absent, members) = (Vec::new(), Vec::new(), Members::Unread);
        Self { topics, absent, group_type: GroupType::Consumer, members }
    }
}

impl GroupObservation {
    /// The number of partitions of the topic that has most.
    #[must_use]
    pub fn most_partitions(&self) -> u32 {
        self.topics.iter().map(|topic| topic.partition_count).max().unwrap_or(0)
    }

    /// Whose a partition is.
    #[must_use]
    pub fn owner(&self, partition: &PartitionObservation) -> Option<&Member> {
        let Members::Settled(members) = &self.members else { return None };
        members.get(usize::try_from(partition.owner?.0).ok()?)
    }
}
