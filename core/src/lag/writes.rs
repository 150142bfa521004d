//! The writes to a stream, as CloudWatch shows them.

use std::time::Duration;

use super::streams::Timestamp;

/// What one shard accepts per minute: 1 MiB per second, and 1,000 records per second.
const BYTES: f64 = 60.0 * 1024.0 * 1024.0;
const RECORDS: f64 = 60_000.0;
const MINUTE: Duration = Duration::from_secs(60);
/// A single minute is not a trend: use is a mean over this many minutes.
const MEAN_OF: usize = 3;
/// The load is the highest mean that ends within this time.
pub const LOAD: Duration = Duration::from_secs(3 * 60);
/// The minutes per point of the long history.
pub const COARSE: u32 = 5;
/// The number of minutes that are read individually.
const FINE: usize = 180;
/// The number of five-minute points before those: two days.
pub const LONG: usize = 2 * 288;

/// The writes of one minute, or of an average minute of a longer time. CloudWatch's `IncomingBytes` and `IncomingRecords` count only what
/// the stream accepted, and `WriteProvisionedThroughputExceeded` the records that it rejected.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Minute {
    /// The number of accepted bytes.
    pub bytes: f64,
    /// The number of accepted records.
    pub records: f64,
    /// The number of rejected records.
    pub throttled: f64,
}

/// The writes to one stream. A point is `None` where CloudWatch has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Writes {
    /// The end of the newest minute, by the service's clock.
    pub until: Timestamp,
    /// One point per minute, the newest last.
    pub minutes: Vec<Option<Minute>>,
    /// One point per five minutes, the newest last: up to two days before the first of `minutes`.
    pub before: Vec<Option<Minute>>,
}

impl Minute {
    /// The mean of several minutes.
    #[must_use]
    pub fn mean(minutes: &[Self]) -> Self {
        let count = f64::from(u32::try_from(minutes.len().max(1)).unwrap_or(u32::MAX));
        let mean = |of: fn(&Self) -> f64| minutes.iter().map(of).sum::<f64>() / count;
        Self { bytes: mean(|one| one.bytes), records: mean(|one| one.records), throttled: mean(|one| one.throttled) }
    }

    /// The number of shards that these writes fill.
    #[must_use]
    pub fn shards(self) -> f64 {
        (self.bytes / BYTES).max(self.records / RECORDS)
    }
}

impl Writes {
    /// Takes the newest of `minutes`, the last of which ends at `until`, as far back as a reading reaches.
    #[must_use]
    pub fn of_minutes(minutes: &[Minute], until: Timestamp) -> Self {
        let (before, minutes) = minutes.split_at(minutes.len().saturating_sub(FINE));
        let mut before: Vec<_> =
            before.rchunks_exact(COARSE as usize).take(LONG).map(|part| Some(Minute::mean(part))).collect();
        before.reverse();
        Self { until, minutes: minutes.iter().copied().map(Some).collect(), before }
    }

    /// Removes the newest minutes, up to `late`, that CloudWatch does not show yet. A stream without any point is idle and stays unchanged.
    #[must_use]
    pub fn without_late_minutes(mut self, late: Duration) -> Self {
        let missing = self.minutes.iter().rev().take_while(|point| point.is_none()).count();
        if missing < self.minutes.len() {
            let late = missing.min(minutes(late));
            self.minutes.truncate(self.minutes.len() - late);
            self.until = self.until.minus(MINUTE * u32::try_from(late).unwrap_or(u32::MAX));
        }
        self
    }

    /// The highest use in shards, as a mean of three minutes that ends between `from` and `to` ago; `None` where that time is unknown.
    /// Older times have means of five minutes.
    #[must_use]
    pub fn peak(&self, from: Duration, to: Duration) -> Option<f64> {
        let (from, to) = (minutes(from), minutes(to));
        let count = self.minutes.len();
        let windows = to..from.min(count.saturating_sub(MEAN_OF - 1));
        let fine = windows.filter_map(|ago| self.minutes.get(count - ago - MEAN_OF..count - ago).map(mean));
        fine.chain(self.coarse(from, to).iter().map(|point| shards(*point))).reduce(f64::max)
    }

    /// The five-minute points that end between `from` and `to` minutes ago.
    fn coarse(&self, from: usize, to: usize) -> &[Option<Minute>] {
        let points =
            |ago: usize| ago.saturating_sub(self.minutes.len()).div_ceil(COARSE as usize).min(self.before.len());
        let count = self.before.len();
        self.before.get(count - points(from)..count - points(to)).unwrap_or_default()
    }

    /// The present writes in shards: the highest mean of three of the last five minutes; 0 where nothing is known of them.
    #[must_use]
    pub fn load(&self) -> f64 {
        self.peak(LOAD, Duration::ZERO).unwrap_or_default()
    }

    /// The highest use in shards of a single minute of this recent time.
    #[must_use]
    pub fn highest(&self, within: Duration) -> Option<f64> {
        let newest = self.minutes.iter().rev().take(minutes(within));
        newest.map(|point| shards(*point)).reduce(f64::max)
    }

    /// The mean use in shards of the minutes that end between `from` and `to` ago.
    #[must_use]
    pub fn mean(&self, from: Duration, to: Duration) -> Option<f64> {
        let end = self.minutes.len().checked_sub(minutes(to))?;
        let begin = self.minutes.len().checked_sub(minutes(from))?;
        self.minutes.get(begin..end).filter(|part| !part.is_empty()).map(mean)
    }

    /// The share of rejected records between `from` and `to` ago, between 0 and 1.
    #[must_use]
    pub fn throttled(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (minutes(from), minutes(to));
        let count = self.minutes.len();
        let fine = self.minutes.get(count - from.min(count)..count - to.min(count)).unwrap_or_default();
        let sum = |points: &[Option<Minute>]| {
            points
                .iter()
                .flatten()
                .fold((0.0, 0.0), |(rejected, accepted), point| (rejected + point.throttled, accepted + point.records))
        };
        let (fine, coarse) = (sum(fine), sum(self.coarse(from, to)));
        let weight = f64::from(COARSE);
        let (rejected, accepted) = (fine.0 + weight * coarse.0, fine.1 + weight * coarse.1);
        if rejected > 0.0 { rejected / (rejected + accepted) } else { 0.0 }
    }

    /// The end of the newest minute without a point next to one that fills more than `shards`, within the time from `from` ago. A stream
    /// without writes has no points, but next to a busy minute the point is missing.
    #[must_use]
    pub fn hole(&self, shards: f64, from: Duration) -> Option<Timestamp> {
        let from = minutes(from);
        let count = self.minutes.len();
        let fine = missing(self.minutes.get(count - from.min(count)..).unwrap_or_default(), shards);
        let ago = fine.or_else(|| Some(count + COARSE as usize * missing(self.coarse(from, 0), shards)?))?;
        Some(self.until.minus(MINUTE * u32::try_from(ago).unwrap_or(u32::MAX)))
    }
}

/// The index, counted back from the newest, of a missing point next to one that fills more than `shards`.
fn missing(points: &[Option<Minute>], shards: f64) -> Option<usize> {
    let busy = |index: usize| points.get(index).copied().flatten().is_some_and(|point| point.shards() > shards);
    let absent = |index: &usize| points.get(*index) == Some(&None);
    let newest = (0..points.len())
        .rev()
        .filter(absent)
        .find(|index| busy(index + 1) || index.checked_sub(1).is_some_and(busy))?;
    Some(points.len() - 1 - newest)
}

fn minutes(duration: Duration) -> usize {
    usize::try_from(duration.as_secs() / MINUTE.as_secs()).unwrap_or(usize::MAX)
}

fn shards(point: Option<Minute>) -> f64 {
    point.unwrap_or_default().shards()
}

fn mean(points: &[Option<Minute>]) -> f64 {
    let count = u32::try_from(points.len()).unwrap_or(u32::MAX);
    points.iter().map(|point| shards(*point)).sum::<f64>() / f64::from(count)
}
