//! The groups of a broker, and the state and members of groups.

use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::lag::PartitionId;
use crate::source::kafka::model::{GroupId, GroupMember, GroupState, TopicName, TopicPartition};
use crate::source::kafka::protocol::{Encoding, Malformed, Reader, Writer};
use crate::trigger::GroupType;

/// Describes groups of the classic protocol (`DescribeGroups`).
#[derive(Clone, Copy, Debug)]
pub struct DescribeGroups<'a> {
    /// The ids of the groups.
    pub groups: &'a [GroupId],
}

/// Describes groups of the consumer protocol (`ConsumerGroupDescribe`, KIP-848).
#[derive(Clone, Copy, Debug)]
pub struct ConsumerGroupDescribe<'a> {
    /// The ids of the groups.
    pub groups: &'a [GroupId],
}

impl Request for DescribeGroups<'_> {
    const KEY: ApiKey = ApiKey(15);
    const NAME: &'static str = "DescribeGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const FLEXIBLE_FROM: i16 = 5;
    type Answer = Vec<(GroupId, Row<GroupState>)>;

    fn write(&self, version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        if version >= 3 {
            to.flag(false);
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 1 {
            from.i32()?;
        }
        let groups = from.list(|from| classic(version, from))?;
        from.tags()?;
        Ok(groups)
    }
}

fn classic(version: i16, from: &mut Reader<'_>) -> Result<(GroupId, Row<GroupState>), Malformed> {
    let error = ErrorCode(from.i16()?);
    if version >= 6 {
        from.nullable_text()?;
    }
    let (group, state) = (GroupId::from(from.text()?), from.text()?.to_owned());
    let (kind, _assignor) = (from.text()?, from.text()?);
    let members = from.list(|from| {
        let id = from.text()?.to_owned();
        if version >= 4 {
            from.nullable_text()?;
        }
        let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
        let (_subscription, assignment) = (from.bytes()?, from.bytes()?);
        from.tags()?;
        // other clients, such as Kafka Connect, encode assignments that are not partitions
        let assignment = if kind == "consumer" { classic_assignment(assignment)? } else { Vec::new() };
        Ok(GroupMember { id, client_id, assignment })
    })?;
    if version >= 3 {
        from.i32()?;
    }
    from.tags()?;
    Ok((group, error.or(GroupState { group_type: Some(GroupType::Consumer), state, members })))
}

/// Decodes an assignment as consumers encode it; later versions may have more fields after it.
fn classic_assignment(bytes: &[u8]) -> Result<Vec<TopicPartition>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut from = Reader::new(bytes, Encoding::Plain);
    let _version = from.i16()?;
    let topics = from.list(|from| {
        let topic = TopicName::from(from.text()?);
        Ok(of_topic(&topic, from.list(Reader::partition)?))
    })?;
    Ok(topics.into_iter().flatten().collect())
}

fn of_topic(topic: &TopicName, partitions: Vec<PartitionId>) -> Vec<TopicPartition> {
    partitions.into_iter().map(|partition| TopicPartition { topic: topic.clone(), partition }).collect()
}

impl Request for ConsumerGroupDescribe<'_> {
    const KEY: ApiKey = ApiKey(69);
    const NAME: &'static str = "ConsumerGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const FLEXIBLE_FROM: i16 = 0;
    type Answer = Vec<(GroupId, Row<GroupState>)>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        to.flag(false).tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let groups = from.list(|from| described(from, GroupType::Consumer, |from| member(version, from)))?;
        from.tags()?;
        Ok(groups)
    }
}

/// Reads a group as both of the newer protocols describe it.
pub(super) fn described<'a>(
    from: &mut Reader<'a>,
    group_type: GroupType,
    member: impl FnMut(&mut Reader<'a>) -> Result<GroupMember, Malformed>,
) -> Result<(GroupId, Row<GroupState>), Malformed> {
    let (error, _message) = (ErrorCode(from.i16()?), from.nullable_text()?);
    let (group, state) = (GroupId::from(from.text()?), from.text()?.to_owned());
    let (_epoch, _assignment_epoch, _assignor) = (from.i32()?, from.i32()?, from.text()?);
    let members = from.list(member)?;
    let _operations = from.i32()?;
    from.tags()?;
    Ok((group, error.or(GroupState { group_type: Some(group_type), state, members })))
}

fn member(version: i16, from: &mut Reader<'_>) -> Result<GroupMember, Malformed> {
    let id = from.text()?.to_owned();
    let (_instance, _rack, _epoch) = (from.nullable_text()?, from.nullable_text()?, from.i32()?);
    let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
    let _subscribed = from.list(|from| from.text().map(drop))?;
    from.nullable_text()?;
    let assignment = assignment(from)?;
    let _target = self::assignment(from)?;
    if version >= 1 {
        from.i8()?;
    }
    from.tags()?;
    Ok(GroupMember { id, client_id, assignment })
}

pub(super) fn assignment(from: &mut Reader<'_>) -> Result<Vec<TopicPartition>, Malformed> {
    let topics = from.list(|from| {
        let (_id, topic) = (from.uuid()?, TopicName::from(from.text()?));
        let partitions = from.list(Reader::partition)?;
        from.tags()?;
        Ok(of_topic(&topic, partitions))
    })?;
    from.tags()?;
    Ok(topics.into_iter().flatten().collect())
}

/// Lists the groups of every protocol and state that one broker coordinates (`ListGroups`), as far as the principal may describe them.
#[derive(Clone, Copy, Debug)]
pub struct ListGroups;

impl Request for ListGroups {
    const KEY: ApiKey = ApiKey(16);
    const NAME: &'static str = "ListGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const FLEXIBLE_FROM: i16 = 3;
    type Answer = Row<Vec<GroupId>>;

    fn write(&self, version: i16, to: &mut Writer) {
        const ALL: [&str; 0] = [];
        // states, and from version 5 types
        for _ in 4..=version {
            to.list(&ALL, |to, word| {
                to.text(word);
            });
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 1 {
            from.i32()?;
        }
        let error = ErrorCode(from.i16()?);
        let groups = from.list(|from| {
            let group = GroupId::from(from.text()?);
            // protocol, and later state and type
            for _ in 3..=version.max(3) {
                from.text()?;
            }
            from.tags()?;
            Ok(group)
        })?;
        from.tags()?;
        Ok(error.or(groups))
    }
}
