//! Share groups (KIP-932).

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::groups::{DescribedGroup, DescribedMember, assignment};
use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Requests how far share groups have come.
#[derive(Clone, Copy, Debug)]
pub struct DescribeShareGroupOffsets<'a> {
    /// The groups.
    pub groups: &'a [ShareGroupTopics],
}

/// The partitions of a share group that are wanted.
#[derive(Clone, Debug)]
pub struct ShareGroupTopics {
    /// The group.
    pub group: Arc<str>,
    /// Topics and their partitions; `None` is all that it has read.
    pub topics: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

/// How far a share group has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupOffsets {
    /// The group.
    pub group: Arc<str>,
    /// Why there are no offsets.
    pub error: ErrorCode,
    /// The partitions; none of a group that is not there, and of a group of another type.
    pub offsets: Vec<ShareOffset>,
}

/// How far a share group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The first record that is not acknowledged; -1 where the group has not read the partition.
    pub start_offset: i64,
    /// Records that are not acknowledged (KIP-1226); -1 where the coordinator does not know.
    pub lag: i64,
    /// Why there is no offset.
    pub error: ErrorCode,
}

/// Describes share groups.
#[derive(Clone, Copy, Debug)]
pub struct ShareGroupDescribe<'a> {
    /// The groups.
    pub groups: &'a [Arc<str>],
}

impl Request for DescribeShareGroupOffsets<'_> {
    const KEY: ApiKey = ApiKey(90);
    const NAME: &'static str = "DescribeShareGroupOffsets";
    /// Version 0 does not report the lag, which is not the distance to the end of the log.
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    const FLEXIBLE_FROM: i16 = 0;
    type Answer = Vec<ShareGroupOffsets>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(&group.group).nullable_list(group.topics.as_deref(), |to, (topic, partitions)| {
                to.text(topic).list(partitions, |to, partition| {
                    to.i32(*partition);
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
            let group = Arc::from(from.text()?);
            let offsets = share_offsets(from)?;
            let (error, _message) = (ErrorCode(from.i16()?), from.nullable_text()?);
            from.tags()?;
            Ok(ShareGroupOffsets { group, error, offsets })
        })?;
        from.tags()?;
        Ok(groups)
    }
}

fn share_offsets(from: &mut Reader<'_>) -> Result<Vec<ShareOffset>, Malformed> {
    let mut offsets = Vec::new();
    from.list(|from| {
        let (topic, _id): (Arc<str>, _) = (Arc::from(from.text()?), from.uuid()?);
        from.list(|from| {
            let (partition, start_offset, _leader_epoch) = (from.i32()?, from.i64()?, from.i32()?);
            let (lag, error, _message) = (from.i64()?, ErrorCode(from.i16()?), from.nullable_text()?);
            offsets.push(ShareOffset { topic: topic.clone(), partition, start_offset, lag, error });
            from.tags()
        })?;
        from.tags()
    })?;
    Ok(offsets)
}

impl Request for ShareGroupDescribe<'_> {
    const KEY: ApiKey = ApiKey(77);
    const NAME: &'static str = "ShareGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 1..=1;
    const FLEXIBLE_FROM: i16 = 0;
    type Answer = Vec<DescribedGroup>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        to.flag(false).tags();
    }

    fn read(&self, _version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let groups = from.list(|from| super::groups::described(from, member))?;
        from.tags()?;
        Ok(groups)
    }
}

fn member(from: &mut Reader<'_>) -> Result<DescribedMember, Malformed> {
    let id = from.text()?.to_owned();
    let (_rack, _epoch) = (from.nullable_text()?, from.i32()?);
    let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
    let _subscribed = from.list(|from| from.text().map(drop))?;
    let assignment = assignment(from)?;
    from.tags()?;
    Ok(DescribedMember { id, client_id, assignment })
}
