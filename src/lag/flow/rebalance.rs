//! A rebalance is a state of the group, not a load on its consumers.
//!
//! Between the two phases of a cooperative rebalance, and with KIP-848 until a member has revoked what it is to give up, partitions that
//! move have no owner. Until every partition has one again, the owners from before the rebalance count.

use std::time::Duration;

use super::Owners;
use super::average::blend;
use crate::lag::Moment;

/// Partitions that have no owner for longer than this are not in a rebalance: they stay without one.
const LONGEST: Duration = Duration::from_secs(60);
/// The pause that is assumed until one was measured, in seconds.
const PAUSE_UNKNOWN: f64 = 5.0;

/// The rebalances of a group: whether one goes on, and how long they stop the work.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Rebalances {
    /// Since when some partitions have no owner although the group has consumers.
    unowned_since: Option<Moment>,
    /// When the rebalance was complete after which no partition has progressed yet.
    paused_since: Option<Moment>,
    /// Seconds from a complete rebalance to the first progress after it.
    pause: Option<f64>,
}

impl Rebalances {
    /// The owners that count after a reading that shows `read`, where those of `before` counted until now.
    pub(super) fn owners(&mut self, before: Option<&Owners>, read: Owners, now: Moment) -> Owners {
        if !read.leave_some() {
            self.unowned_since = None;
            return read;
        }
        let since = *self.unowned_since.get_or_insert(now);
        if now.since(since) >= LONGEST {
            return read;
        }
        match before.filter(|owners| owners.count() > 0) {
            Some(owners) => owners.clone(),
            None => read.with_all_owned(),
        }
    }

    /// Whether partitions are being moved from one consumer to another.
    pub(super) fn ongoing(&self, now: Moment) -> bool {
        self.unowned_since.is_some_and(|since| now.since(since) < LONGEST)
    }

    /// Partitions have other owners.
    pub(super) const fn completed(&mut self, now: Moment) {
        self.paused_since = Some(now);
    }

    /// Some partition has progressed while no partition is being moved.
    pub(super) fn progressed(&mut self, now: Moment) {
        if let Some(since) = self.paused_since.take_if(|since| *since < now) {
            self.pause = Some(blend(self.pause, now.since(since).as_secs_f64().min(LONGEST.as_secs_f64())));
        }
    }

    /// Seconds for which a rebalance stops the work, as measured; 5 s until one was seen.
    pub(super) fn pause(&self) -> f64 {
        self.pause.unwrap_or(PAUSE_UNKNOWN)
    }
}
