//! The memory of the law about its own decisions.

use std::time::Duration;

use super::arrivals::Arrivals;
use super::caution::Caution;
use super::counts::{fewer, useful_from};
use super::reaction::Reaction;
use super::{Rule, Unit};
use crate::lag::Moment;
use crate::lag::flow::DOUBLINGS;

/// The law does not return to a count that was too uneven for this long,
const FLOOR_HOLD: Duration = Duration::from_secs(3600);
/// unless arrivals have fallen below this share of their rate at that time.
const FLOOR_ARRIVALS: f64 = 0.9;
/// While the capacity is unknown, one count less is tried after this long without lag; the wait doubles after each failure.
const PROBE_EVERY: Duration = Duration::from_secs(300);

/// The memory of the law for one policy on one source. It advances once per reading, never with a call.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Memory {
    /// The unit of the arrivals.
    unit: Option<Unit>,
    pub(super) arrivals: Arrivals,
    pub(super) reaction: Reaction,
    pub(super) caution: Caution,
    floor: Option<Floor>,
    probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Floor {
    consumers: usize,
    arrivals: f64,
    since: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct Probe {
    failures: u32,
    tried: Option<usize>,
}

impl Memory {
    /// The memory for a flow in `unit`: an application may show throughput only after a while, and rates in another unit do not apply.
    pub(super) fn counted_in(&self, unit: Unit) -> Self {
        if self.unit == Some(unit) {
            return self.clone();
        }
        let (reaction, caution) = (self.reaction, self.caution.clone());
        Self { unit: Some(unit), reaction, caution, ..Self::default() }
    }

    /// Records that at this count and these arrivals the consumers' shares were too uneven.
    pub(super) const fn uneven_at(&mut self, consumers: usize, arrivals: f64, now: Moment) {
        self.floor = Some(Floor { consumers, arrivals, since: now });
    }

    /// The lowest count that the law returns to.
    pub(super) fn floor(&mut self, arrivals: f64, places: usize, now: Moment) -> Option<usize> {
        self.floor = self
            .floor
            .filter(|floor| now.since(floor.since) <= FLOOR_HOLD && arrivals >= FLOOR_ARRIVALS * floor.arrivals);
        self.floor.map(|floor| useful_from(places, floor.consumers + 1))
    }

    /// Records that the capacity was measured with this many consumers.
    pub(super) fn saturated(&mut self, consumers: usize) {
        if self.probe.tried.is_some_and(|tried| consumers <= tried) {
            self.probe = Probe { failures: self.probe.failures + 1, tried: None };
        }
    }

    /// Holds while the capacity is unknown; when nothing has been behind for long, tries the next smaller useful count.
    pub(super) fn probe(
        &mut self,
        idle_for: Option<Duration>,
        consumers: usize,
        places: Option<usize>,
    ) -> (usize, Rule) {
        let hold = (consumers, Rule::CapacityUnknown);
        let Some(idle_for) = idle_for.filter(|_| consumers > 1) else { return hold };
        let wait = PROBE_EVERY * 2_u32.pow(self.probe.failures.min(DOUBLINGS));
        if idle_for < wait {
            return hold;
        }
        // a single queue has no useful counts: try a quarter fewer
        let tried = places.map_or((consumers * 3 / 4).max(1), |places| fewer(places, consumers));
        self.probe.tried = Some(tried);
        (tried, Rule::Probing)
    }
}
