//! Brokers, topics and leaders.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Asks for the brokers, and for these topics or, with `None`, for all. No topic is made by asking for it.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// The topics.
    pub topics: Option<&'a [Arc<str>]>,
}

/// The brokers, and what is known of the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataAnswer {
    /// All that live.
    pub brokers: Vec<BrokerNode>,
    /// The topics that were asked for.
    pub topics: Vec<TopicMetadata>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerNode {
    /// Its number.
    pub id: i32,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises; the protocol allows any number.
    pub port: i32,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Why nothing is known of it.
    pub error: ErrorCode,
    /// Its name.
    pub name: String,
    /// Its id; 0 where the broker has none.
    pub id: u128,
    /// Each partition with its leader.
    pub leaders: Vec<PartitionLeader>,
}

/// The leader of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLeader {
    /// The partition.
    pub partition: i32,
    /// The number of its leader; negative where it has none.
    pub leader: i32,
    /// The leader's epoch; -1 where the broker does not report it.
    pub epoch: i32,
}

impl Request for Metadata<'_> {
    const KEY: ApiKey = ApiKey(3);
    const NAME: &'static str = "Metadata";
    /// Before version 4 asking for a topic might make it.
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
            let (id, host, port) = (from.i32()?, from.text()?.to_owned(), from.i32()?);
            from.nullable_text()?;
            from.tags()?;
            Ok(BrokerNode { id, host, port })
        })?;
        let (_cluster, _controller) = (from.nullable_text()?, from.i32()?);
        let topics = from.list(|from| topic(version, from))?;
        if (8..=10).contains(&version) {
            from.i32()?;
        }
        from.tags()?;
        Ok(MetadataAnswer { brokers, topics })
    }
}

fn topic(version: i16, from: &mut Reader<'_>) -> Result<TopicMetadata, Malformed> {
    let (error, name) = (ErrorCode(from.i16()?), from.nullable_text()?.unwrap_or_default().to_owned());
    let id = if version >= 10 { from.uuid()? } else { 0 };
    let _internal = from.flag()?;
    let leaders = from.list(|from| {
        let (_error, partition, leader) = (from.i16()?, from.i32()?, from.i32()?);
        let epoch = if version >= 7 { from.i32()? } else { -1 };
        // replicas, those in sync, those that are offline
        for _ in 0..if version >= 5 { 3 } else { 2 } {
            from.list(Reader::i32)?;
        }
        from.tags()?;
        Ok(PartitionLeader { partition, leader, epoch })
    })?;
    if version >= 8 {
        from.i32()?;
    }
    from.tags()?;
    Ok(TopicMetadata { error, name, id, leaders })
}
