//! What is counted, once per second and for both sides in the same second.

use std::collections::VecDeque;
use std::time::Duration;

use super::verdict::Numbers;

/// The length of the course that is kept for the charts.
pub(super) const COURSE: Duration = Duration::from_secs(360);
/// A second in which at least this share of the planned records arrived was no stall.
const IN_TIME: f64 = 0.75;
/// Planned records below this number per second show nothing about the producer.
const FEW: f64 = 20.0;

/// The measurements of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Second {
    /// The time since the start.
    pub(super) at: Duration,
    /// The time since the last measurement.
    pub(super) lasted: Duration,
    /// The records that arrived.
    pub(super) arrived: u64,
    /// The records that should have arrived.
    pub(super) planned: f64,
    /// Whether the producer's records are late for a reason that both sides share, such as a paused broker.
    pub(super) excused: bool,
    /// Whether the process has just been woken.
    pub(super) woken: bool,
    /// The pods that the arrivals need.
    pub(super) needed: f64,
    pub(super) night: bool,
    pub(super) sides: [Measurement; 2],
}

/// The measurements of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measurement {
    /// The number of unread records.
    pub(super) unread: u64,
    /// The age of the oldest unread record.
    pub(super) age: Duration,
    /// The number of pods, starting ones too.
    pub(super) pods: u32,
    /// The number of pods that have started.
    pub(super) ready: u32,
}

/// The totals of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    /// The busy time in which a record waited longer than the promise.
    pub(super) over: Duration,
    /// The sum of the lifetimes of all pods.
    pub(super) pod_time: Duration,
    /// The longest wait of a record, and when it was.
    pub(super) longest: (Duration, Duration),
    pub(super) scale_events: u32,
    /// The unread records that retention deleted.
    pub(super) lost: u64,
}

/// Everything that was counted since the start.
#[derive(Clone, Debug)]
pub(super) struct Score {
    promise: Duration,
    /// The records that a pod can process per second.
    capacity: f64,
    /// The time with traffic that counts.
    pub(super) busy: Duration,
    /// The time that counts.
    pub(super) counted: Duration,
    /// The time that counts for neither side.
    pub(super) stalled: Duration,
    /// Whether the last second counts for neither side, with its arrivals and the planned ones per second.
    pub(super) stall: Option<(f64, f64)>,
    pub(super) totals: [Totals; 2],
    /// The newest measurements.
    pub(super) now: Second,
    pub(super) course: VecDeque<Second>,
}

impl Second {
    fn per_second(&self, records: f64) -> f64 {
        records / self.lasted.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns the arrivals and the planned arrivals per second, where the producer or the whole process did not keep up.
    fn stall(&self) -> Option<(f64, f64)> {
        let (arrived, planned) = (self.per_second(to_float(self.arrived)), self.per_second(self.planned));
        let late = planned >= FEW && arrived < IN_TIME * planned && !self.excused;
        (late || self.woken).then_some((arrived, planned))
    }
}

impl Score {
    pub(super) fn new(promise: Duration, capacity: u32) -> Self {
        Self {
            promise,
            capacity: f64::from(capacity),
            busy: Duration::ZERO,
            counted: Duration::ZERO,
            stalled: Duration::ZERO,
            stall: None,
            totals: [Totals::default(); 2],
            now: Second::default(),
            course: VecDeque::new(),
        }
    }

    /// Adds one second.
    pub(super) fn add(&mut self, second: Second) {
        self.now = second;
        self.course.push_back(second);
        while self.course.front().is_some_and(|oldest| second.at.saturating_sub(oldest.at) > COURSE) {
            self.course.pop_front();
        }
        self.stall = second.stall();
        if self.stall.is_some() {
            self.stalled += second.lasted;
            return;
        }
        self.counted += second.lasted;
        let busy = self.is_busy(&second);
        if busy {
            self.busy += second.lasted;
        }
        for (totals, side) in self.totals.iter_mut().zip(second.sides) {
            totals.pod_time += second.lasted * side.pods;
            if side.age > totals.longest.0 {
                totals.longest = (side.age, second.at);
            }
            if busy && side.age > self.promise {
                totals.over += second.lasted;
            }
        }
    }

    /// Whether there is traffic: a pod's work of a second arrived or waits, or a record waits longer than the promise.
    fn is_busy(&self, second: &Second) -> bool {
        let waits = |side: &Measurement| to_float(side.unread) >= self.capacity || side.age > self.promise;
        second.per_second(to_float(second.arrived)) >= self.capacity || second.sides.iter().any(waits)
    }

    /// Returns the numbers of a side that decide.
    pub(super) fn numbers(&self, side: usize) -> Numbers {
        let totals = &self.totals[side];
        let over = totals.over.as_secs_f64() / self.busy.as_secs_f64().max(f64::MIN_POSITIVE);
        Numbers { kept: 1.0 - over, pod_minutes: totals.pod_time.as_secs_f64() / 60.0 }
    }

    /// Returns the mean number of pods of a side.
    pub(super) fn mean_pods(&self, side: usize) -> f64 {
        self.totals[side].pod_time.as_secs_f64() / self.counted.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand records")]
pub(super) const fn to_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PROMISE: Duration = Duration::from_secs(12);

    /// A second with 200 records, in which the oldest record of each side has this age.
    fn second(at: u32, ages: [u32; 2]) -> Second {
        let side = |age: u32| Measurement { unread: 10, age: SECOND * age, pods: 6, ready: 5 };
        let (arrived, planned) = (200, 200.0);
        let sides = ages.map(side);
        Second { at: SECOND * at, lasted: SECOND, arrived, planned, sides, ..Second::default() }
    }

    fn score(seconds: impl IntoIterator<Item = Second>) -> Score {
        let mut score = Score::new(PROMISE, 40);
        seconds.into_iter().for_each(|second| score.add(second));
        score
    }

    #[test]
    fn the_promise_is_broken_in_each_second_in_which_a_record_waits_longer() {
        let score = score((1..=100).map(|at| second(at, [if at % 4 == 0 { 13 } else { 12 }, 3])));
        assert_eq!((score.totals[0].over, score.totals[1].over), (SECOND * 25, Duration::ZERO));
        assert!((score.numbers(0).kept - 0.75).abs() < 1e-9 && (score.numbers(1).kept - 1.0).abs() < 1e-9);
        assert_eq!(score.totals[0].longest, (SECOND * 13, SECOND * 4));
    }

    #[test]
    fn pods_cost_from_their_creation_on() {
        let score = score((1..=90).map(|at| second(at, [1, 1])));
        assert!((score.numbers(0).pod_minutes - 9.0).abs() < 1e-9, "six pods, five of them ready, for 90 s");
        assert!((score.mean_pods(1) - 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_night_is_no_time_with_traffic_unless_a_record_waits_too_long() {
        let night = |at, ages| Second { arrived: 8, planned: 8.0, ..second(at, ages) };
        let quiet = score((1..=50).map(|at| night(at, [1, 1])));
        assert_eq!((quiet.busy, quiet.counted), (Duration::ZERO, SECOND * 50));
        let late = score((1..=50).map(|at| night(at, [1, 20])));
        assert_eq!((late.busy, late.totals[1].over), (SECOND * 50, SECOND * 50));
    }

    #[test]
    fn seconds_without_the_planned_records_count_for_neither_side() {
        let stuck = |at| Second { arrived: 100, ..second(at, [20, 1]) };
        let mut score = score((1..=10).map(stuck));
        assert_eq!((score.stalled, score.counted, score.busy), (SECOND * 10, Duration::ZERO, Duration::ZERO));
        assert_eq!(score.stall, Some((100.0, 200.0)));
        assert_eq!((score.totals[0].over, score.totals[1].pod_time), (Duration::ZERO, Duration::ZERO));
        score.add(Second { woken: true, ..second(11, [20, 1]) });
        assert_eq!(score.stalled, SECOND * 11, "the process has just been woken");
        score.add(Second { excused: true, ..stuck(12) });
        assert_eq!((score.stall, score.counted), (None, SECOND), "a paused broker is no stall");
        score.add(second(13, [1, 1]));
        assert_eq!(score.counted, SECOND * 2, "it goes on by itself");
    }

    #[test]
    fn the_course_ends_somewhere() {
        let score = score((1..=1000).map(|at| second(at, [1, 1])));
        assert_eq!(score.course.len(), 361);
    }
}
