//! The interface between the Kafka adapter and the client that talks to the brokers.
//!
//! It works in batches: one call names everything a round needs, the answer arrives in rows, each with an error of its own,
//! and the rows received so far are usable at the deadline. A transport that can only request group by group fans out behind it.

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

/// The topics to describe.
#[derive(Clone, Debug)]
pub enum TopicsAsk {
    /// These topics; the answer has a row for each.
    Named(Vec<TopicName>),
    /// Every topic that the principal may see.
    All,
}

/// The progress of a group: a row for each requested partition.
pub type ProgressRows = ByTopic<Result<Progress, RowError>>;

/// One end of the logs: a row for each requested partition.
pub type OffsetRows = Vec<(TopicName, ByPartition<Result<OffsetAndEpoch, RowError>>)>;

/// Partitions that one broker leads, each in this epoch, where it is known.
pub type LedPartitions = Vec<(TopicName, ByPartition<Option<LeaderEpoch>>)>;

/// The state of topics: a row for each requested topic.
pub type TopicRows = Vec<(TopicName, Result<Topic, RowError>)>;

/// The end of the log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogPosition {
    /// The first offset that still exists.
    Start,
    /// The high watermark: the end for consumers that read uncommitted records.
    End,
    /// The last stable offset: the end for consumers that read only committed records.
    StableEnd,
}

/// Why a row has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowError {
    /// A leader or coordinator is moving; look it up and request again. Coordinators have been tried until the deadline.
    Moving(Arc<str>),
    /// The cluster names no leader.
    Leaderless(Arc<str>),
    /// The broker could not be reached.
    Unreachable(Arc<str>),
    /// There was no answer before the deadline.
    Overdue(Arc<str>),
    /// The rules of the scaler do not allow a connection to the broker.
    Blocked(Arc<str>),
    /// The principal lacks the permission.
    Denied(Arc<str>),
    /// The topic or partition does not exist.
    Gone(Arc<str>),
    /// The broker does not support the request.
    Unsupported(Arc<str>),
    /// The broker reported any other error.
    Broker(Arc<str>),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Moving(text)
        | Self::Leaderless(text)
        | Self::Unreachable(text)
        | Self::Overdue(text)
        | Self::Blocked(text)
        | Self::Denied(text)
        | Self::Gone(text)
        | Self::Unsupported(text)
        | Self::Broker(text)) = self;
        f.write_str(text)
    }
}

/// Rows as they arrive; the stream ends when every requested key has an answer or the deadline has passed (the rest then arrives as
/// [`RowError::Overdue`]).
pub type Rows<K, V> = mpsc::UnboundedReceiver<(K, Result<V, RowError>)>;

/// Reads one cluster with one identity.
pub trait ClusterTransport: Send + Sync + 'static {
    /// Returns ids, partitions and leaders of topics, by `Metadata`; never creates a topic.
    ///
    /// # Errors
    /// Returns an error when no request could be made, so that there are no rows at all.
    fn topics(&self, ask: TopicsAsk, deadline: Duration) -> impl Future<Output = Result<TopicRows, RowError>> + Send;

    /// Returns the progress of groups of one type, without joining them, by `OffsetFetch` or `DescribeShareGroupOffsets`. A group of
    /// another type seems to have read nothing.
    fn progress(&self, of: GroupType, ask: Vec<GroupAsk>, deadline: Duration) -> Rows<GroupId, ProgressRows>;

    /// Returns the offsets at one end of the log, by `ListOffsets`; `leader` is the broker that leads all the requested partitions. Each
    /// partition gets one row; those of one request arrive together.
    fn offsets(
        &self,
        leader: BrokerId,
        ask: LedPartitions,
        at: LogPosition,
        deadline: Duration,
    ) -> mpsc::UnboundedReceiver<OffsetRows>;

    /// Returns state and members of groups, by `DescribeGroups` and its successors.
    fn groups(&self, ids: Vec<GroupId>, deadline: Duration) -> Rows<GroupId, GroupState>;
}
