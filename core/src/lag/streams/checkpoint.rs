//! Positions in a shard: sequence numbers, the checkpoints that hold them, and the leases with these.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{ShardId, Timestamp};

/// The position of an application in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// At the oldest record; this stays while the shard has none.
    TrimHorizon,
    /// At the newest record when its consumer started, which is not stored.
    Latest,
    /// At a time that is only in the application's configuration.
    AtTimestamp,
    /// After this record: it and everything before it is processed.
    After(SequenceNumber),
    /// At the end of the closed shard: everything is processed.
    ShardEnd,
}

/// An application's row for one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The shard of this row.
    pub shard: ShardId,
    /// The position of the application.
    pub checkpoint: Checkpoint,
    /// The index of the last processed user record within the record of the checkpoint, where the store has it. It is 0 for a record that
    /// the Kinesis Producer Library did not pack.
    pub sub_sequence: Option<u64>,
    /// The parents of this shard, if the store has them.
    pub parents: Vec<ShardId>,
    /// The worker that owns the lease; a dead worker stays the owner until another takes over.
    pub owner: Option<Arc<str>>,
    /// The counter of renewals, which stops when the owner is dead.
    pub counter: Option<u64>,
    /// The throughput of the owner on this shard in kilobytes per second, if the store has it.
    pub throughput_kbps: Option<f64>,
}

impl Checkpoint {
    /// Parses a word of KCL or a sequence number; `None` where the text is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "LATEST" => Some(Self::Latest),
            "AT_TIMESTAMP" => Some(Self::AtTimestamp),
            "SHARD_END" => Some(Self::ShardEnd),
            number => SequenceNumber::parse(number).map(Self::After),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::ShardEnd => "SHARD_END",
            Self::After(number) => number.as_str(),
        })
    }
}

/// The maximum number of digits in AWS's pattern for sequence numbers.
const MOST_DIGITS: usize = 129;

/// A time inside a sequence number is invalid if it is further ahead than this.
const AHEAD_AT_MOST: Duration = Duration::from_secs(5);

/// A record's number within its shard: decimal, of any length, stored as it was written. Ordered numerically.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Arc<str>);

/// The used fields of Kinesis' layout. A number has 188 bits: from the top four of a constant 2, 36 of the shard's creation in seconds, 4
/// and 64 of a counter, 8 unknown, 36 of the record's arrival in seconds, 32 of the shard's index and 4 of the layout's version.
struct Layout {
    created_seconds: u64,
    arrived_seconds: u64,
    shard_index: u32,
}

// === impl SequenceNumber ===

impl SequenceNumber {
    /// Parses a sequence number; `None` where the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self(text.into()))
    }

    /// The digits as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A time before which no record with this number or a later one arrived in `shard`; `None` where the number does not have Kinesis'
    /// layout since 2015, or is not of this shard.
    ///
    /// AWS does not document the layout. On records of six regions the time was 0.4 to 2.5 s before the arrival; every field that can be
    /// checked is checked, so that another layout gives no time rather than a wrong one.
    #[must_use]
    pub fn arrived_after(&self, shard: &ShardId, now: Timestamp) -> Option<Timestamp> {
        let layout = Layout::of(&self.0)?;
        let plausible = layout.created_seconds <= layout.arrived_seconds && shard.index() == Some(layout.shard_index);
        let arrived = Timestamp::from_unix_ms(layout.arrived_seconds.checked_mul(1000)?);
        (plausible && arrived <= now.plus(AHEAD_AT_MOST)).then_some(arrived)
    }
}

/// The shard that a sequence number of Kinesis belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The index inside the shard's id.
    pub(super) shard_index: u32,
    /// When that shard was created, in seconds since 1970. It differs where a stream was deleted and created again.
    pub(super) created_seconds: u64,
}

impl SequenceNumber {
    /// The shard that this number belongs to; `None` where the number does not have Kinesis' layout since 2015.
    pub(super) fn origin(&self) -> Option<Origin> {
        let Layout { created_seconds, shard_index, .. } = Layout::of(&self.0)?;
        Some(Origin { shard_index, created_seconds })
    }
}

impl Layout {
    fn of(digits: &str) -> Option<Self> {
        let limbs = limbs(digits)?;
        let (top, version) = (field(limbs, 184, 8), field(limbs, 0, 4));
        (top == 2 && version == 2).then_some(())?;
        Some(Self {
            created_seconds: field(limbs, 148, 36),
            arrived_seconds: field(limbs, 36, 36),
            shard_index: u32::try_from(field(limbs, 4, 32)).ok()?,
        })
    }
}

/// Extracts `count` bits, fewer than 64, from the bit `from` on, counted from the lowest.
fn field(limbs: [u64; 3], from: usize, count: u32) -> u64 {
    let limb = |index: usize| limbs.get(index).copied().map_or(0, u128::from);
    let two = limb(from / 64) | limb(from / 64 + 1) << 64;
    let mask = (1_u128 << count) - 1;
    // the mask leaves fewer than 64 bits
    u64::try_from(two >> (from % 64) & mask).unwrap_or(u64::MAX)
}

/// The number as three limbs of 64 bits, the lowest first; `None` where it needs more.
fn limbs(digits: &str) -> Option<[u64; 3]> {
    let mut limbs = [0_u64; 3];
    for digit in digits.bytes() {
        let mut carry = u128::from(digit.wrapping_sub(b'0'));
        for limb in &mut limbs {
            let product = u128::from(*limb) * 10 + carry;
            *limb = u64::try_from(product & u128::from(u64::MAX)).ok()?;
            carry = product >> 64;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(limbs)
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        one.len().cmp(&two.len()).then_with(|| one.cmp(two)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
