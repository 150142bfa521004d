//! Which rate of arrivals is believed.
//!
//! One estimate follows changes larger than noise in both directions, whatever the number of consumers: an average over about the
//! objective, which starts again from the last two readings when those differ from it by more than noise. A single reading counts up to a
//! doubling of what the consumers can do: the retries after an outage arrive within seconds and are no rate.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use crate::lag::flow::Average;

/// The average is over the objective, but at least this many readings.
const READINGS: f64 = 3.0;
/// The mean of the newest two readings is compared with the average: two confirm each other.
const NEWEST: usize = 2;
/// Arrivals have changed when the two differ by this many standard deviations of such a mean.
const CHANGE: f64 = 3.0;
/// A jump counts as this many deviations for the noise: it is no noise.
const NOISE_OF_JUMP: f64 = 9.0;
/// The noise of a reading is averaged over this time, in seconds.
const NOISE_OVER: f64 = 600.0;
/// A single reading is believed up to this many times what the consumers can do.
const UNCONFIRMED: f64 = 2.0;
/// The weight of an average that starts again: as young as two readings are.
const YOUNG: f64 = 0.5;
/// A trend is a rise in each of this many steps of two readings: a single jump cannot make more than two.
const TREND_STEPS: usize = 3;
/// Readings that show a trend.
const REMEMBERED: usize = NEWEST * (TREND_STEPS + 1);

/// The arrivals of a group, as far as the law follows them.
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

/// The rate that is believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Believed {
    /// Records, or kilobytes, per second.
    pub(super) per_second: f64,
    pub(super) because: Because,
}

/// Why a rate of arrivals is believed; `Display` says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// Arrivals are steady: their average.
    Steady,
    /// Arrivals have risen: the newest readings.
    Risen,
    /// Arrivals have fallen: the newest readings.
    Fallen,
    /// Arrivals grow: what they will be when more consumers can help.
    Growing,
}

impl Arrivals {
    /// With what arrived per second in the `elapsed` seconds before a reading; the consumers can do `possible` per second.
    pub(super) fn add(&mut self, rate: f64, elapsed: f64, period: f64, max_age: f64, possible: Option<f64>) {
        self.period = period;
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(rate);
        if let Some(level) = self.level.get() {
            let difference = (rate - level).powi(2);
            let most = self.noise.get().map(|noise| NOISE_OF_JUMP * noise.max(level / elapsed));
            self.noise = self.noise.with(most.map_or(difference, |most| difference.min(most)), elapsed, NOISE_OVER);
        }
        self.level = self.level.with(rate, elapsed, max_age.max(READINGS * period));
        let level = self.level();
        let newest = self.newest.iter().rev().take(NEWEST);
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

    /// What arrives per second.
    pub(super) fn level(&self) -> f64 {
        self.level.get().unwrap_or(0.0)
    }

    /// What will arrive per second in `reaction` seconds, when more consumers can help; of it, `share` counts.
    pub(super) fn believed(&self, share: f64, reaction: f64) -> Believed {
        let level = self.level();
        let growth = self.growth();
        if growth > 0.0 {
            return Believed { per_second: share * (level + growth * reaction), because: Because::Growing };
        }
        Believed { per_second: share * level, because: self.changed.unwrap_or(Because::Steady) }
    }

    /// By how much arrivals rise per second: the least of the newest steps.
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
