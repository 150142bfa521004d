//! The ends of logs.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::lag::Offset;
use crate::source::kafka::model::{ByPartition, LeaderEpoch, OffsetAndEpoch, TopicName};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Asks the leader of these partitions for an offset of each.
#[derive(Clone, Copy, Debug)]
pub struct ListOffsets<'a> {
    /// The partitions of each topic, with the epoch that the leader must have, where that is known (KIP-320).
    pub topics: &'a [(TopicName, ByPartition<Option<LeaderEpoch>>)],
    /// Which offset.
    pub at: OffsetAt,
    /// Up to where records count.
    pub isolation: Isolation,
    /// How long the leader may ask others, such as a store of old segments.
    pub within: Duration,
}

/// Which offset of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first one that is there.
    Earliest,
    /// The one of the next record.
    Latest,
}

/// Up to where records count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the last stable offset.
    ReadCommitted,
}

impl Request for ListOffsets<'_> {
    const KEY: ApiKey = ApiKey(2);
    const NAME: &'static str = "ListOffsets";
    /// Before version 2 there was one isolation.
    const VERSIONS: RangeInclusive<i16> = 2..=10;
    const FLEXIBLE_FROM: i16 = 6;
    /// The offsets that there are, and for [`OffsetAt::Latest`] the leaders' epochs; of each topic that was asked for, in their order.
    type Answer = Vec<ByPartition<Row<Option<OffsetAndEpoch>>>>;

    fn write(&self, version: i16, to: &mut Writer) {
        const NO_REPLICA: i32 = -1;
        let isolation = match self.isolation {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        };
        let at = match self.at {
            OffsetAt::Earliest => -2,
            OffsetAt::Latest => -1,
        };
        to.i32(NO_REPLICA).i8(isolation).list(self.topics, |to, (name, partitions)| {
            to.text(name).list(partitions.as_slice(), |to, (partition, epoch)| {
                to.partition(*partition);
                if version >= 4 {
                    to.epoch(*epoch);
                }
                to.i64(at).tags();
            });
            to.tags();
        });
        if version >= 10 {
            to.i32(i32::try_from(self.within.as_millis()).unwrap_or(i32::MAX));
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let mut topics = vec![ByPartition::default(); self.topics.len()];
        // brokers answer in an order of their own
        let places: HashMap<_, _, foldhash::fast::RandomState> =
            self.topics.iter().enumerate().map(|(place, (topic, _))| (&**topic, place)).collect();
        from.list(|from| {
            let place = places.get(from.text()?);
            let partitions = from.list(|from| {
                let (partition, error) = (from.partition()?, ErrorCode(from.i16()?));
                let (_timestamp, offset) = (from.i64()?, Offset::from_wire(from.i64()?));
                let epoch = if version >= 4 { from.epoch()? } else { None };
                from.tags()?;
                Ok((partition, error.or(offset.map(|offset| OffsetAndEpoch { offset, epoch }))))
            })?;
            from.tags()?;
            // a topic that was not asked for says nothing
            if let Some(of_topic) = place.and_then(|place| topics.get_mut(*place)) {
                *of_topic = partitions.into_iter().collect();
            }
            Ok(())
        })?;
        from.tags()?;
        Ok(topics)
    }
}
