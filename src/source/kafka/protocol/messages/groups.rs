//! State and members of groups.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{ApiKey, ErrorCode, Request};
use crate::source::kafka::protocol::{Encoding, Malformed, Reader, Writer};

/// Topics and partitions of them.
type Assignment = Vec<(Arc<str>, Vec<i32>)>;

/// Describes groups of the classic protocol.
#[derive(Clone, Copy, Debug)]
pub struct DescribeGroups<'a> {
    /// The groups.
    pub groups: &'a [Arc<str>],
}

/// Describes groups of the consumer protocol (KIP-848).
#[derive(Clone, Copy, Debug)]
pub struct ConsumerGroupDescribe<'a> {
    /// The groups.
    pub groups: &'a [Arc<str>],
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Why it is not described.
    pub error: ErrorCode,
    /// The group.
    pub group: Arc<str>,
    /// The coordinator's word, such as `Stable`.
    pub state: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// What the coordinator calls it.
    pub id: String,
    /// Its client id.
    pub client_id: String,
    /// Topics and the partitions of them that it was given.
    pub assignment: Assignment,
}

impl Request for DescribeGroups<'_> {
    const KEY: ApiKey = ApiKey(15);
    const NAME: &'static str = "DescribeGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const FLEXIBLE_FROM: i16 = 5;
    type Answer = Vec<DescribedGroup>;

    fn write(&self, version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        if version >= 3 {
            to.flag(false);
        }
        to.tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        if version >= 1 {
            from.i32()?;
        }
        let groups = from.list(|from| classic(version, from))?;
        from.tags()?;
        Ok(groups)
    }
}

fn classic(version: i16, from: &mut Reader<'_>) -> Result<DescribedGroup, Malformed> {
    let error = ErrorCode(from.i16()?);
    if version >= 6 {
        from.nullable_text()?;
    }
    let (group, state) = (Arc::from(from.text()?), from.text()?.to_owned());
    let (kind, _assignor) = (from.text()?, from.text()?);
    let members = from.list(|from| {
        let id = from.text()?.to_owned();
        if version >= 4 {
            from.nullable_text()?;
        }
        let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
        let (_subscription, assignment) = (from.bytes()?, from.bytes()?);
        from.tags()?;
        // other clients, such as Kafka Connect, assign what is no partition
        let assignment = if kind == "consumer" { classic_assignment(assignment)? } else { Vec::new() };
        Ok(DescribedMember { id, client_id, assignment })
    })?;
    if version >= 3 {
        from.i32()?;
    }
    from.tags()?;
    Ok(DescribedGroup { error, group, state, members })
}

/// As consumers write it; later versions may have more behind it.
fn classic_assignment(bytes: &[u8]) -> Result<Assignment, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut from = Reader::new(bytes, Encoding::Plain);
    let _version = from.i16()?;
    from.list(|from| Ok((Arc::from(from.text()?), from.list(Reader::i32)?)))
}

impl Request for ConsumerGroupDescribe<'_> {
    const KEY: ApiKey = ApiKey(69);
    const NAME: &'static str = "ConsumerGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const FLEXIBLE_FROM: i16 = 0;
    type Answer = Vec<DescribedGroup>;

    fn write(&self, _version: i16, to: &mut Writer) {
        to.list(self.groups, |to, group| {
            to.text(group);
        });
        to.flag(false).tags();
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Answer, Malformed> {
        let _throttled = from.i32()?;
        let groups = from.list(|from| described(from, |from| member(version, from)))?;
        from.tags()?;
        Ok(groups)
    }
}

/// A group, as both of the newer protocols describe it.
pub(super) fn described<'a>(
    from: &mut Reader<'a>,
    member: impl FnMut(&mut Reader<'a>) -> Result<DescribedMember, Malformed>,
) -> Result<DescribedGroup, Malformed> {
    let (error, _message) = (ErrorCode(from.i16()?), from.nullable_text()?);
    let (group, state) = (Arc::from(from.text()?), from.text()?.to_owned());
    let (_epoch, _assignment_epoch, _assignor) = (from.i32()?, from.i32()?, from.text()?);
    let members = from.list(member)?;
    let _operations = from.i32()?;
    from.tags()?;
    Ok(DescribedGroup { error, group, state, members })
}

fn member(version: i16, from: &mut Reader<'_>) -> Result<DescribedMember, Malformed> {
    let id = from.text()?.to_owned();
    let (_instance, _rack, _epoch) = (from.nullable_text()?, from.nullable_text()?, from.i32()?);
    let (client_id, _host) = (from.text()?.to_owned(), from.text()?);
    let _subscribed = from.list(|from| from.text().map(drop))?;
    from.nullable_text()?;
    let assignment = assignment(from)?;
    let _target = self::assignment(from)?;
    if version >= 1 {
        from.i8()?;
    }
    from.tags()?;
    Ok(DescribedMember { id, client_id, assignment })
}

pub(super) fn assignment(from: &mut Reader<'_>) -> Result<Assignment, Malformed> {
    let assignment = from.list(|from| {
        let (_id, topic) = (from.uuid()?, Arc::from(from.text()?));
        let partitions = from.list(Reader::i32)?;
        from.tags()?;
        Ok((topic, partitions))
    })?;
    from.tags()?;
    Ok(assignment)
}
