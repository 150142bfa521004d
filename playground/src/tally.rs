//! The totals of a world, and its course over the last cycles.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// The length of the course.
pub(super) const COURSE: Duration = Duration::from_secs(360);
/// The interval between its points.
pub(super) const STEP: Duration = Duration::from_secs(1);

/// The totals of one world.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    /// The time during which the oldest unread record was older than the objective.
    #[serde(serialize_with = "seconds")]
    pub(super) over_objective: Duration,
    /// The sum of the lifetimes of all replicas.
    #[serde(serialize_with = "seconds")]
    pub(super) consumer_time: Duration,
    /// The number of changes of the replica count.
    pub(super) scale_events: u32,
    /// The greatest age of an unread record.
    #[serde(serialize_with = "seconds")]
    pub(super) worst_age: Duration,
    #[serde(serialize_with = "seconds")]
    pub(super) watched: Duration,
    /// The newest point of the course.
    pub(super) now: Point,
    #[serde(skip)]
    pub(super) course: VecDeque<Point>,
    #[serde(skip)]
    until_point: Duration,
}

/// The state of a world at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Point {
    /// The time since the start.
    #[serde(serialize_with = "seconds")]
    pub(super) at: Duration,
    /// The number of records that ever arrived.
    pub(super) arrived: u64,
    /// The number of unread records.
    pub(super) behind: u64,
    /// The age of the oldest unread record.
    #[serde(serialize_with = "seconds")]
    pub(super) age: Duration,
    pub(super) replicas: u32,
    /// The number of replicas that have started.
    pub(super) ready: u32,
}

impl Tally {
    /// Adds a state that has lasted for `lasted`.
    pub(super) fn count(&mut self, lasted: Duration, objective: Duration, point: Point) {
        self.watched += lasted;
        self.consumer_time += lasted * point.replicas;
        self.worst_age = self.worst_age.max(point.age);
        if point.age > objective {
            self.over_objective += lasted;
        }
        self.now = point;
        self.until_point = self.until_point.saturating_sub(lasted);
        if self.until_point.is_zero() {
            self.until_point = STEP;
            self.course.push_back(point);
            while self.course.front().is_some_and(|oldest| point.at - oldest.at > COURSE) {
                self.course.pop_front();
            }
        }
    }

    pub(super) fn over_share(&self) -> f64 {
        self.over_objective.as_secs_f64() / self.watched.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn mean_replicas(&self) -> f64 {
        self.consumer_time.as_secs_f64() / self.watched.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn times_count_up_and_the_course_ends_somewhere() {
        let mut tally = Tally::default();
        for at in 1..=1000 {
            let age = if at % 4 == 0 { SECOND * 9 } else { SECOND };
            tally.count(SECOND / 2, SECOND * 5, Point { at: SECOND / 2 * at, age, replicas: 3, ..Point::default() });
        }
        assert_eq!((tally.over_objective, tally.consumer_time), (SECOND * 125, SECOND * 1500));
        assert_eq!((tally.worst_age, tally.watched), (SECOND * 9, SECOND * 500));
        assert!((tally.over_share() - 0.25).abs() < 1e-9);
        assert_eq!(tally.course.len(), 361);
    }
}
