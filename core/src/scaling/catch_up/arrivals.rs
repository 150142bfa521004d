//! Estimates the rate of arrivals.
//!
//! One estimate follows changes larger than noise in both directions, whatever the number of consumers: an average over about the
//! objective, which restarts from the last two readings when those differ from it by more than noise. A single reading counts up to a
//! doubling of the consumers' capacity: the retries after an outage arrive within seconds and are not a rate.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use crate::lag::flow::Average;

/// The average covers the objective, but at least this many readings.
const READINGS: f64 = 3.0;
/// The mean of the newest two readings is compared with the average: two confirm each other.
const NEWEST: usize = 2;
/// Arrivals have changed when the two differ by this many standard deviations of a mean of that many readings.
const CHANGE: f64 = 3.0;
/// The noise of a reading is averaged over this time, in seconds.
const NOISE_OVER: f64 = 600.0;
/// A single reading counts up to this many times the consumers' capacity.
const UNCONFIRMED: f64 = 2.0;
/// The weight of an average that restarts: as young as two readings are.
const YOUNG: f64 = 0.5;
/// Readings that show a trend: a rise in each of three steps of two readings. A single jump cannot make more than two.
const REMEMBERED: usize = 4 * NEWEST;

/// The arrivals of a group, as the law tracks them.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Arrivals {
    level: Average,
    /// The squared difference of a reading from the level.
    noise: Average,
    /// The rates of the newest readings, oldest first.
    newest: VecDeque<f64>,
    /// Seconds between readings.
    period: f64,
    changed: Option<Because>,
}

/// The rate of arrivals that the law uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Believed {
    /// Records, or kilobytes, per second.
    pub(super) per_second: f64,
    pub(super) because: Because,
}

/// The reason for a rate of arrivals; `Display` formats it for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// Arrivals are steady: their average is used.
    Steady,
    /// Arrivals have risen: the newest readings are used.
    Risen,
    /// Arrivals have fallen: the newest readings are used.
    Fallen,
    /// Arrivals grow: the rate at the time when more consumers can help is used.
    Growing,
}

impl Arrivals {
    /// Adds the arrivals per second in the `elapsed` seconds before a reading; the consumers can do `possible` per second.
    pub(super) fn add(&mut self, rate: f64, elapsed: f64, period: f64, max_age: f64, possible: Option<f64>) {
        self.period = period;
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(rate);
        if let Some(level) = self.level.get() {
            let difference = (rate - level).powi(2);
            // a change is not noise
            let most = self.noise.get().map(|noise| CHANGE * CHANGE * noise.max(level / elapsed));
            self.noise = self.noise.with(most.map_or(difference, |most| difference.min(most)), elapsed, NOISE_OVER);
        }
        self.level = self.level.with(rate, elapsed, max_age.max(READINGS * period));
        let level = self.level();
        // a change may have happened in the middle of the reading that showed it
        let newest = self.newest.iter().rev().take(if self.changed.is_some() { 1 } else { NEWEST });
        let number = crate::lag::flow::count(newest.len());
        let mut mean = newest.sum::<f64>() / number;
        let deviation = (self.noise.get().unwrap_or(0.0).max(level / elapsed) / number).sqrt();
        if let Some(possible) = possible.filter(|_| rate - level > CHANGE * deviation * number.sqrt()) {
            mean = mean.max(rate.min(UNCONFIRMED * possible));
        }
        self.changed = None;
        if (mean - level).abs() > CHANGE * deviation {
            self.level = Average::begun(mean, YOUNG);
            self.changed = Some(if mean > level { Because::Risen } else { Because::Fallen });
        }
    }

    /// Sets a rate of arrivals that is known without an average.
    pub(super) fn set(&mut self, rate: f64) {
        *self = Self { level: Average::begun(rate, 1.0), ..Self::default() };
    }

    /// The present arrivals per second.
    pub(super) fn level(&self) -> f64 {
        self.level.get().unwrap_or(0.0)
    }

    /// The expected arrivals per second in `reaction` seconds, when more consumers can help; `share` of them counts.
    pub(super) fn believed(&self, share: f64, reaction: f64) -> Believed {
        let level = self.level();
        let growth = self.growth();
        if growth > 0.0 {
            return Believed { per_second: share * (level + growth * reaction), because: Because::Growing };
        }
        Believed { per_second: share * level, because: self.changed.unwrap_or(Because::Steady) }
    }

    /// The growth of arrivals per second: the smallest of the newest steps.
    fn growth(&self) -> f64 {
        if self.newest.len() < REMEMBERED {
            return 0.0;
        }
        let number = crate::lag::flow::count(NEWEST);
        let readings: Vec<_> = self.newest.iter().copied().collect();
        let means: Vec<f64> = readings.chunks(NEWEST).map(|readings| readings.iter().sum::<f64>() / number).collect();
        let rises = means.iter().zip(means.iter().skip(1)).map(|(before, after)| after - before);
        rises.fold(f64::INFINITY, f64::min).max(0.0) / (number * self.period)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steady => "steady",
            Self::Risen => "risen within the last readings",
            Self::Fallen => "fallen within the last readings",
            Self::Growing => "growing until more consumers can help",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: f64 = 5.0;
    const MAX_AGE: f64 = 60.0;

    /// Reads these rates, where `possible` is the capacity of the consumers per second.
    fn read(arrivals: &mut Arrivals, rates: &[f64], possible: Option<f64>) {
        for rate in rates {
            arrivals.add(*rate, PERIOD, PERIOD, MAX_AGE, possible);
        }
    }

    fn steady(rate: f64, possible: Option<f64>) -> Arrivals {
        let mut arrivals = Arrivals::default();
        read(&mut arrivals, &[rate; 30], possible);
        arrivals
    }

    /// L2: the newest readings counted only while they exceeded the capacity of the present consumers.
    #[test]
    fn a_step_is_believed_within_two_readings_in_both_directions_whatever_the_consumers_can_do() {
        for possible in [None, Some(50.0), Some(5000.0)] {
            let mut arrivals = steady(40.0, possible);
            read(&mut arrivals, &[400.0; 2], possible);
            let risen = arrivals.believed(1.0, 0.0);
            assert!(risen.per_second > 390.0, "{possible:?}: {risen:?}");
            read(&mut arrivals, &[400.0; 20], possible);
            assert_eq!(arrivals.believed(1.0, 0.0).because, Because::Steady);
            read(&mut arrivals, &[40.0; 2], possible);
            let fallen = arrivals.believed(1.0, 0.0);
            assert!(fallen.per_second < 50.0 && fallen.because == Because::Fallen, "{possible:?}: {fallen:?}");
        }
    }

    #[test]
    fn a_step_in_the_middle_of_a_reading_is_believed_whole_at_the_next() {
        for (from, middle, to) in [(40.0, 220.0, 400.0), (400.0, 220.0, 40.0)] {
            let mut arrivals = steady(from, None);
            read(&mut arrivals, &[middle, to], None);
            let believed = arrivals.believed(1.0, 0.0).per_second;
            assert!((believed - to).abs() < 1.0, "{believed} instead of {to}");
        }
    }

    /// L7: the retries of producers after an outage counted as arrivals for two minutes.
    #[test]
    fn the_retries_after_an_outage_are_no_rate() {
        let possible = Some(600.0);
        let mut arrivals = steady(400.0, possible);
        read(&mut arrivals, &[0.0, 0.0, 0.0, 0.0], possible);
        // 13,900 records within one reading
        read(&mut arrivals, &[2780.0], possible);
        let burst = arrivals.believed(1.0, 20.0).per_second;
        assert!(burst <= 1390.0, "{burst}: the mean of two readings");
        read(&mut arrivals, &[400.0; 2], possible);
        let after = arrivals.believed(1.0, 20.0).per_second;
        assert!((350.0..=480.0).contains(&after), "{after}");
    }

    #[test]
    fn noise_does_not_move_what_is_believed() {
        let mut arrivals = steady(100.0, None);
        for turn in 0..60_u32 {
            let rate = if turn.is_multiple_of(2) { 112.0 } else { 88.0 };
            read(&mut arrivals, &[rate], None);
            let believed = arrivals.believed(1.0, 20.0);
            assert!((93.0..=107.0).contains(&believed.per_second), "{believed:?}");
        }
    }

    #[test]
    fn a_trend_counts_until_more_consumers_can_help() {
        let mut arrivals = steady(100.0, None);
        read(&mut arrivals, &[110.0, 120.0, 130.0, 140.0, 150.0, 160.0, 170.0, 180.0], None);
        let now = arrivals.believed(1.0, 0.0).per_second;
        let soon = arrivals.believed(1.0, 20.0);
        // 10 more per reading of 5 s
        assert!((soon.per_second - now - 40.0).abs() < 1e-9 && soon.because == Because::Growing, "{now} {soon:?}");
    }
}
