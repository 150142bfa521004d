//! The day's budget of calls, from the calls made by this scaler and from the changes that the stream shows.

use std::time::Duration;

use super::DAY;
use crate::lag::streams::{Change, Timestamp};

/// A raise within this time after a lower count has undone it.
const UNDONE_WITHIN: Duration = Duration::from_secs(6 * 3600);
/// A change that the stream shows belongs to a call made here up to this long before it began.
const SHOWN_WITHIN: Duration = Duration::from_secs(300);
/// After a rejected call the budget counts as used for this long.
const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// Which actor changed a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// This scaler changed the stream.
    Us,
    /// Another actor changed the stream: this scaler made no call.
    Other,
}

/// The changes of the last 24 hours, and whether the service has rejected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    now: Timestamp,
    changes: Vec<(Change, By)>,
    refused: Option<Timestamp>,
}

impl Calls {
    /// Combines the changes of the calls made here with those that the stream's own shards show; a change in both counts once. `refused` is
    /// when the service last answered a call with `LimitExceeded`.
    #[must_use]
    pub fn new(now: Timestamp, made: &[Change], shown: &[Change], refused: Option<Timestamp>) -> Self {
        let mut changes: Vec<_> = made.iter().map(|change| (*change, By::Us)).collect();
        for change in shown {
            let apart = |known: &Change| change.at.since(known.at).max(known.at.since(change.at));
            if made.iter().all(|known| apart(known) >= SHOWN_WITHIN) {
                changes.push((*change, By::Other));
            }
        }
        changes.retain(|(change, _)| now.since(change.at) < DAY);
        changes.sort_by_key(|(change, _)| change.at);
        let refused = refused.filter(|at| now.since(*at) < REFUSED_FOR);
        Self { now, changes, refused }
    }

    /// The remaining calls of `per_day`. After a rejected call none remain, whatever was counted.
    #[must_use]
    pub fn left(&self, per_day: u32) -> u32 {
        if self.refused.is_some() {
            return 0;
        }
        per_day.saturating_sub(u32::try_from(self.changes.len()).unwrap_or(u32::MAX))
    }

    /// The present time, by the service's clock.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// When the next call of `per_day` becomes available.
    pub(super) fn next_free(&self, per_day: u32) -> Timestamp {
        let oldest = self.changes.len().saturating_sub(usize::try_from(per_day).unwrap_or(usize::MAX));
        let free = self.changes.get(oldest).map_or(self.now, |(change, _)| change.at.plus(DAY));
        self.refused.map_or(free, |at| at.plus(REFUSED_FOR))
    }

    /// The last change, and the actor that made it.
    pub(super) fn last(&self) -> Option<(Timestamp, By)> {
        self.changes.last().map(|(change, by)| (change.at, *by))
    }

    /// The time of the last raise.
    pub(super) fn last_raise(&self) -> Option<Timestamp> {
        self.changes.iter().rev().find(|(change, _)| change.to > change.from).map(|(change, _)| change.at)
    }

    /// The number of lower counts that were soon undone.
    pub(super) fn undone(&self) -> u32 {
        let pairs = self.changes.iter().zip(self.changes.iter().skip(1));
        let undone = pairs.filter(|((one, _), (two, _))| {
            one.to < one.from && two.to > two.from && two.at.since(one.at) < UNDONE_WITHIN
        });
        u32::try_from(undone.count()).unwrap_or(u32::MAX)
    }
}
