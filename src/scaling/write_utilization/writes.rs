//! What was written to a stream, as CloudWatch shows it.

use std::time::Duration;

use crate::lag::streams::Timestamp;

/// What one shard accepts per minute: 1 MiB and 1,000 records per second.
const BYTES: f64 = 60.0 * 1024.0 * 1024.0;
const RECORDS: f64 = 60_000.0;
const MINUTE: Duration = Duration::from_secs(60);
/// A single minute is no trend: use is a mean of this many.
const MEAN_OF: usize = 3;
/// The long history has one point for this many minutes.
pub const COARSE: u32 = 5;

/// What was written in one minute, or in a mean minute of a longer time. CloudWatch counts in `IncomingBytes` and `IncomingRecords` only
/// what the stream accepted, and in `WriteProvisionedThroughputExceeded` the records that it rejected.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Minute {
    /// Accepted bytes.
    pub bytes: f64,
    /// Accepted records.
    pub records: f64,
    /// Rejected records.
    pub throttled: f64,
}

/// The writes to one stream. A point is `None` where CloudWatch has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Writes {
    /// The end of the newest minute, by the service's clock.
    pub until: Timestamp,
    /// One point per minute, the newest last.
    pub minutes: Vec<Option<Minute>>,
    /// One point per five minutes, the newest last: the two days before the first of `minutes`, or as much as there is.
    pub before: Vec<Option<Minute>>,
}

impl Minute {
    /// The shards that these writes fill.
    #[must_use]
    pub fn shards(self) -> f64 {
        (self.bytes / BYTES).max(self.records / RECORDS)
    }
}

impl Writes {
    /// The highest use in shards, as a mean of three minutes, of the means that end between `from` and `to` ago; `None` where nothing is
    /// known of that time. A time further back is known in means of five minutes.
    #[must_use]
    pub fn peak(&self, from: Duration, to: Duration) -> Option<f64> {
        let (from, to) = (minutes(from), minutes(to));
        let ends = 0..self.minutes.len().saturating_sub(MEAN_OF - 1);
        let fine = ends.filter(|ago| (to..from).contains(ago)).filter_map(|ago| {
            let end = self.minutes.len() - ago;
            self.minutes.get(end - MEAN_OF..end).map(mean)
        });
        let coarse = self.before.iter().rev().enumerate().filter(|(index, _)| {
            let ago = self.minutes.len() + index * COARSE as usize;
            (to..from).contains(&ago)
        });
        fine.chain(coarse.map(|(_, point)| shards(*point))).reduce(f64::max)
    }

    /// The highest use in shards of a single minute of the last while.
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

    /// The share of the records of the last while that was rejected, between 0 and 1.
    #[must_use]
    pub fn throttled(&self, from: Duration, to: Duration) -> f64 {
        let (from, to) = (minutes(from), minutes(to));
        let fine = self.minutes.iter().rev().enumerate().map(|(ago, point)| (ago, *point, 1.0));
        let coarse = self.before.iter().rev().enumerate();
        let coarse =
            coarse.map(|(index, point)| (self.minutes.len() + index * COARSE as usize, *point, f64::from(COARSE)));
        let (mut rejected, mut accepted) = (0.0, 0.0);
        for (_, point, weight) in fine.chain(coarse).filter(|(ago, ..)| (to..from).contains(ago)) {
            let point = point.unwrap_or_default();
            rejected += weight * point.throttled;
            accepted += weight * point.records;
        }
        if rejected > 0.0 { rejected / (rejected + accepted) } else { 0.0 }
    }

    /// The end of the newest minute without a point beside one that fills more than `shards`, within the time from `from` ago. A stream
    /// without writes has no points; beside a busy minute it is a point that is missing.
    #[must_use]
    pub fn hole(&self, shards: f64, from: Duration) -> Option<Timestamp> {
        let busy = |index: Option<usize>| {
            let point = index.and_then(|index| self.minutes.get(index).copied()).flatten();
            point.is_some_and(|point| point.shards() > shards)
        };
        let count = self.minutes.len();
        let oldest = count.saturating_sub(minutes(from));
        let index = (oldest..count).rev().find(|index| {
            self.minutes.get(*index) == Some(&None) && (busy(index.checked_sub(1)) || busy(Some(index + 1)))
        })?;
        Some(self.until.minus(MINUTE * u32::try_from(count - 1 - index).unwrap_or(u32::MAX)))
    }
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
