//! Share groups (KIP-932).

use std::ops::RangeInclusive;

use super::groups::{assignment, described};
use super::offset_fetch::GroupRows;
use super::{ApiKey, ErrorCode, Request, Row};
use crate::source::kafka::model::{ByTopic, GroupAsk, GroupId, GroupMember, GroupState, TopicName};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};
use crate::trigger::GroupType;

/// Requests the progress of share groups (`DescribeShareGroupOffsets`).
#[derive(Clone, Copy, Debug)]
pub struct DescribeShareGroupOffsets<'a> {
    /// The groups and their partitions.
    pub groups: &'a [GroupAsk],
}

/// The progress of a share group in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareOffset {
    /// The first record that is not acknowledged; -1 where the group has not read the partition.
    pub start_offset: i64,
    /// The number of records that are not acknowledged (KIP-1226); -1 where the coordinator does not know.
    pub lag: i64,
}

/// Describes share groups (`ShareGroupDescribe`).
#[derive(Clone, Copy, Debug)]
pub struct ShareGroupDescribe<'a> {
    /// The ids of the groups.
    pub groups: &'a [GroupId],
}

impl Request for DescribeShareGroupOffsets<'_> {
    const KEY: ApiKey = ApiKey(90);
    const NAME: &'static str = "DescribeShareGroupOffsets";
    /// Version 0 does not report the lag, which is not the distance to the log end.
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    const FLEXIBLE_FROM: i16 = 0;
    /// A group that does not exist, or is of another type, has no partition.
    type Answer = GroupRows<ShareOffset>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(&group.group).nullable_list(group.partitions.named(), |to, topic| {
                to.text(&topic.name).list(&topic.partitions, |to, partition| {
                    to.partition(*partition);
                });
                to.tags();
            });
            to.tags();
        });
        to.tags();
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let groups = from.list(|from| {
            let group = GroupId::from(from.text()?);
            let offsets = share_offsets(from)?;
            let (error, _message) = (ErrorCode(from.i16()?), from.nullable_text()?);
            from.tags()?;
            Ok((group, error.or(offsets)))
        })?;
        from.tags()?;
        Ok(groups)
    }
}

fn share_offsets(from: &mut Reader<'_>) -> Result<ByTopic<Row<ShareOffset>>, Malformed> {
    let topics = from.list(|from| {
        let (topic, _id) = (TopicName::from(from.text()?), from.uuid()?);
        let partitions = from.list(|from| {
            let (partition, start_offset, _leader_epoch) = (from.partition()?, from.i64()?, from.i32()?);
            let (lag, error, _message) = (from.i64()?, ErrorCode(from.i16()?), from.nullable_text()?);
            from.tags()?;
            Ok((partition, error.or(ShareOffset { start_offset, lag })))
        })?;
        from.tags()?;
        Ok((topic, partitions.into_iter().collect()))
    })?;
    Ok(topics.into_iter().collect())
}

impl Request for ShareGroupDescribe<'_> {
    const KEY: ApiKey = ApiKey(77);
    const NAME: &'static str = "ShareGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    const FLEXIBLE_FROM: i16 = 0;
    type Answer = Vec<(GroupId, Row<GroupState>)>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        to.flag(false).tags();
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let groups = from.list(|from| described(from, GroupType::Share, member))?;
        from.tags()?;
        Ok(groups)
    }
}

fn member(from: &mut Reader<'_>) -> Result<GroupMember, Malformed> {
    let id = from.text()?.to_owned();
    let (_rack, _epoch) = (from.nullable_text()?, from.i32()?);
    let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
    let _subscribed = from.list(|from| from.text().map(drop))?;
    let assignment = assignment(from)?;
    from.tags()?;
    Ok(GroupMember { id, client_id, assignment })
}
