//! Brokers, topics and leaders.

use std::ops::RangeInclusive;

use super::coordinators::broker;
use super::{ApiKey, ErrorCode, Request, Row};
use crate::lag::TopicId;
use crate::source::kafka::model::{Broker, BrokerId, Leader, Topic, TopicName};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Requests the brokers, and these topics or, with `None`, all (`Metadata`). The request never creates a topic.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// The names of the requested topics; `None` for all.
    pub topics: Option<&'a [TopicName]>,
}

/// The brokers, and the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataAnswer {
    /// All live brokers that have an address.
    pub brokers: Vec<Broker>,
    /// The topics that were requested.
    pub topics: Vec<(TopicName, Row<Topic>)>,
}

impl Request for Metadata<'_> {
    const KEY: ApiKey = ApiKey(3);
    const NAME: &'static str = "Metadata";
    /// In versions before 4 the request may create a topic.
    const VERSIONS: RangeInclusive<i16> = 4..=12;
    const FLEXIBLE_FROM: i16 = 9;
    type Answer = MetadataAnswer;

    fn write(&self, version: i16, to: &mut Writer) {
        const MAY_CREATE: bool = false;
        to.nullable_list(self.topics, |to, name| {
            if version >= 10 {
                to.uuid(0);
            }
            to.text(name).tags();
        });
        to.flag(MAY_CREATE);
        if (8..=10).contains(&version) {
            to.flag(false);
        }
        if version >= 8 {
            to.flag(false);
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let brokers = from.list(|from| {
            let broker = broker(from)?;
            from.nullable_text()?;
            from.tags()?;
            Ok(broker)
        })?;
        let (_cluster, _controller) = (from.nullable_text()?, from.i32()?);
        let topics = from.list(|from| topic(version, from))?;
        if (8..=10).contains(&version) {
            from.i32()?;
        }
        from.tags()?;
        Ok(MetadataAnswer { brokers: brokers.into_iter().flatten().collect(), topics })
    }
}

fn topic(version: i16, from: &mut Reader<'_>) -> Result<(TopicName, Row<Topic>), Malformed> {
    let (error, name) = (ErrorCode(from.i16()?), TopicName::from(from.nullable_text()?.unwrap_or_default()));
    let id = if version >= 10 { from.uuid()? } else { 0 };
    let _internal = from.flag()?;
    let partitions = from.list(|from| {
        let (_error, partition, leader) = (from.i16()?, from.partition()?, from.i32()?);
        let epoch = if version >= 7 { from.epoch()? } else { None };
        // replicas, in-sync replicas, offline replicas
        for _ in 0..if version >= 5 { 3 } else { 2 } {
            from.list(Reader::i32)?;
        }
        from.tags()?;
        Ok((partition, (leader >= 0).then_some(Leader { broker: BrokerId(leader), epoch })))
    })?;
    if version >= 8 {
        from.i32()?;
    }
    from.tags()?;
    let partitions = partitions.into_iter().collect();
    Ok((name, error.or(Topic { id: (id != 0).then_some(TopicId(id)), partitions })))
}
