//! The start and end offsets of logs.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::lag::Offset;
use crate::source::kafka::model::{ByPartition, LeaderEpoch, OffsetAndEpoch, TopicName};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Requests an offset of each of these partitions from their leader (`ListOffsets`).
#[derive(Clone, Copy, Debug)]
pub struct ListOffsets<'a> {
    /// The partitions of each topic, with the epoch that the leader must have, where that is known (KIP-320).
    pub topics: &'a [(TopicName, ByPartition<Option<LeaderEpoch>>)],
    /// The requested position in the log.
    pub at: OffsetAt,
    /// The isolation level, which decides up to where records count.
    pub isolation: Isolation,
    /// The time within which the leader may query others, such as a store of old segments.
    pub within: Duration,
}

/// The requested position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first offset that still exists.
    Earliest,
    /// The offset of the next record.
    Latest,
}

/// The isolation level of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Records count up to the high watermark.
    ReadUncommitted,
    /// Records count up to the last stable offset.
    ReadCommitted,
}

impl Request for ListOffsets<'_> {
    const KEY: ApiKey = ApiKey(2);
    const NAME: &'static str = "ListOffsets";
    /// Versions before 2 have no isolation level.
    const VERSIONS: RangeInclusive<i16> = 2..=10;
    const FLEXIBLE_FROM: i16 = 6;
    /// The offsets that exist, and for [`OffsetAt::Latest`] the leaders' epochs; one entry per requested topic, in request order.
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
        // brokers answer in their own order
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
            // a topic that was not requested is ignored
            if let Some(of_topic) = place.and_then(|place| topics.get_mut(*place)) {
                *of_topic = partitions.into_iter().collect();
            }
            Ok(())
        })?;
        from.tags()?;
        Ok(topics)
    }
}
