//! One partition of a source that shows how many records are behind.

use super::Split;
use super::average::Average;
use crate::lag::Moment;

/// Each partition's arrivals are averaged over this many seconds: they give its share of all arrivals.
pub(super) const ARRIVALS: f64 = 60.0;
/// The weight in it of the first value that a source reports: after a reshard that is a share of what arrived before.
const FIRST: f64 = 0.2;
/// Rounding of positions that are not whole numbers.
pub(super) const SAME: f64 = 1e-6;
/// Less than a record is none.
pub const NOTHING: f64 = 0.5;
/// Fewer records per second than this are no arrivals.
const NO_ARRIVALS: f64 = 1e-3;

/// One partition at a reading. In records, or in kilobytes where a store shows those.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetRow {
    /// Which.
    pub place: Split,
    /// Where the log ends.
    pub end: f64,
    /// How far the consumers are; `None` where nothing is committed.
    pub committed: Option<f64>,
    /// What they have not read: not always the difference of the two.
    pub backlog: f64,
    /// How it is known what arrives.
    pub arrivals: Arrivals,
}

/// How it is known what arrives at a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// By how far its end has moved since the reading before.
    OfEnds,
    /// The source shows what arrives per second.
    Reported(f64),
    /// The same, and it is an estimate that needs no average.
    Exact(f64),
    /// Not yet: the source shows for how many seconds unread records have waited, and not how many they are.
    Unweighed {
        /// In seconds.
        age: f64,
    },
}

impl Arrivals {
    /// Arrivals per second, where the end of the log moved by `grown` per second.
    pub(super) const fn in_a_second(self, grown: f64) -> f64 {
        match self {
            Self::OfEnds => grown,
            Self::Reported(arrivals) | Self::Exact(arrivals) => arrivals,
            Self::Unweighed { .. } => 0.0,
        }
    }

    const fn unweighed_age(self) -> Option<f64> {
        match self {
            Self::OfEnds | Self::Reported(_) | Self::Exact(_) => None,
            Self::Unweighed { age } => Some(age),
        }
    }
}

/// The flow of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionFlow {
    /// Which.
    pub place: Split,
    /// What its consumers have not read.
    pub backlog: f64,
    pub(super) end: f64,
    pub(super) position: f64,
    arrivals: Average,
    /// When its position moved last, or had nothing to move for.
    pub(super) moved_at: Moment,
    /// It made no progress while others did, and has made none since: another owner alone does not change that.
    pub(super) stuck: bool,
    /// How its arrivals are known.
    pub(super) by: Arrivals,
    /// Its position when the present window of its consumer began.
    pub(super) anchor: f64,
}

impl PartitionFlow {
    pub(super) fn new(row: OffsetRow, now: Moment) -> Self {
        let position = row.committed.unwrap_or(row.end - row.backlog);
        let arrivals = match row.arrivals {
            Arrivals::Reported(arrivals) => Average::begun(arrivals, FIRST),
            Arrivals::Exact(arrivals) => Average::begun(arrivals, 1.0),
            Arrivals::OfEnds | Arrivals::Unweighed { .. } => Average::default(),
        };
        Self {
            place: row.place,
            backlog: row.backlog.max(0.0),
            end: row.end,
            position,
            arrivals,
            moved_at: now,
            stuck: false,
            by: row.arrivals,
            anchor: position,
        }
    }

    /// With a reading of a log that goes on; of another one, from its beginning.
    ///
    /// `share` is that of the time since the reading before in an average over [`ARRIVALS`].
    pub(super) fn with(&self, row: OffsetRow, elapsed: f64, share: f64, now: Moment) -> Self {
        // a log that has become shorter is another one
        if row.arrivals == Arrivals::OfEnds && row.end < self.end - SAME {
            return Self::new(row, now);
        }
        let arrived = row.arrivals.in_a_second((row.end - self.end) / elapsed);
        let position = row.committed.unwrap_or(self.position);
        let arrivals = match row.arrivals {
            Arrivals::Exact(arrivals) => Average::begun(arrivals, 1.0),
            Arrivals::OfEnds | Arrivals::Reported(_) => self.arrivals.weighed(arrived, share),
            // what is unknown is not zero
            Arrivals::Unweighed { .. } => self.arrivals,
        };
        Self {
            position,
            arrivals,
            moved_at: self.moved_at,
            stuck: self.stuck,
            anchor: self.anchor,
            ..Self::new(row, now)
        }
    }

    /// Arrivals per second.
    #[must_use]
    pub fn arrivals(&self) -> f64 {
        self.arrivals.get().unwrap_or(0.0)
    }

    /// Whether anything arrives.
    pub(super) fn gets_more(&self) -> bool {
        self.arrivals() > NO_ARRIVALS
    }

    /// The age in seconds of what is unread, where it is not known how much that is.
    pub(super) const fn unweighed_age(&self) -> Option<f64> {
        self.by.unweighed_age()
    }

    /// Whether the backlog is what is behind, so that commits explain nothing of it.
    pub(super) fn exact(&self) -> bool {
        self.by != Arrivals::OfEnds
    }

    pub(super) const fn unread(&self) -> bool {
        self.backlog > NOTHING
    }
}
