//! Measures how soon more consumers help.

use crate::lag::Moment;
use crate::lag::flow::blend;

/// Until a start was observed: KEDA, the HPA and a pod are assumed to take this many seconds,
const START_UNKNOWN: f64 = 20.0;
/// and this many readings more.
const READINGS: f64 = 2.5;
/// A start that takes longer, in seconds, does not count: the HPA is at its limit, or the cluster is full.
const LONGEST_START: f64 = 600.0;

/// The time from the first value above the present consumers to more consumers.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Reaction {
    requested_at: Option<Moment>,
    start: Option<f64>,
    consumers: usize,
}

impl Reaction {
    /// Updates the reaction time at a reading that shows this many consumers. Requested consumers have started when partitions begin to
    /// move to them.
    pub(super) fn see(&mut self, consumers: usize, rebalancing: bool, now: Moment) {
        if (consumers > self.consumers || rebalancing)
            && let Some(since) = self.requested_at.take()
        {
            let start = now.since(since).as_secs_f64();
            if start <= LONGEST_START {
                self.start = Some(blend(self.start, start));
            }
        }
        self.consumers = consumers;
    }

    /// Records that the value of this reading requests this many consumers.
    pub(super) fn request(&mut self, wanted: usize, now: Moment) {
        self.requested_at = (wanted > self.consumers).then(|| self.requested_at.unwrap_or(now));
    }

    /// Seconds until consumers that are requested now can help, where a rebalance stops the work for `pause` seconds.
    pub(super) fn seconds(&self, period: f64, pause: f64) -> f64 {
        self.start.unwrap_or(READINGS * period + START_UNKNOWN) + pause
    }
}
