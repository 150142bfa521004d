//! State and members of groups, of the classic and of the consumer protocol.

use tokio::time::Instant;

use super::Asking;
use super::coordinators::Question;
use super::row_error::row_error;
use crate::lag::PartitionId;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{
    ConsumerGroupDescribe, DescribeGroups, DescribedGroup, DescribedMember, ErrorCode, Request as _,
};
use crate::source::kafka::transport::{GroupId, GroupMember, GroupState, RowError, TopicPartition};
use crate::telemetry::UpstreamApi;

/// The question.
pub(super) struct Described;

impl Question for Described {
    type Of = ();
    type Answer = GroupState;

    const API: UpstreamApi = UpstreamApi::KafkaDescribeGroups;

    /// A member takes some hundred bytes, and a group may have a thousand of them.
    fn weight((): &()) -> usize {
        100
    }

    /// Brokers that know both protocols say of a group of the one that it is not found in the other.
    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[(GroupId, ())],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<GroupState, RowError>)>, RowError> {
        let groups: Vec<_> = asked.iter().map(|(group, ())| group.clone()).collect();
        let mut described = asking.ask(connection, Self::API, &DescribeGroups { groups: &groups }, until).await?;
        if connection.takes(ConsumerGroupDescribe::KEY) {
            let absent = |group: &DescribedGroup| {
                group.error == ErrorCode::GROUP_ID_NOT_FOUND || group.error == ErrorCode::NONE && group.state == DEAD
            };
            let others: Vec<_> = described.extract_if(.., |group| absent(group)).map(|group| group.group).collect();
            if !others.is_empty() {
                let request = ConsumerGroupDescribe { groups: &others };
                described.extend(asking.ask(connection, Self::API, &request, until).await?);
            }
        }
        Ok(described.into_iter().map(|group| (group.group.clone(), state(group))).collect())
    }
}

/// A group that is not there, in the words of the classic protocol.
const DEAD: &str = "Dead";

fn state(group: DescribedGroup) -> Result<GroupState, RowError> {
    match row_error(group.error) {
        Some(RowError::Gone(_)) => Ok(GroupState { state: DEAD.to_owned(), members: Vec::new() }),
        Some(error) => Err(error),
        None => Ok(GroupState { state: group.state, members: group.members.into_iter().map(member).collect() }),
    }
}

fn member(DescribedMember { id, client_id, assignment }: DescribedMember) -> GroupMember {
    let assignment = assignment.into_iter().flat_map(|(topic, partitions)| {
        let partitions = partitions.into_iter().filter_map(|partition| u32::try_from(partition).ok());
        partitions.map(move |partition| TopicPartition { topic: topic.clone(), partition: PartitionId(partition) })
    });
    GroupMember { id, client_id, assignment: assignment.collect() }
}
