//! The write capacity of a Kinesis stream, and its changes, reconstructed from its shards.
//!
//! A list of shards contains closed ones until the retention has passed, at least 24 hours, and the number at which a shard starts contains
//! the second of its creation. So every resharding of the last day is known without a record of it.

use std::collections::HashSet;
use std::time::Duration;

use super::{Shard, ShardState, Timestamp};

/// One call splits and merges in steps over minutes: shards that were created no further apart belong to one change. Two calls in quick
/// succession look like one change.
const ONE_CHANGE: Duration = Duration::from_secs(300);

/// A change of the number of open shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When the change began, by the service's clock.
    pub at: Timestamp,
    /// When the last of the new shards opened.
    pub done: Timestamp,
    /// The number of open shards before the change.
    pub from: u32,
    /// The number of open shards after the change.
    pub to: u32,
}

/// The open shards of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamCapacity {
    /// The number of shards that accept records.
    pub open: u32,
    /// The share of all hash keys in the widest of them, between 0 and 1.
    pub widest: f64,
    /// The changes of the shard count within the last day, the newest last; `None` where the shards do not show when they were created.
    pub changes: Option<Vec<Change>>,
}

/// Whether a stream can be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// The stream is active and provisioned.
    Ready,
    /// The stream is being created, changed or deleted.
    Updating,
    /// The stream is in on-demand mode: AWS sizes it.
    OnDemand,
}

/// The values of a stream that were read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReading {
    /// When they were read, by the service's clock.
    pub at: Timestamp,
    /// Whether the stream can be resized.
    pub state: StreamState,
    /// The capacity of the stream's shards.
    pub capacity: StreamCapacity,
    /// The retention period of the stream's records.
    pub retention: Duration,
}

impl StreamCapacity {
    /// The capacity of the stream in shards: the widest range of hash keys is full first.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        1.0 / self.widest.clamp(1.0 / f64::from(self.open.max(1)), 1.0)
    }

    /// Open shards per shard of capacity: 1 where all ranges of hash keys are equally wide.
    pub(crate) fn unevenness(&self) -> f64 {
        f64::from(self.open) / self.capacity()
    }
}

/// The changes that `shards` show, the newest last; `None` where a shard does not show when it was created.
#[must_use]
pub fn changes(shards: &[Shard]) -> Option<Vec<Change>> {
    let children = shards.iter().filter(|shard| !shard.parents.is_empty());
    let mut created: Vec<(Timestamp, &Shard)> =
        children.map(|shard| Some((shard.created()?, shard))).collect::<Option<_>>()?;
    created.sort_by_key(|(at, _)| *at);
    let mut open = u32::try_from(shards.iter().filter(|shard| shard.state == ShardState::Open).count()).ok()?;
    let mut changes = Vec::new();
    // the present count is known: going backwards, each change removes its new shards and restores their parents
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::streams::{SequenceNumber, ShardId};

    /// The number at which a shard starts: its creation in seconds, and its index.
    fn first(created_seconds: u64, index: u32) -> SequenceNumber {
        let mut digits = vec![0_u8];
        let bits =
            (u128::from(2_u8) << 36 | u128::from(created_seconds), u128::from(created_seconds), u128::from(index));
        // 40 bits of constant and creation, 76 that have no meaning here, 36 of arrival, 32 of index, 4 of version
        for (field, width) in [(bits.0, 40), (0, 76), (bits.1, 36), (bits.2, 32), (2, 4)] {
            for bit in (0..width).rev() {
                let mut carry = u8::try_from(if bit < 128 { field >> bit & 1 } else { 0 }).unwrap();
                for digit in &mut digits {
                    let doubled = *digit * 2 + carry;
                    (*digit, carry) = (doubled % 10, doubled / 10);
                }
                if carry > 0 {
                    digits.push(carry);
                }
            }
        }
        let text: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
        SequenceNumber::parse(&text).expect("digits")
    }

    fn shard(index: u32, created: u64, parents: &[u32], state: ShardState) -> Shard {
        let id = |index: &u32| ShardId::new(&format!("shardId-{index:012}"));
        Shard { id: id(&index), parents: parents.iter().map(id).collect(), state, first: Some(first(created, index)) }
    }

    #[test]
    fn a_stream_shows_every_change_of_its_shards() {
        use ShardState::{Closed, Open};
        let at = |seconds: u64| Timestamp::from_unix_ms(1000 * seconds);
        // two shards become four, and an hour later three: two in the middle are merged
        let shards = [
            shard(0, 1_700_000_000, &[], Closed),
            shard(1, 1_700_000_000, &[], Closed),
            shard(2, 1_700_010_000, &[0], Open),
            shard(3, 1_700_010_000, &[0], Closed),
            shard(4, 1_700_010_060, &[1], Closed),
            shard(5, 1_700_010_060, &[1], Open),
            shard(6, 1_700_013_600, &[3, 4], Open),
        ];
        let change = |at, done, from, to| Change { at, done, from, to };
        let expected =
            [change(at(1_700_010_000), at(1_700_010_060), 2, 4), change(at(1_700_013_600), at(1_700_013_600), 4, 3)];
        assert_eq!(changes(&shards).as_deref(), Some(&expected[..]));
        // the first generation has expired, and its count is known from its children
        assert_eq!(changes(&shards[2..]).as_deref(), Some(&expected[..]));
        let strange = Shard { first: SequenceNumber::parse("42"), ..shards[6].clone() };
        assert_eq!(changes(&[strange]), None, "another layout is no time");
    }
}
