//! The coordinators of groups.

use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::source::kafka::model::{Broker, BrokerId, GroupId};
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Requests the coordinators of these groups (`FindCoordinator`); before version 4 of one.
#[derive(Clone, Copy, Debug)]
pub struct FindCoordinator<'a> {
    /// The ids of the groups.
    pub groups: &'a [GroupId],
}

impl FindCoordinator<'_> {
    /// The first version in which one request covers many groups (KIP-699).
    pub const BATCHES_FROM: i16 = 4;
}

impl Request for FindCoordinator<'_> {
    const KEY: ApiKey = ApiKey(10);
    const NAME: &'static str = "FindCoordinator";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const FLEXIBLE_FROM: i16 = 3;
    type Answer = Vec<(GroupId, Row<Broker>)>;

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
        let coordinators = if version >= Self::BATCHES_FROM {
            from.list(|from| {
                let (group, broker) = (GroupId::from(from.text()?), broker(from)?);
                let error = ErrorCode(from.i16()?);
                from.nullable_text()?;
                from.tags()?;
                Ok((group, found(error, broker)))
            })?
        } else {
            let error = ErrorCode(from.i16()?);
            if version >= 1 {
                from.nullable_text()?;
            }
            let broker = broker(from)?;
            self.groups.first().map(|group| (group.clone(), found(error, broker))).into_iter().collect()
        };
        from.tags()?;
        Ok(coordinators)
    }
}

/// Returns the coordinator, or an error: a coordinator without an address is not available.
fn found(error: ErrorCode, broker: Option<Broker>) -> Row<Broker> {
    error.or(broker).and_then(|broker| broker.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE))
}

/// Reads a broker with its address, if it has one.
pub(super) fn broker(from: &mut Reader<'_>) -> Result<Option<Broker>, Malformed> {
    let (id, host, port) = (BrokerId(from.i32()?), from.text()?.to_owned(), u16::try_from(from.i32()?));
    Ok(port.ok().filter(|port| *port > 0).map(|port| Broker { id, host, port }))
}
