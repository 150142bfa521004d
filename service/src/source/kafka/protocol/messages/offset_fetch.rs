//! The committed offsets of groups.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::lag::Offset;
use crate::source::kafka::model::{ByTopic, GroupAsk, GroupId, OffsetAndEpoch, Progress, TopicName, TopicPartitions};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Requests the committed offsets of these groups (`OffsetFetch`); before version 8 of one.
#[derive(Clone, Copy, Debug)]
pub struct OffsetFetch<'a> {
    /// The groups and their partitions.
    pub groups: &'a [GroupAsk],
}

/// The rows of each group, by topic and partition.
pub(super) type GroupRows<V> = Vec<(GroupId, Row<ByTopic<Row<V>>>)>;

/// The names of topics by their ids.
type Names<'a> = HashMap<u128, &'a TopicName, foldhash::fast::RandomState>;

impl OffsetFetch<'_> {
    /// The first version in which one request covers many groups (KIP-709).
    pub const BATCHES_FROM: i16 = 8;
    /// The first version that identifies topics by id (KIP-848), so that a recreated topic is another one.
    pub const TOPIC_IDS_FROM: i16 = 10;

    fn topics(&self) -> impl Iterator<Item = &TopicPartitions> {
        self.groups.iter().filter_map(|group| group.partitions.named()).flatten()
    }

    fn names(&self) -> Names<'_> {
        self.topics().filter_map(|topic| Some((topic.id?.0, &topic.name))).collect()
    }
}

impl Request for OffsetFetch<'_> {
    const KEY: ApiKey = ApiKey(9);
    const NAME: &'static str = "OffsetFetch";
    /// Before version 2 a request could not cover all committed offsets of a group.
    const VERSIONS: RangeInclusive<i16> = 2..=10;
    const FLEXIBLE_FROM: i16 = 6;
    type Answer = GroupRows<Progress>;

    fn newest(&self) -> i16 {
        let named = self.groups.iter().all(|group| group.partitions.named().is_some());
        let ids = named && self.topics().all(|topic| topic.id.is_some());
        if ids { Self::TOPIC_IDS_FROM } else { Self::TOPIC_IDS_FROM - 1 }
    }

    fn write(&self, version: i16, to: &mut Writer) {
        let topics = |to: &mut Writer, group: &GroupAsk| {
            to.nullable_list(group.partitions.named(), |to, TopicPartitions { name, id, partitions }| {
                if version >= Self::TOPIC_IDS_FROM {
                    to.uuid(id.map_or(0, |id| id.0));
                } else {
                    to.text(name);
                }
                to.list(partitions, |to, partition| {
                    to.partition(*partition);
                });
                to.tags();
            });
        };
        if version >= Self::BATCHES_FROM {
            to.list(self.groups, |to, group| {
                to.text(&group.group);
                if version >= 9 {
                    // the request is made by no member
                    to.nullable_text(None).i32(-1);
                }
                topics(to, group);
                to.tags();
            });
        } else if let Some(group) = self.groups.first() {
            topics(to.text(&group.group), group);
        }
        if version >= 7 {
            // an offset with a pending transactional commit is read as it is
            to.flag(false);
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 3 {
            from.i32()?;
        }
        let names = if version >= Self::TOPIC_IDS_FROM { self.names() } else { Names::default() };
        let groups = if version >= Self::BATCHES_FROM {
            // brokers keep the order of the request
            let mut asked = self.groups.iter().map(|asked| &asked.group);
            from.list(|from| {
                let name = from.text()?;
                let group = asked.next().filter(|asked| ***asked == *name).cloned().unwrap_or_else(|| name.into());
                let (offsets, error) = (offsets(version, &names, from)?, ErrorCode(from.i16()?));
                from.tags()?;
                Ok((group, error.or(offsets)))
            })?
        } else {
            let (offsets, error) = (offsets(version, &names, from)?, ErrorCode(from.i16()?));
            let group = self.groups.first().map(|group| group.group.clone());
            group.map(|group| (group, error.or(offsets))).into_iter().collect()
        };
        from.tags()?;
        Ok(groups)
    }
}

fn offsets(version: i16, names: &Names<'_>, from: &mut Reader<'_>) -> Result<ByTopic<Row<Progress>>, Malformed> {
    let topics = from.list(|from| {
        let topic = if version >= OffsetFetch::TOPIC_IDS_FROM {
            names.get(&from.uuid()?).map(|name| TopicName::clone(name))
        } else {
            Some(TopicName::from(from.text()?))
        };
        let partitions = from.list(|from| {
            let (partition, offset) = (from.partition()?, Offset::from_wire(from.i64()?));
            let epoch = if version >= 5 { from.epoch()? } else { None };
            from.nullable_text()?;
            let committed = |offset| Progress::Committed(OffsetAndEpoch { offset, epoch });
            let progress = ErrorCode(from.i16()?).or(offset.map_or(Progress::None, committed));
            from.tags()?;
            Ok((partition, progress))
        })?;
        from.tags()?;
        Ok((topic, partitions.into_iter().collect()))
    })?;
    // a topic that was not requested is ignored
    Ok(topics.into_iter().filter_map(|(topic, partitions)| Some((topic?, partitions))).collect())
}
