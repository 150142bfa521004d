//! Who coordinates which group.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{ApiKey, BrokerNode, ErrorCode, Request};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Asks for the coordinators of these groups; before version 4 of one.
#[derive(Clone, Copy, Debug)]
pub struct FindCoordinator<'a> {
    /// The groups.
    pub groups: &'a [Arc<str>],
}

/// The coordinator of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    /// The group.
    pub group: Arc<str>,
    /// Why there is none now.
    pub error: ErrorCode,
    /// The broker.
    pub broker: BrokerNode,
}

impl FindCoordinator<'_> {
    /// From this version on one request asks for many groups (KIP-699).
    pub const BATCHES_FROM: i16 = 4;
}

impl Request for FindCoordinator<'_> {
    const KEY: ApiKey = ApiKey(10);
    const NAME: &'static str = "FindCoordinator";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const FLEXIBLE_FROM: i16 = 3;
    type Answer = Vec<Coordinator>;

    fn write(&self, version: i16, to: &mut Writer) {
        const OF_GROUPS: i8 = 0;
        if version < Self::BATCHES_FROM {
            to.text(self.groups.first().map_or("", |group| group));
        }
        if version >= 1 {
            to.i8(OF_GROUPS);
        }
        if version >= Self::BATCHES_FROM {
            to.list(self.groups, |to, group| {
                to.text(group);
            });
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 1 {
            from.i32()?;
        }
        let found = if version >= Self::BATCHES_FROM {
            from.list(|from| {
                let (group, broker) = (Arc::from(from.text()?), broker(from)?);
                let error = ErrorCode(from.i16()?);
                from.nullable_text()?;
                from.tags()?;
                Ok(Coordinator { group, error, broker })
            })?
        } else {
            let error = ErrorCode(from.i16()?);
            if version >= 1 {
                from.nullable_text()?;
            }
            let broker = broker(from)?;
            self.groups.first().map(|group| Coordinator { group: group.clone(), error, broker }).into_iter().collect()
        };
        from.tags()?;
        Ok(found)
    }
}

fn broker(from: &mut Reader<'_>) -> Result<BrokerNode, Malformed> {
    Ok(BrokerNode { id: from.i32()?, host: from.text()?.to_owned(), port: from.i32()? })
}
