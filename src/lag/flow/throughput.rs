//! The flow of a Kinesis application of KCL 3 or later: leases tell the kilobytes that were read in a second.
//!
//! What was read between two checkpoints, over the time between their records' arrivals, is how much a second of the stream weighs.
//! That times the age of the checkpoint, less what was read since it was written, is the backlog.

use super::{Arrivals, OffsetFlow, OffsetReading, OffsetRow, Owners, Place};
use crate::lag::Moment;

/// Checkpoints this many seconds apart tell what arrives.
const WINDOW: f64 = 30.0;
/// Checkpoints whose records arrived within this many seconds do not.
const SHORTEST: f64 = 1.0;
/// The weight of a new measurement.
const SHARE: f64 = 0.5;
/// Rounding of times.
const SAME: f64 = 1e-6;

/// One shard at a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputRow {
    /// Which.
    pub place: Place,
    /// How many seconds ago the oldest unread record arrived; 0 where nothing is unread.
    pub age: f64,
    /// Kilobytes in a second that its consumer reads.
    pub kilobytes_per_second: f64,
}

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputReading {
    /// The shards that are being read, in an order that stays.
    pub rows: Vec<ThroughputRow>,
    /// Whose they are, by the same order.
    pub owners: Owners,
}

/// The flow of an application, in kilobytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputFlow {
    shards: Vec<ShardDensity>,
    flow: OffsetFlow,
    age: f64,
    /// There was one reading only: it says where windows begin, and not what was read since.
    first: bool,
}

/// What a second of a shard weighs.
#[derive(Clone, Debug, PartialEq)]
struct ShardDensity {
    place: Place,
    /// Up to which arrival everything is processed, in seconds since the epoch.
    processed_until: f64,
    /// Kilobytes read in all.
    read: f64,
    /// The same when the present checkpoint was written.
    read_at_checkpoint: f64,
    /// Where the present window began.
    from: (Moment, f64, f64),
    /// Kilobytes that arrive in a second, once measured.
    density: Option<f64>,
}

impl ThroughputFlow {
    /// The flow after a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, reading: ThroughputReading, now: Moment) -> Self {
        let elapsed = past.map_or(0.0, |past| now.since(past.flow.at()).as_secs_f64());
        let shards: Vec<_> = reading
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| match past.and_then(|past| past.shard(index, &row.place)) {
                None => ShardDensity::new(row, now),
                Some(past) => past.with(row, elapsed, now),
            })
            .collect();
        let age = reading.rows.iter().map(|row| row.age).fold(0.0, f64::max);
        let rows = shards.iter().zip(&reading.rows).map(|(shard, row)| shard.row(row.age)).collect();
        let before = past.filter(|past| !past.first).map(|past| &past.flow);
        let flow = OffsetFlow::fold(before, OffsetReading { rows, owners: reading.owners }, now);
        Self { shards, flow, age, first: past.is_none() }
    }

    /// The flow in kilobytes.
    #[must_use]
    pub const fn flow(&self) -> &OffsetFlow {
        &self.flow
    }

    /// How many seconds ago the oldest unread record arrived.
    #[must_use]
    pub const fn age(&self) -> f64 {
        self.age
    }

    fn shard(&self, index: usize, place: &Place) -> Option<&ShardDensity> {
        let same = self.shards.get(index).filter(|past| past.place == *place);
        same.or_else(|| self.shards.iter().find(|past| past.place == *place))
    }
}

impl ShardDensity {
    fn new(row: &ThroughputRow, now: Moment) -> Self {
        let processed_until = now.seconds() - row.age;
        let place = row.place.clone();
        Self {
            place,
            processed_until,
            read: 0.0,
            read_at_checkpoint: 0.0,
            from: (now, processed_until, 0.0),
            density: None,
        }
    }

    fn with(&self, row: &ThroughputRow, elapsed: f64, now: Moment) -> Self {
        let processed_until = now.seconds() - row.age;
        let moved = processed_until > self.processed_until + SAME;
        let read = self.read + row.kilobytes_per_second * elapsed;
        let mut next = Self { processed_until, read, ..self.clone() };
        if !moved {
            return next;
        }
        next.read_at_checkpoint = read;
        let (since, arrived, weight) = self.from;
        if now.since(since).as_secs_f64() >= WINDOW - SAME {
            next.from = (now, processed_until, read);
            let over = processed_until - arrived;
            if over > SHORTEST {
                let new = (read - weight) / over;
                next.density = Some(self.density.map_or(new, |known| known + SHARE * (new - known)));
            }
        }
        next
    }

    fn row(&self, age: f64) -> OffsetRow {
        let (density, arrivals) = match self.density {
            Some(density) => (density, Arrivals::Told(density)),
            None => (0.0, Arrivals::Unweighed { age }),
        };
        let backlog = (density * age - (self.read - self.read_at_checkpoint)).max(0.0);
        OffsetRow { place: self.place.clone(), end: self.read + backlog, committed: Some(self.read), backlog, arrivals }
    }
}
