//! The day's budget of calls, from what this scaler has done and from what the stream itself shows.

use std::time::Duration;

use super::DAY;
use crate::lag::streams::Timestamp;
use crate::scaling::write_utilization::Change;

/// A raise this soon after a lower count has undone it.
const UNDONE_WITHIN: Duration = Duration::from_secs(6 * 3600);
/// One call splits and merges over minutes: changes of the stream closer than this are one.
const ONE_CALL: Duration = Duration::from_secs(300);

/// The changes of the last 24 hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    now: Timestamp,
    changes: Vec<Change>,
}

impl Calls {
    /// The changes that the calls made here and the stream's own shards show; a change that both show counts once.
    #[must_use]
    pub fn new(now: Timestamp, made: &[Change], shown: &[Change]) -> Self {
        let mut changes = made.to_vec();
        for change in shown {
            let apart = |known: &Change| change.at.since(known.at).max(known.at.since(change.at));
            if changes.iter().all(|known| apart(known) >= ONE_CALL) {
                changes.push(*change);
            }
        }
        changes.retain(|change| now.since(change.at) < DAY);
        changes.sort_by_key(|change| change.at);
        Self { now, changes }
    }

    /// Calls that are left of `per_day`.
    #[must_use]
    pub fn left(&self, per_day: u32) -> u32 {
        per_day.saturating_sub(u32::try_from(self.changes.len()).unwrap_or(u32::MAX))
    }

    /// The present, by the service's clock.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// When a call is free again of `per_day`.
    pub(super) fn next_free(&self, per_day: u32) -> Timestamp {
        let used = self.changes.len();
        let oldest = used.saturating_sub(usize::try_from(per_day).unwrap_or(usize::MAX));
        self.changes.get(oldest).map_or(self.now, |change| change.at.plus(DAY))
    }

    /// The last change.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.changes.last().map(|change| change.at)
    }

    /// The last raise.
    pub(super) fn last_raise(&self) -> Option<Timestamp> {
        self.changes.iter().rev().find(|change| change.to > change.from).map(|change| change.at)
    }

    /// How often a lower count was undone soon.
    pub(super) fn undone(&self) -> u32 {
        let pairs = self.changes.iter().zip(self.changes.iter().skip(1));
        let undone =
            pairs.filter(|(one, two)| one.to < one.from && two.to > two.from && two.at.since(one.at) < UNDONE_WITHIN);
        u32::try_from(undone.count()).unwrap_or(u32::MAX)
    }
}
