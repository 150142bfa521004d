//! What groups committed.

use std::collections::HashMap;
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
    /// The topics; `None` is all that it has committed to.
    pub topics: Option<Vec<FetchedTopic>>,
}

/// A topic of which committed offsets are wanted.
#[derive(Clone, Debug)]
pub struct FetchedTopic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; 0 where it is not known.
    pub id: u128,
    /// Its partitions.
    pub partitions: Vec<i32>,
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
    /// The epoch of the leader that the last consumed record came from; -1 where it is not known.
    pub leader_epoch: i32,
    /// Why there is no offset.
    pub error: ErrorCode,
}

impl OffsetFetch<'_> {
    /// From this version on one request asks for many groups (KIP-709).
    pub const BATCHES_FROM: i16 = 8;
    /// From this version on topics go by their ids (KIP-848), so that a recreated topic is another one.
    pub const TOPIC_IDS_FROM: i16 = 10;

    fn topics(&self) -> impl Iterator<Item = Option<&[FetchedTopic]>> {
        self.groups.iter().map(|group| group.topics.as_deref())
    }

    fn names(&self) -> HashMap<u128, &Arc<str>> {
        self.topics().flatten().flatten().map(|topic| (topic.id, &topic.name)).collect()
    }
}

impl Request for OffsetFetch<'_> {
    const KEY: ApiKey = ApiKey(9);
    const NAME: &'static str = "OffsetFetch";
    /// Before version 2 a group could not be asked for all that it has committed.
    const VERSIONS: RangeInclusive<i16> = 2..=10;
    const FLEXIBLE_FROM: i16 = 6;
    type Answer = Vec<FetchedGroup>;

    fn newest(&self) -> i16 {
        let known =
            |topics: Option<&[FetchedTopic]>| topics.is_some_and(|topics| topics.iter().all(|topic| topic.id != 0));
        if self.topics().all(known) { Self::TOPIC_IDS_FROM } else { Self::TOPIC_IDS_FROM - 1 }
    }

    fn write(&self, version: i16, to: &mut Writer) {
        let topics = |to: &mut Writer, group: &GroupOffsets| {
            to.nullable_list(group.topics.as_deref(), |to, topic| {
                if version >= Self::TOPIC_IDS_FROM {
                    to.uuid(topic.id);
                } else {
                    to.text(&topic.name);
                }
                to.list(&topic.partitions, |to, partition| {
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
        let names = if version >= Self::TOPIC_IDS_FROM { self.names() } else { HashMap::new() };
        let groups = if version >= Self::BATCHES_FROM {
            from.list(|from| {
                let group = Arc::from(from.text()?);
                let (offsets, error) = (offsets(version, &names, from)?, ErrorCode(from.i16()?));
                from.tags()?;
                Ok(FetchedGroup { group, error, offsets })
            })?
        } else {
            let (offsets, error) = (offsets(version, &names, from)?, ErrorCode(from.i16()?));
            let group = self.groups.first().map(|group| group.group.clone());
            group.map(|group| FetchedGroup { group, error, offsets }).into_iter().collect()
        };
        from.tags()?;
        Ok(groups)
    }
}

fn offsets(
    version: i16,
    names: &HashMap<u128, &Arc<str>>,
    from: &mut Reader<'_>,
) -> Result<Vec<FetchedOffset>, Malformed> {
    let mut offsets = Vec::new();
    from.list(|from| {
        let topic = if version >= OffsetFetch::TOPIC_IDS_FROM {
            names.get(&from.uuid()?).map(|name| Arc::clone(name))
        } else {
            Some(Arc::from(from.text()?))
        };
        from.list(|from| {
            let (partition, offset) = (from.i32()?, from.i64()?);
            let leader_epoch = if version >= 5 { from.i32()? } else { -1 };
            from.nullable_text()?;
            let error = ErrorCode(from.i16()?);
            // a topic that was not asked for says nothing
            let offset = topic.clone().map(|topic| FetchedOffset { topic, partition, offset, leader_epoch, error });
            offsets.extend(offset);
            from.tags()
        })?;
        from.tags()
    })?;
    Ok(offsets)
}
