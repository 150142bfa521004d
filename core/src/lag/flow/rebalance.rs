//! A rebalance is a state of the group, not a load on its consumers.
//!
//! Between the two phases of a cooperative rebalance, and with KIP-848 until a member has revoked its partitions, partitions that move
//! have no owner. After a reshard no KCL worker owns the new shards for some seconds. Until every partition has an owner again, the
//! previous owners count.

use std::time::Duration;

use super::Owners;
use super::average::blend;
use crate::lag::Moment;

/// Partitions that have no owner for longer than this are not in a rebalance: they are permanently unowned.
const LONGEST: Duration = Duration::from_secs(60);
/// The pause in seconds that is assumed until one was measured.
const PAUSE_UNKNOWN: f64 = 5.0;

/// The rebalances of a group: whether one is in progress, and how long they stop the work.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Rebalances {
    unowned: Unowned,
    /// When the last rebalance completed, while no partition has progressed since.
    paused_since: Option<Moment>,
    /// Seconds from a complete rebalance to the first progress after it.
    pause: Option<f64>,
}

/// Which partitions wait for an owner, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
enum Unowned {
    #[default]
    None,
    /// Some partitions, although the group has consumers.
    Some { since: Moment },
    /// All partitions, because all are new.
    All { since: Moment },
}

/// The owners that counted until a reading.
#[derive(Clone, Copy)]
pub(super) enum Before<'a> {
    /// No owners, because there was no reading.
    None,
    /// The owners of the same partitions.
    Same(&'a Owners),
    /// The owners of other partitions, some of which still exist.
    Some(&'a Owners),
    /// The owners of other partitions, none of which still exists.
    Other(&'a Owners),
}

impl<'a> Before<'a> {
    /// Compares the partitions of the previous reading with those of the new one; each item of `places` says whether it existed before.
    pub(super) fn new(owners: &'a Owners, partitions: usize, places: impl ExactSizeIterator<Item = bool>) -> Self {
        let (now, known) = (places.len(), places.filter(|known| *known).count());
        match known {
            0 => Self::Other(owners),
            _ if (now, known) == (partitions, partitions) => Self::Same(owners),
            _ => Self::Some(owners),
        }
    }
}

impl Unowned {
    const fn since(self) -> Option<Moment> {
        match self {
            Self::None => None,
            Self::Some { since } | Self::All { since } => Some(since),
        }
    }

    fn after(self, before: Before<'_>, read: &Owners, now: Moment) -> Self {
        let since = self.since().unwrap_or(now);
        match (self, before) {
            _ if read.leave_some() => Self::Some { since },
            _ if read.count() > 0 => Self::None,
            (Self::All { .. }, _) | (_, Before::Other(_)) | (Self::Some { .. }, Before::Some(_)) => Self::All { since },
            // the consumers have left
            _ => Self::None,
        }
    }
}

impl Rebalances {
    /// Returns the owners that count after a reading that shows `read`.
    pub(super) fn owners(&mut self, before: Before<'_>, read: Owners, now: Moment) -> Owners {
        self.unowned = self.unowned.after(before, &read, now);
        if !self.ongoing(now) {
            return read;
        }
        match before {
            Before::Same(owners) if owners.count() > 0 => owners.clone(),
            Before::None | Before::Same(_) => read.with_all_owned(),
            Before::Some(owners) | Before::Other(owners) => read.joined_by(owners).with_all_owned(),
        }
    }

    /// Whether partitions are being moved from one consumer to another.
    pub(super) fn ongoing(&self, now: Moment) -> bool {
        self.unowned.since().is_some_and(|since| now.since(since) < LONGEST)
    }

    /// Records that partitions have other owners.
    pub(super) const fn completed(&mut self, now: Moment) {
        self.paused_since = Some(now);
    }

    /// Records that a partition has progressed while no partition is being moved.
    pub(super) fn progressed(&mut self, now: Moment) {
        if let Some(since) = self.paused_since.take_if(|since| *since < now) {
            self.pause = Some(blend(self.pause, now.since(since).as_secs_f64().min(LONGEST.as_secs_f64())));
        }
    }

    /// Seconds for which a rebalance stops the work, as measured; 5 s until one was observed.
    pub(super) fn pause(&self) -> f64 {
        self.pause.unwrap_or(PAUSE_UNKNOWN)
    }
}
