//! The seam between the Kafka adapter and whatever speaks to the brokers.
//!
//! Batch-shaped: one call names everything a round wants to know, the answer comes in rows, each with an error of its own,
//! and what has come is usable when the deadline falls. A transport that can only ask group by group fans out behind it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use super::model::{
    Broker, BrokerId, ByPartition, ByTopic, GroupAsk, GroupId, GroupMember, GroupState, Leader, LeaderEpoch,
    OffsetAndEpoch, PartitionsAsk, Progress, Topic, TopicName, TopicPartition, TopicPartitions,
};
use crate::trigger::GroupType;

/// Which topics to describe.
#[derive(Clone, Debug)]
pub enum TopicsAsk {
    /// These; a row for each comes back.
    Named(Vec<TopicName>),
    /// Every topic that the principal may see.
    All,
}

/// How far a group has come: a row for each partition that was asked for.
pub type ProgressRows = ByTopic<Result<Progress, RowError>>;

/// One end of the logs: a row for each partition that was asked for.
pub type OffsetRows = Vec<(TopicName, ByPartition<Result<OffsetAndEpoch, RowError>>)>;

/// Partitions that one broker leads, each in this epoch, where it is known.
pub type LedPartitions = Vec<(TopicName, ByPartition<Option<LeaderEpoch>>)>;

/// What is known of topics: a row for each that was asked for.
pub type TopicRows = Vec<(TopicName, Result<Topic, RowError>)>;

/// Which end of the log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// A leader or coordinator is moving; look it up and ask again. Coordinators have been asked until the deadline.
    Moving(Arc<str>),
    /// The cluster names no leader.
    Leaderless(Arc<str>),
    /// The broker could not be reached.
    Unreachable(Arc<str>),
    /// No answer before the deadline.
    Overdue(Arc<str>),
    /// The principal may not.
    Denied(Arc<str>),
    /// The topic or partition is not there.
    Gone(Arc<str>),
    /// The broker cannot do what was requested.
    Unsupported(Arc<str>),
    /// Any other error of the broker.
    Broker(Arc<str>),
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

    /// Offsets at one end of the log; `leader` is the broker that leads all the asked partitions. Each partition is answered once; those
    /// of one request come together.
    fn offsets(
        &self,
        leader: BrokerId,
        ask: LedPartitions,
        at: LogPosition,
        deadline: Duration,
    ) -> mpsc::UnboundedReceiver<OffsetRows>;

    /// State and members of groups.
    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState>;
}
