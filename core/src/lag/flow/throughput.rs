//! The flow of a Kinesis application of KCL 3 or later, whose leases show the kilobytes read per second.
//!
//! The kilobytes read between two checkpoints, divided by the time between their records' arrivals, are the density: kilobytes per second
//! of the stream. The density times the age of the checkpoint, less the kilobytes read since it was written, is the backlog.

use super::average::Staleness;
use super::partition::SAME;
use super::{Arrivals, OffsetFlow, OffsetReading, OffsetRow, Owners, Split, count};
use crate::lag::Moment;

/// The resolution of ages, in seconds.
const RESOLUTION: f64 = 1.0;
/// Checkpoints whose records arrived closer together than this share of a sampling period only bound the density: the phase of the
/// checkpoint dominates the quotient.
const SHORTEST: f64 = 0.5;
/// A throughput below this share of the density is the tail of KCL's own average, and not progress.
const TAIL: f64 = 0.02;
/// The relative error of a density while a checkpoint is awaited.
const ERROR: f64 = 0.5;

/// One shard at a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputRow {
    /// The shard of this row.
    pub place: Split,
    /// The age in seconds of the oldest unread record; 0 where nothing is unread.
    pub age: f64,
    /// Kilobytes per second that the shard's consumer reads.
    pub kilobytes_per_second: f64,
}

/// One reading of throughputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputReading {
    /// The shards that are being read, in a stable order.
    pub rows: Vec<ThroughputRow>,
    /// The owner of each shard, in the same order.
    pub owners: Owners,
}

/// The flow of an application, in kilobytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputFlow {
    shards: Vec<ShardDensity>,
    flow: OffsetFlow,
    staleness: Staleness,
    age: f64,
    late: f64,
    /// Only one reading has been taken: it shows where windows begin, but not what was read since.
    first: bool,
}

/// The density of a shard.
#[derive(Clone, Debug, PartialEq)]
struct ShardDensity {
    place: Split,
    /// Every record that arrived before this time is processed; in seconds since the epoch.
    processed_until: f64,
    /// The total of kilobytes read.
    read: f64,
    /// The same total when the present checkpoint was written and when a reading first showed it.
    read_at_checkpoint: f64,
    checkpoint_seen: Moment,
    anchor: Anchor,
    density: Option<Density>,
}

/// The checkpoint at which the present window begins.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Anchor {
    processed_until: f64,
    /// The estimated total of kilobytes read by then.
    read: f64,
    /// The totals at the reading before that checkpoint appeared and at that reading: it was written between the two.
    between: (f64, f64),
}

/// The kilobytes per second of the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Density {
    newest: f64,
    mean: f64,
}

/// The times that all shards of a reading share.
struct Times {
    elapsed: f64,
    period: f64,
    /// The minimum number of seconds from a checkpoint to the reading that shows it.
    error: f64,
    now: Moment,
}

impl ThroughputFlow {
    /// Returns the flow after a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, reading: ThroughputReading, now: Moment) -> Self {
        let elapsed = past.map_or(0.0, |past| now.since(past.flow.at()).as_secs_f64());
        let period = past.filter(|past| !past.first).map_or(elapsed, |past| past.flow.period());
        let pasts: Vec<_> = reading
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| past.and_then(|past| past.shard(index, &row.place)))
            .collect();
        let mut staleness = past.map(|past| past.staleness.clone()).unwrap_or_default();
        let settled = past.is_some_and(|past| {
            past.flow.owners() == &reading.owners && now.since(past.flow.stable_since()).as_secs_f64() >= 2.0 * period
        });
        if settled {
            let moved = reading
                .rows
                .iter()
                .zip(&pasts)
                .filter(|(row, past)| past.is_some_and(|past| past.moved(row, now) && past.throughput(row) > 0.0));
            staleness.add(now, &mut moved.map(|(row, _)| row.age).collect::<Vec<_>>());
        }
        let times = Times { elapsed, period, error: staleness.least().map_or(period, |least| least.min(period)), now };
        let mut shards: Vec<_> = reading
            .rows
            .iter()
            .zip(pasts)
            .map(|(row, past)| past.map_or_else(|| ShardDensity::new(row, now), |past| past.with(row, &times)))
            .collect();
        if let Some(past) = past {
            past.hand_over(&mut shards);
        }
        let age = reading.rows.iter().map(|row| row.age).fold(0.0, f64::max);
        let late = late(&shards, &reading.rows, &times);
        let rows = shards.iter().zip(&reading.rows).map(|(shard, row)| shard.row(row.age, now)).collect();
        let before = past.filter(|past| !past.first).map(|past| &past.flow);
        let splits = shards.iter().map(|shard| shard.place.clone()).collect();
        let flow = OffsetFlow::fold(before, OffsetReading { splits, rows, owners: reading.owners }, now);
        Self { shards, flow, staleness, age, late, first: past.is_none() }
    }

    /// The flow in kilobytes.
    #[must_use]
    pub const fn flow(&self) -> &OffsetFlow {
        &self.flow
    }

    /// The age in seconds of the oldest unread record.
    #[must_use]
    pub const fn age(&self) -> f64 {
        self.age
    }

    /// The age in seconds of the records that are being read, beyond what checkpoints explain; rates are equally old.
    #[must_use]
    pub const fn late(&self) -> f64 {
        self.late
    }

    /// Hands arrivals over after a reshard: shards that have not been read yet share the arrivals of the shards that they replace, until
    /// their own are measured.
    fn hand_over(&self, shards: &mut [ShardDensity]) {
        let replaced = self.shards.iter().filter(|past| !shards.iter().any(|shard| shard.place == past.place));
        let arrived: f64 = replaced.map(ShardDensity::mean).sum();
        let unread: Vec<_> = shards.iter_mut().filter(|shard| shard.mean() <= 0.0).collect();
        let share = arrived / count(unread.len());
        for shard in unread.into_iter().filter(|_| arrived > 0.0) {
            shard.density = Some(Density { newest: share, mean: share });
        }
    }

    fn shard(&self, index: usize, place: &Split) -> Option<&ShardDensity> {
        let same = self.shards.get(index).filter(|past| past.place == *place);
        same.or_else(|| self.shards.iter().find(|past| past.place == *place))
    }
}

/// The mean lateness over the shards, weighted by their densities.
fn late(shards: &[ShardDensity], rows: &[ThroughputRow], times: &Times) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (shard, row) in shards.iter().zip(rows) {
        let waited = times.now.since(shard.checkpoint_seen).as_secs_f64();
        sum += shard.mean() * (row.age - waited.max(times.error)).max(0.0);
        weight += shard.mean();
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

impl ShardDensity {
    fn new(row: &ThroughputRow, now: Moment) -> Self {
        let processed_until = now.seconds() - row.age;
        Self {
            place: row.place.clone(),
            processed_until,
            read: 0.0,
            read_at_checkpoint: 0.0,
            checkpoint_seen: now,
            anchor: Anchor { processed_until, read: 0.0, between: (0.0, 0.0) },
            density: None,
        }
    }

    fn mean(&self) -> f64 {
        self.density.map_or(0.0, |density| density.mean)
    }

    fn moved(&self, row: &ThroughputRow, now: Moment) -> bool {
        now.seconds() - row.age > self.processed_until + SAME
    }

    fn throughput(&self, row: &ThroughputRow) -> f64 {
        let tail = TAIL * self.mean();
        if row.kilobytes_per_second < tail { 0.0 } else { row.kilobytes_per_second }
    }

    fn with(&self, row: &ThroughputRow, times: &Times) -> Self {
        let throughput = self.throughput(row);
        let read = self.read + throughput * times.elapsed;
        let processed_until = times.now.seconds() - row.age;
        let mut next = Self { processed_until, read, ..self.clone() };
        if !self.moved(row, times.now) {
            return next;
        }
        // the checkpoint was written between the previous reading and this one
        let read_by_then = self.read.max(read - throughput * row.age.min(times.error));
        let streamed = processed_until - self.anchor.processed_until;
        if streamed >= SHORTEST * times.period {
            let newest = (read_by_then - self.anchor.read).max(0.0) / streamed;
            let share = 1.0 - (-streamed / times.period).exp();
            let mean = self.density.map_or(newest, |known| known.mean + share * (newest - known.mean));
            next.density = Some(Density { newest, mean });
            next.anchor = Anchor { processed_until, read: read_by_then, between: (self.read, read) };
        } else {
            next.density = self.bounded(read, streamed);
        }
        next.read_at_checkpoint = read_by_then;
        next.checkpoint_seen = times.now;
        next
    }

    /// Bounds a density where many kilobytes cover a short time of the stream, so that their quotient is unreliable.
    fn bounded(&self, read: f64, streamed: f64) -> Option<Density> {
        let (before, after) = self.anchor.between;
        let least = ((self.read - after) / (streamed + RESOLUTION)).max(0.0);
        let most = if streamed > RESOLUTION { (read - before) / (streamed - RESOLUTION) } else { f64::INFINITY };
        let within = |density: f64| density.min(most.max(least)).max(least);
        let known = self.density.unwrap_or(Density { newest: 0.0, mean: 0.0 });
        let bounded = Density { newest: within(known.newest), mean: within(known.mean) };
        (bounded.mean > 0.0).then_some(bounded)
    }

    fn row(&self, age: f64, now: Moment) -> OffsetRow {
        let arrivals = match self.density {
            Some(density) => Arrivals::Reported { per_second: density.newest, age },
            None => Arrivals::Unweighed { age },
        };
        let since_checkpoint = self.read - self.read_at_checkpoint;
        let waited = now.since(self.checkpoint_seen).as_secs_f64();
        let backlog = ((self.mean() * age - since_checkpoint).max(0.0) - ERROR * self.mean() * waited).max(0.0);
        OffsetRow { end: self.read + backlog, committed: Some(self.read), backlog, arrivals }
    }
}
