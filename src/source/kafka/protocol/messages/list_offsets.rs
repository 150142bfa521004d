//! The ends of logs.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Asks the leader of these partitions for an offset of each.
#[derive(Clone, Copy, Debug)]
pub struct ListOffsets<'a> {
    /// The topics.
    pub topics: &'a [ListedTopic],
    /// Which offset.
    pub at: OffsetAt,
    /// Up to where records count.
    pub isolation: Isolation,
    /// How long the leader may ask others, such as a store of old segments.
    pub within: Duration,
}

/// A topic of which offsets are wanted.
#[derive(Clone, Debug)]
pub struct ListedTopic {
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions, each with the epoch that its leader must have; -1 allows any (KIP-320).
    pub partitions: Vec<(i32, i32)>,
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

/// An offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Why there is no offset.
    pub error: ErrorCode,
    /// The offset; negative where there is none.
    pub offset: i64,
    /// For [`OffsetAt::Latest`] the leader's epoch; -1 where the broker does not report it.
    pub leader_epoch: i32,
}

impl Request for ListOffsets<'_> {
    const KEY: ApiKey = ApiKey(2);
    const NAME: &'static str = "ListOffsets";
    /// Before version 2 there was one isolation.
    const VERSIONS: RangeInclusive<i16> = 2..=10;
    const FLEXIBLE_FROM: i16 = 6;
    type Answer = Vec<ListedOffset>;

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
        to.i32(NO_REPLICA).i8(isolation).list(self.topics, |to, ListedTopic { name, partitions }| {
            to.text(name).list(partitions, |to, (partition, epoch)| {
                to.i32(*partition);
                if version >= 4 {
                    to.i32(*epoch);
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
        let mut offsets = Vec::new();
        from.list(|from| {
            let topic: Arc<str> = Arc::from(from.text()?);
            from.list(|from| {
                let (partition, error) = (from.i32()?, ErrorCode(from.i16()?));
                let (_timestamp, offset) = (from.i64()?, from.i64()?);
                let leader_epoch = if version >= 4 { from.i32()? } else { -1 };
                offsets.push(ListedOffset { topic: topic.clone(), partition, error, offset, leader_epoch });
                from.tags()
            })?;
            from.tags()
        })?;
        from.tags()?;
        Ok(offsets)
    }
}
