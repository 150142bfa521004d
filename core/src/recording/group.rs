//! A consumer group, one line per reading and one column per fact.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LineError;
use crate::lag::{
    CommittedOffset, GroupObservation, Member, MemberIndex, Members, Offset, PartitionId, PartitionObservation,
    TopicId, TopicObservation, Watermarks,
};
use crate::trigger::GroupType;

/// One reading of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupLine {
    topics: Vec<TopicColumns>,
    absent: Vec<Arc<str>>,
    group_type: GroupType,
    members: MembersLine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum MembersLine {
    Unread,
    Rebalancing(usize),
    /// A stable group with the id and the client id of each member.
    Settled(Vec<(Arc<str>, Arc<str>)>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicColumns {
    name: Arc<str>,
    /// The topic id in hexadecimal.
    id: Option<String>,
    partition_count: u32,
    partition: Vec<u32>,
    start: Vec<u64>,
    end: Vec<u64>,
    committed: Vec<Option<u64>>,
    owner: Vec<Option<u32>>,
}

impl From<&GroupObservation> for GroupLine {
    fn from(group: &GroupObservation) -> Self {
        let members = match &group.members {
            Members::Unread => MembersLine::Unread,
            Members::Rebalancing(count) => MembersLine::Rebalancing(*count),
            Members::Settled(members) => {
                let names = members.iter().map(|member| (member.id.clone(), member.client_id.clone()));
                MembersLine::Settled(names.collect())
            }
        };
        let topics = group.topics.iter().map(TopicColumns::from).collect();
        Self { topics, absent: group.absent.clone(), group_type: group.group_type, members }
    }
}

impl TryFrom<GroupLine> for GroupObservation {
    type Error = LineError;

    fn try_from(line: GroupLine) -> Result<Self, LineError> {
        let members = match line.members {
            MembersLine::Unread => Members::Unread,
            MembersLine::Rebalancing(count) => Members::Rebalancing(count),
            MembersLine::Settled(names) => {
                Members::Settled(names.into_iter().map(|(id, client_id)| Member { id, client_id }).collect())
            }
        };
        let topics: Result<_, _> = line.topics.into_iter().map(TopicObservation::try_from).collect();
        Ok(Self { topics: topics?, absent: line.absent, group_type: line.group_type, members })
    }
}

impl From<&TopicObservation> for TopicColumns {
    fn from(topic: &TopicObservation) -> Self {
        let partitions = || topic.partitions.iter();
        let committed = |partition: &PartitionObservation| match partition.committed {
            CommittedOffset::None => None,
            CommittedOffset::At(offset) => Some(offset.0),
        };
        Self {
            name: topic.name.clone(),
            id: topic.id.map(|id| format!("{:x}", id.0)),
            partition_count: topic.partition_count,
            partition: partitions().map(|partition| partition.partition.0).collect(),
            start: partitions().map(|partition| partition.watermarks.start.0).collect(),
            end: partitions().map(|partition| partition.watermarks.end.0).collect(),
            committed: partitions().map(committed).collect(),
            owner: partitions().map(|partition| partition.owner.map(|owner| owner.0)).collect(),
        }
    }
}

impl TryFrom<TopicColumns> for TopicObservation {
    type Error = LineError;

    fn try_from(columns: TopicColumns) -> Result<Self, LineError> {
        let TopicColumns { name, id, partition_count, partition, start, end, committed, owner } = columns;
        let lengths = [start.len(), end.len(), committed.len(), owner.len()];
        if lengths.iter().any(|length| *length != partition.len()) {
            return Err(LineError::Columns(format!("topic {name}")));
        }
        let id = id.map(|id| u128::from_str_radix(&id, 16).map(TopicId).map_err(|_| LineError::Word(id, "topic id")));
        let rows = partition.into_iter().zip(start).zip(end).zip(committed).zip(owner);
        let partitions = rows.map(|((((partition, start), end), committed), owner)| PartitionObservation {
            partition: PartitionId(partition),
            committed: committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
            watermarks: Watermarks { start: Offset(start), end: Offset(end) },
            owner: owner.map(MemberIndex),
        });
        Ok(Self { name, id: id.transpose()?, partition_count, partitions: partitions.collect() })
    }
}
