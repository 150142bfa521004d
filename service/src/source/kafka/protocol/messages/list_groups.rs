//! The groups that a broker coordinates.

use std::ops::RangeInclusive;

use super::{ApiKey, ErrorCode, Request, Row};
use crate::source::kafka::model::GroupId;
use crate::source::kafka::protocol::{Malformed, Reader, Writer};

/// Lists the groups of every protocol and state that one broker coordinates (`ListGroups`), as far as the principal may describe them.
#[derive(Clone, Copy, Debug)]
pub struct ListGroups;

impl Request for ListGroups {
    const KEY: ApiKey = ApiKey(16);
    const NAME: &'static str = "ListGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const FLEXIBLE_FROM: i16 = 3;
    type Answer = Row<Vec<GroupId>>;

    fn write(&self, version: i16, to: &mut Writer) {
        const ALL: [&str; 0] = [];
        // states, and from version 5 types
        for _ in 4..=version {
            to.list(&ALL, |to, word| {
                to.text(word);
            });
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 1 {
            from.i32()?;
        }
        let error = ErrorCode(from.i16()?);
        let groups = from.list(|from| {
            let group = GroupId::from(from.text()?);
            // protocol, and later state and type
            for _ in 3..=version.max(3) {
                from.text()?;
            }
            from.tags()?;
            Ok(group)
        })?;
        from.tags()?;
        Ok(error.or(groups))
    }
}
