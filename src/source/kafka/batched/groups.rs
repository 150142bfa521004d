//! State and members of groups, of the classic, the consumer and the share protocol.

use tokio::time::Instant;

use super::Asking;
use super::coordinators::Question;
use super::row_error::row_error;
use crate::lag::PartitionId;
use crate::source::kafka::dial::LoggedIn;
use crate::source::kafka::protocol::{
    ConsumerGroupDescribe, DescribeGroups, DescribedGroup, DescribedMember, ErrorCode, Request as _, ShareGroupDescribe,
};
use crate::source::kafka::transport::{GroupId, GroupMember, GroupState, RowError, TopicPartition};
use crate::telemetry::UpstreamApi;
use crate::trigger::GroupType;

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

    /// A broker reports a group of one protocol as not found in the others.
    async fn ask(
        asking: &Asking,
        connection: &LoggedIn,
        asked: &[(GroupId, ())],
        until: Instant,
    ) -> Result<Vec<(GroupId, Result<GroupState, RowError>)>, RowError> {
        let mut absent: Vec<_> = asked.iter().map(|(group, ())| group.clone()).collect();
        let mut states = Vec::with_capacity(absent.len());
        let mut sort = |described: Vec<DescribedGroup>, group_type| {
            let (gone, there): (Vec<_>, Vec<_>) = described.into_iter().partition(is_absent);
            states.extend(there.into_iter().map(|group| (group.group.clone(), state(group, group_type))));
            gone.into_iter().map(|group| group.group).collect::<Vec<_>>()
        };
        let described = asking.ask(connection, Self::API, &DescribeGroups { groups: &absent }, until).await?;
        absent = sort(described, GroupType::Consumer);
        if !absent.is_empty() && connection.takes(ConsumerGroupDescribe::KEY) {
            let request = ConsumerGroupDescribe { groups: &absent };
            absent = sort(asking.ask(connection, Self::API, &request, until).await?, GroupType::Consumer);
        }
        if !absent.is_empty() && connection.version::<ShareGroupDescribe<'_>>().is_ok() {
            let request = ShareGroupDescribe { groups: &absent };
            absent = sort(asking.ask(connection, Self::API, &request, until).await?, GroupType::Share);
        }
        let nowhere = GroupState { group_type: None, state: DEAD.to_owned(), members: Vec::new() };
        states.extend(absent.into_iter().map(|group| (group, Ok(nowhere.clone()))));
        Ok(states)
    }
}

/// A group that is not there, in the words of the classic protocol.
const DEAD: &str = "Dead";

fn is_absent(group: &DescribedGroup) -> bool {
    group.error == ErrorCode::GROUP_ID_NOT_FOUND || group.error == ErrorCode::NONE && group.state == DEAD
}

fn state(group: DescribedGroup, group_type: GroupType) -> Result<GroupState, RowError> {
    match row_error(group.error) {
        Some(error) => Err(error),
        None => Ok(GroupState {
            group_type: Some(group_type),
            state: group.state,
            members: group.members.into_iter().map(member).collect(),
        }),
    }
}

fn member(DescribedMember { id, client_id, assignment }: DescribedMember) -> GroupMember {
    let assignment = assignment.into_iter().flat_map(|(topic, partitions)| {
        let partitions = partitions.into_iter().filter_map(|partition| u32::try_from(partition).ok());
        partitions.map(move |partition| TopicPartition { topic: topic.clone(), partition: PartitionId(partition) })
    });
    GroupMember { id, client_id, assignment: assignment.collect() }
}
