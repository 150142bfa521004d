//! The course of the arrivals: a day of a few minutes, again and again.

use std::time::Duration;

/// A part of the day: its length in seconds of a cluster, and the rate that it ends with, in records per second.
struct Part {
    seconds: u64,
    rate: f64,
    night: bool,
}

const fn day(seconds: u64, rate: f64) -> Part {
    Part { seconds, rate, night: false }
}

const NIGHT_RATE: f64 = 8.0;

/// A morning that rises, a short plateau, a rush hour, closing time, and a night with hardly any records. The night is longer than ten times the
/// time in which new pods help: after a shorter one it would be right to keep the pods of the day.
const PARTS: [Part; 6] = [
    day(225, 220.0),
    day(50, 220.0),
    day(100, 340.0),
    day(200, 340.0),
    day(40, NIGHT_RATE),
    Part { seconds: 750, rate: NIGHT_RATE, night: true },
];

/// The arrival rate over time, for periods that are this many times shorter than in a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    speed: u8,
}

impl Course {
    pub(super) const fn new(speed: u8) -> Self {
        Self { speed }
    }

    /// Returns the period after which the course repeats.
    pub(super) fn cycle(self) -> Duration {
        PARTS.iter().map(|part| Duration::from_secs(part.seconds)).sum::<Duration>() / u32::from(self.speed)
    }

    /// Returns the records that are planned for a time of this length before `at`.
    pub(super) fn planned(self, at: Duration, length: Duration) -> f64 {
        let middle = at.saturating_sub(length / 2);
        self.rate(middle) * length.as_secs_f64()
    }

    /// Returns the planned arrival rate in records per second.
    pub(super) fn rate(self, at: Duration) -> f64 {
        let (part, before, share) = self.part(at);
        before + (part.rate - before) * share
    }

    /// Returns whether it is night.
    pub(super) fn is_night(self, at: Duration) -> bool {
        self.part(at).0.night
    }

    /// Returns the part of the day, the rate before it, and the share of it that is over.
    fn part(self, at: Duration) -> (&'static Part, f64, f64) {
        let mut left = (at.as_secs_f64() % self.cycle().as_secs_f64()) * f64::from(self.speed);
        let mut before = NIGHT_RATE;
        for part in &PARTS {
            let length = Duration::from_secs(part.seconds).as_secs_f64();
            if left < length {
                return (part, before, left / length);
            }
            left -= length;
            before = part.rate;
        }
        (&PARTS[PARTS.len() - 1], NIGHT_RATE, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_rises_falls_has_a_night_and_begins_again() {
        let course = Course::new(5);
        let at = |seconds| course.rate(Duration::from_secs(seconds));
        assert_eq!(course.cycle(), Duration::from_secs(273));
        assert!(at(0) < at(10) && at(10) < at(30), "it rises in the morning");
        assert!((at(50) - 220.0).abs() < 1e-9 && (at(80) - 340.0).abs() < 1e-9 && (at(200) - NIGHT_RATE).abs() < 1e-9);
        assert!(course.is_night(Duration::from_secs(200)) && !course.is_night(Duration::from_secs(80)));
        assert!((at(303) - at(30)).abs() < 1e-9, "the next day is the same");
        assert!((Course::new(1).rate(Duration::from_secs(250)) - at(50)).abs() < 1e-9, "five times slower");
    }
}
