//! How long the oldest unread record of a partition has waited, by the readings alone.
//!
//! The quotient of unread records and arrivals is an estimate: a partition that gets a record now and then has few arrivals, and one whose
//! arrivals have changed has others than on average. Two facts bound it, whatever the arrivals are: what a reading showed as read arrived
//! before that reading, and what is unread was there when the end last moved.

use crate::lag::Moment;

/// What the readings of a partition say of the time for which its oldest unread record has waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    /// An end that was read, and when.
    mark: (f64, Moment),
    /// Everything that arrived before this reading has been read; `None` until a position has passed an end.
    read_until: Option<Moment>,
    /// The reading at which the end last moved; `None` if it has not moved since the first one.
    grew_at: Option<Moment>,
}

/// The end and the position of a partition at a reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) end: f64,
    pub(super) position: f64,
}

impl Waiting {
    pub(super) fn new(reach: Reach, now: Moment) -> Self {
        Self { mark: (reach.end, now), read_until: (reach.position >= reach.end).then_some(now), grew_at: None }
    }

    /// Returns the same after a further reading. A position that was moved back makes older records unread again.
    pub(super) fn with(self, past: Reach, reach: Reach, now: Moment) -> Self {
        if reach.position < past.position {
            return Self { grew_at: self.grew_at, ..Self::new(reach, now) };
        }
        let grew_at = if reach.end > past.end { Some(now) } else { self.grew_at };
        let (marked, marked_at) = self.mark;
        if reach.position >= reach.end {
            Self { mark: (reach.end, now), read_until: Some(now), grew_at }
        } else if reach.position >= marked {
            Self { mark: (reach.end, now), read_until: Some(marked_at), grew_at }
        } else {
            Self { grew_at, ..self }
        }
    }

    /// Corrects an estimated age, in seconds.
    pub(super) fn bound(self, estimate: f64, now: Moment) -> f64 {
        let since = |then: Option<Moment>| then.map(|then| now.since(then).as_secs_f64());
        estimate.max(since(self.grew_at).unwrap_or(0.0)).min(since(self.read_until).unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    /// Follows ends and positions that are read every ten seconds, and returns the corrected estimate.
    fn bound(readings: &[(f64, f64)], estimate: f64) -> Duration {
        let reach = |(end, position): (f64, f64)| Reach { end, position };
        let mut waiting = Waiting::new(reach(readings[0]), at(0));
        for (number, pair) in (1..).zip(readings.windows(2)) {
            waiting = waiting.with(reach(pair[0]), reach(pair[1]), at(10 * number));
        }
        let now = at(10 * u64::try_from(readings.len() - 1).expect("few"));
        Duration::from_secs_f64(waiting.bound(estimate, now))
    }

    #[test]
    fn a_record_is_no_older_than_the_last_reading_without_unread_records() {
        assert_eq!(bound(&[(5.0, 5.0), (5.0, 5.0), (6.0, 5.0)], 60.0), Duration::from_secs(10));
        assert_eq!(bound(&[(5.0, 5.0), (6.0, 5.0), (6.0, 5.0), (7.0, 5.0)], 60.0), Duration::from_secs(30));
        assert_eq!(bound(&[(5.0, 5.0), (6.0, 5.0)], 3.0), Duration::from_secs(3), "a lower estimate stands");
    }

    #[test]
    fn a_consumer_that_is_always_behind_has_read_what_it_passed() {
        let readings = [(100.0, 50.0), (200.0, 90.0), (300.0, 120.0), (400.0, 150.0)];
        assert_eq!(
            bound(&readings, 99.0),
            Duration::from_secs(30),
            "the end of the first reading was passed at the third"
        );
        assert_eq!(bound(&readings[..2], 99.0), Duration::from_secs(99), "nothing was passed yet");
    }

    #[test]
    fn what_is_unread_is_at_least_as_old_as_the_last_arrival() {
        assert_eq!(bound(&[(0.0, 0.0), (9.0, 0.0), (9.0, 1.0), (9.0, 2.0)], 1.0), Duration::from_secs(20));
        assert_eq!(
            bound(&[(9.0, 0.0), (9.0, 1.0), (9.0, 2.0)], 1.0),
            Duration::from_secs(1),
            "nothing arrived since the first reading"
        );
    }

    #[test]
    fn a_position_that_is_moved_back_makes_older_records_unread() {
        assert_eq!(bound(&[(100.0, 100.0), (100.0, 100.0), (101.0, 20.0)], 500.0), Duration::from_secs(500));
    }
}
