//! What groups committed.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Asks for the committed offsets of these groups; before version 8 of one.
#[derive(Clone, Copy, Debug)]
pub struct OffsetFetch<'a> {
    /// The groups.
    pub groups: &'a [GroupOffsets],
}

/// The offsets of a group that are wanted.
#[derive(Clone, Debug)]
pub struct GroupOffsets {
    /// The group.
    pub group: Arc<str>,
    /// Topics and their partitions; `None` is all that it has committed.
    pub topics: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

/// What a group committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedGroup {
    /// The group.
    pub group: Arc<str>,
    /// Why there are no offsets.
    pub error: ErrorCode,
    /// The offsets.
    pub offsets: Vec<FetchedOffset>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next record that the group wants; negative where it has committed nothing.
    pub offset: i64,
    /// Why there is no offset.
    pub error: ErrorCode,
}

impl OffsetFetch<'_> {
    /// From this version on one request asks for many groups (KIP-709).
    pub const BATCHES_FROM: i16 = 8;
}

impl Request for OffsetFetch<'_> {
    const KEY: ApiKey = ApiKey(9);
    const NAME: &'static str = "OffsetFetch";
    /// Before version 2 a group could not be asked for all that it has committed.
    const VERSIONS: RangeInclusive<i16> = 2..=9;
    const FLEXIBLE_FROM: i16 = 6;
    type Answer = Vec<FetchedGroup>;

    fn write(&self, version: i16, to: &mut Writer) {
        let topics = |to: &mut Writer, group: &GroupOffsets| {
            to.nullable_list(group.topics.as_deref(), |to, (topic, partitions)| {
                to.text(topic).list(partitions, |to, partition| {
                    to.i32(*partition);
                });
                to.tags();
            });
        };
        if version >= Self::BATCHES_FROM {
            to.list(self.groups, |to, group| {
                to.text(&group.group);
                if version >= 9 {
                    // no member asks
                    to.nullable_text(None).i32(-1);
                }
                topics(to, group);
                to.tags();
            });
        } else if let Some(group) = self.groups.first() {
            topics(to.text(&group.group), group);
        }
        if version >= 7 {
            // an offset that a transaction is about to change counts as it is
            to.flag(false);
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 3 {
            from.i32()?;
        }
        let groups = if version >= Self::BATCHES_FROM {
            from.list(|from| {
                let group = Arc::from(from.text()?);
                let (offsets, error) = (offsets(version, from)?, ErrorCode(from.i16()?));
                from.tags()?;
                Ok(FetchedGroup { group, error, offsets })
            })?
        } else {
            let (offsets, error) = (offsets(version, from)?, ErrorCode(from.i16()?));
            let group = self.groups.first().map(|group| group.group.clone());
            group.map(|group| FetchedGroup { group, error, offsets }).into_iter().collect()
        };
        from.tags()?;
        Ok(groups)
    }
}

fn offsets(version: i16, from: &mut Reader<'_>) -> Result<Vec<FetchedOffset>, Malformed> {
    let mut offsets = Vec::new();
    from.list(|from| {
        let topic: Arc<str> = Arc::from(from.text()?);
        from.list(|from| {
            let (partition, offset) = (from.i32()?, from.i64()?);
            if version >= 5 {
                from.i32()?;
            }
            from.nullable_text()?;
            let error = ErrorCode(from.i16()?);
            offsets.push(FetchedOffset { topic: topic.clone(), partition, offset, error });
            from.tags()
        })?;
        from.tags()
    })?;
    Ok(offsets)
}
