//! One partition of a source that reports records behind.

use super::average::{Average, Rate};
use super::waiting::{Reach, Waiting};
use crate::lag::Moment;

/// Each partition's arrivals are averaged over this many seconds; the averages give its share of all arrivals.
pub(super) const ARRIVALS: f64 = 60.0;
/// The weight of the first value that a source reports: after a reshard that is a share of earlier arrivals.
const FIRST: f64 = 0.2;
/// The rounding error of positions that are not whole numbers.
pub(super) const SAME: f64 = 1e-6;
/// A backlog of less than this part of a record counts as none.
pub const NOTHING: f64 = 0.5;
/// Fewer records per second than this count as no arrivals.
const NO_ARRIVALS: f64 = 1e-3;

/// One partition at a reading, in records, or in kilobytes where a store reports those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OffsetRow {
    /// The end of the log.
    pub end: f64,
    /// The position of the consumers; `None` where nothing is committed.
    pub committed: Option<f64>,
    /// The unread data, which is not always the difference of `end` and `committed`.
    pub backlog: f64,
    /// How the arrivals are determined.
    pub arrivals: Arrivals,
}

/// How the arrivals at a partition are determined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// By the movement of its end since the previous reading.
    OfEnds,
    /// By the rate that the source reports.
    Reported {
        /// Arrivals per second.
        per_second: f64,
        /// The measured age of the oldest unread record, in seconds.
        age: f64,
    },
    /// By the rate that the source reports, as an estimate that needs no average.
    Exact {
        /// Arrivals per second.
        per_second: f64,
        /// The measured age of the oldest unread record, in seconds.
        age: f64,
    },
    /// Not known yet: the source reports how long unread records have waited, but not their number.
    Unweighed {
        /// The measured age of the oldest unread record, in seconds.
        age: f64,
    },
}

impl Arrivals {
    /// Arrivals per second, where the end of the log moved by `grown` per second.
    pub(super) const fn in_a_second(self, grown: f64) -> f64 {
        match self {
            Self::OfEnds => grown,
            Self::Reported { per_second, .. } | Self::Exact { per_second, .. } => per_second,
            Self::Unweighed { .. } => 0.0,
        }
    }
}

/// The flow of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionFlow {
    /// The data that its consumers have not read.
    pub backlog: f64,
    pub(super) end: f64,
    pub(super) position: f64,
    arrivals: Average,
    consumption: Option<Rate>,
    /// When its position last moved, or had no unread records to move past.
    pub(super) moved_at: Moment,
    /// The partition made no progress while others did, and has made none since; a new owner alone does not change that.
    pub(super) stuck: bool,
    /// How its arrivals are determined.
    pub(super) by: Arrivals,
    /// Its position when the present window of its consumer began.
    pub(super) anchor: f64,
    /// What its consumer did per second up to the last move of its position, where it was behind even then.
    pub(super) pace: Option<Rate>,
    waiting: Waiting,
}

impl PartitionFlow {
    pub(super) fn new(row: OffsetRow, now: Moment) -> Self {
        let position = row.committed.unwrap_or(row.end - row.backlog);
        let arrivals = match row.arrivals {
            Arrivals::Reported { per_second, .. } => Average::begun(per_second, FIRST),
            Arrivals::Exact { per_second, .. } => Average::begun(per_second, 1.0),
            Arrivals::OfEnds | Arrivals::Unweighed { .. } => Average::default(),
        };
        Self {
            backlog: row.backlog.max(0.0),
            end: row.end,
            position,
            arrivals,
            consumption: None,
            moved_at: now,
            stuck: false,
            by: row.arrivals,
            anchor: position,
            pace: None,
            waiting: Waiting::new(Reach { end: row.end, position }, now),
        }
    }

    /// Returns the flow after a reading; a log that is not a continuation starts from its beginning.
    ///
    /// `share` is the share of the time since the previous reading in an average over [`ARRIVALS`].
    pub(super) fn with(&self, row: OffsetRow, elapsed: f64, share: f64, now: Moment) -> Self {
        // a log that has become shorter is a different log
        if row.arrivals == Arrivals::OfEnds && row.end < self.end - SAME {
            return Self::new(row, now);
        }
        let arrived = row.arrivals.in_a_second((row.end - self.end) / elapsed);
        let position = row.committed.unwrap_or(self.position);
        let arrivals = match row.arrivals {
            Arrivals::Exact { per_second, .. } => Average::begun(per_second, 1.0),
            Arrivals::OfEnds | Arrivals::Reported { .. } => self.arrivals.weighed(arrived, share),
            // an unknown rate is not zero
            Arrivals::Unweighed { .. } => self.arrivals,
        };
        // a position that is moved back consumes nothing
        let consumption = row.committed.map_or(self.consumption, |committed| {
            let done = ((committed - self.position) / elapsed).max(0.0);
            Some(self.consumption.map_or(Rate::new(done), |known| known.weighed(done, share)))
        });
        let past = Reach { end: self.end, position: self.position };
        Self {
            position,
            arrivals,
            consumption,
            moved_at: self.moved_at,
            stuck: self.stuck,
            anchor: self.anchor,
            pace: self.pace,
            waiting: self.waiting.with(past, Reach { end: row.end, position }, now),
            ..Self::new(row, now)
        }
    }

    /// Arrivals per second.
    #[must_use]
    pub fn arrivals(&self) -> f64 {
        self.arrivals.get().unwrap_or(0.0)
    }

    /// Arrivals per second; `None` until they are known.
    #[must_use]
    pub fn known_arrivals(&self) -> Option<f64> {
        self.arrivals.get()
    }

    /// The progress of its committed position per second; `None` until it is known.
    #[must_use]
    pub fn consumption(&self) -> Option<f64> {
        self.consumption.map(Rate::get)
    }

    /// The age of its oldest unread record, in seconds, where the source measures it.
    pub(super) const fn measured_age(&self) -> Option<f64> {
        match self.by {
            Arrivals::OfEnds => None,
            Arrivals::Reported { age, .. } | Arrivals::Exact { age, .. } | Arrivals::Unweighed { age } => Some(age),
        }
    }

    /// Corrects the estimated age of its oldest unread record by what the readings show.
    pub(super) fn bound(&self, estimate: f64, now: Moment) -> f64 {
        self.waiting.bound(estimate, now)
    }

    /// Whether any records arrive.
    pub(super) fn gets_more(&self) -> bool {
        self.arrivals() > NO_ARRIVALS
    }

    /// The age in seconds of the unread records, where their number is unknown.
    pub(super) const fn unweighed_age(&self) -> Option<f64> {
        if let Arrivals::Unweighed { age } = self.by { Some(age) } else { None }
    }

    /// Whether the backlog is exact, so that commits do not explain any part of it.
    pub(super) const fn exact(&self) -> bool {
        !matches!(self.by, Arrivals::OfEnds)
    }

    pub(super) const fn unread(&self) -> bool {
        self.backlog > NOTHING
    }
}
