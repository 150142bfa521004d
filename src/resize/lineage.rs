//! The changes of a stream, read back from its shards.
//!
//! A list of shards holds closed ones until the retention is over, 24 hours at least, and the number with which a shard begins holds
//! the second of its creation. So whoever resized a stream within the last day is known without a record of it.

use std::collections::HashSet;
use std::time::Duration;

use crate::lag::streams::{Shard, ShardState, Timestamp};
use crate::scaling::write_utilization::Change;

/// One call splits and merges in steps over minutes: shards that were created no further apart are of one change. Two quick calls look
/// like one.
const ONE_CHANGE: Duration = Duration::from_secs(300);

/// The changes that `shards` show, the newest last; `None` where a shard does not say when it was created.
#[must_use]
pub fn changes(shards: &[Shard]) -> Option<Vec<Change>> {
    let children = shards.iter().filter(|shard| !shard.parents.is_empty());
    let mut created: Vec<(Timestamp, &Shard)> =
        children.map(|shard| Some((shard.created()?, shard))).collect::<Option<_>>()?;
    created.sort_by_key(|(at, _)| *at);
    let mut open = u32::try_from(shards.iter().filter(|shard| shard.state == ShardState::Open).count()).ok()?;
    let mut changes = Vec::new();
    // the count is known now: backwards, each change takes its new shards away and gives their parents back
    let by_change = created.chunk_by(|(one, _), (next, _)| next.since(*one) < ONE_CHANGE);
    for group in by_change.rev() {
        let ((at, _), (done, _)) = (group.first()?, group.last()?);
        let parents: HashSet<_> = group.iter().flat_map(|(_, shard)| &shard.parents).collect();
        let from = (open + u32::try_from(parents.len()).ok()?).checked_sub(u32::try_from(group.len()).ok()?)?;
        changes.push(Change { at: *at, done: *done, from, to: open });
        open = from;
    }
    changes.reverse();
    Some(changes)
}
