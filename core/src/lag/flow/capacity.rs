//! The capacity of one consumer.
//!
//! Only saturated consumers show the capacity. Between two commits, and after a rebalance, no value is trusted; the median over
//! the consumers decides.

use std::time::Duration;

use super::DOUBLINGS;
use super::average::{SHARE, count, median};
use crate::lag::Moment;

/// The number of commits, or readings where those are rarer, over which a capacity is measured; the first measurement takes one.
const WINDOW: f64 = 3.0;
/// A consumer is saturated if its backlog exceeds its work of this share of a sampling period.
const SATURATED: f64 = 0.25;
/// A consumer that is this many times faster than the estimate without being saturated shows that the estimate is too low; a measurement
/// this many times below the raised estimate is a failed recovery.
const FASTER: f64 = 1.1;
/// A low estimate, possibly measured during a slowdown, is raised after this long without lag; the wait doubles each time it proves right.
const RECOVER_AFTER: Duration = Duration::from_secs(600);
/// The factor by which a recovery raises the estimate.
const RECOVERY: f64 = 1.25;
/// The half-life of the best known capacity, in seconds.
const HALF_LIFE: f64 = 86_400.0;

/// The capacity of one consumer, as far as it is known.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Capacity {
    estimate: Option<Estimate>,
    failed_recoveries: u32,
    /// The window of each saturated consumer.
    windows: Vec<Option<Window>>,
}

/// The present measurement window of a saturated consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    since: Moment,
    /// What the consumer did per second in the previous window.
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    per_second: f64,
    /// The number of commits of all consumers, or readings where those are rarer, over which the estimate was measured.
    commits: f64,
    best: f64,
    measured_at: Moment,
    /// The estimate was raised without a measurement and has not been measured since.
    recovering: bool,
}

/// The state of one consumer at a reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    /// Its backlog, without the apparent backlog of a caught-up consumer and without stuck partitions.
    pub(super) backlog: f64,
    /// The part of the backlog in partitions that have progressed since the window began.
    pub(super) progressing: f64,
    /// What the consumer did per second, over the ring.
    pub(super) rate: f64,
    /// What the consumer has done since its window began.
    pub(super) done: f64,
    /// Whether one of its positions moved at this reading.
    pub(super) moved: bool,
}

/// The time of a reading, and which of its values can be trusted.
pub(super) struct Circumstances {
    pub(super) now: Moment,
    /// Seconds since the previous reading.
    pub(super) elapsed: f64,
    pub(super) stable_since: Moment,
    /// Seconds between commits.
    pub(super) commits: f64,
    /// Seconds between readings.
    pub(super) period: f64,
    /// Whether the rates of the ring cover undisturbed work over a long enough time.
    pub(super) rates_hold: bool,
    /// The time since which no consumer is saturated.
    pub(super) quiet_since: Option<Moment>,
}

/// What a reading shows of the measurement windows.
pub(super) struct Measured {
    /// Whether a window begins at this reading, for each consumer.
    pub(super) begun: Vec<bool>,
    /// The number of consumers with more work than they can do.
    pub(super) saturated: usize,
}

impl Capacity {
    /// The capacity of one consumer per second, once measured.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.per_second)
    }

    /// How much of a full measurement, over enough commits, is complete: between 0 and 1.
    pub(super) fn certainty(&self) -> f64 {
        self.estimate.map_or(0.0, |estimate| estimate.certainty())
    }

    /// When the capacity was last measured.
    pub(super) fn measured_at(&self) -> Option<Moment> {
        self.estimate.map(|estimate| estimate.measured_at)
    }

    /// What a saturated consumer did per second in its last window.
    pub(super) fn saturated_rate(&self, consumer: usize) -> Option<f64> {
        self.windows.get(consumer)?.as_ref()?.rate.filter(|rate| *rate > 0.0)
    }

    /// Restarts the windows, because partitions have other owners.
    pub(super) fn rebalanced(&mut self) {
        self.windows.clear();
    }

    /// Adds a reading and updates the estimate.
    pub(super) fn add(&mut self, workers: &[Worker], circumstances: &Circumstances) -> Measured {
        let measured = self.measure(workers, circumstances);
        if let Some(estimate) = &mut self.estimate {
            let best = workers.iter().map(|worker| worker.rate).fold(0.0, f64::max);
            if circumstances.rates_hold && best > FASTER * estimate.per_second {
                estimate.per_second += 0.5 * (best - estimate.per_second);
            }
            estimate.recover(circumstances, self.failed_recoveries);
        }
        measured
    }

    fn measure(&mut self, workers: &[Worker], circumstances: &Circumstances) -> Measured {
        let Circumstances { now, stable_since, commits, period, .. } = *circumstances;
        let apart = if self.estimate.is_some() { WINDOW } else { 1.0 };
        let window = commits.max(period) * apart;
        self.windows.resize(workers.len(), None);
        let (mut rates, mut begun, mut saturated) = (Vec::new(), vec![false; workers.len()], 0);
        for ((worker, measured), begins) in workers.iter().zip(&mut self.windows).zip(&mut begun) {
            let enough = match self.estimate {
                Some(estimate) => estimate.per_second,
                None => worker.rate,
            } * SATURATED
                * period;
            if worker.backlog <= enough.max(1.0) {
                *measured = None;
                continue;
            }
            saturated += 1;
            let over = measured.map(|window| now.since(window.since).as_secs_f64());
            let rate = match over {
                None if !worker.moved || now == stable_since => continue,
                Some(over) if over < window => continue,
                // partitions without progress are not work that kept the consumer busy
                Some(over) if worker.progressing > enough.max(1.0) => Some(worker.done / over),
                None | Some(_) => None,
            };
            rates.extend(rate);
            *measured = Some(Window { since: now, rate });
            *begins = true;
        }
        rates.retain(|rate| *rate > 0.0);
        if let Some(rate) = median(&mut rates) {
            // a measurement of some of the consumers has less weight than one of all
            self.learn(rate, apart, count(rates.len()) / count(workers.len()), now);
        }
        Measured { begun, saturated }
    }

    /// Learns a rate over this many commits of a part of the consumers.
    fn learn(&mut self, rate: f64, commits: f64, part: f64, now: Moment) {
        let new = commits * part;
        let Some(estimate) = &mut self.estimate else {
            let first = Estimate { per_second: rate, commits: new, best: 0.0, measured_at: now, recovering: false };
            self.estimate = Some(first);
            return;
        };
        if estimate.recovering && FASTER * rate < estimate.per_second {
            self.failed_recoveries = (self.failed_recoveries + 1).min(DOUBLINGS);
            estimate.recovering = false;
        }
        estimate.commits += new;
        estimate.per_second += (new / estimate.commits).max(SHARE * part) * (rate - estimate.per_second);
        estimate.measured_at = now;
    }
}

impl Estimate {
    fn certainty(&self) -> f64 {
        (self.commits / WINDOW).min(1.0)
    }

    /// Raises a low estimate: without lag it cannot be measured to be wrong, and one slow hour would cost consumers permanently.
    fn recover(&mut self, circumstances: &Circumstances, failures: u32) {
        let Circumstances { now, elapsed, quiet_since, .. } = *circumstances;
        if self.certainty() < 1.0 {
            return;
        }
        self.best = self.per_second.max(self.best * 0.5_f64.powf(elapsed / HALF_LIFE));
        let Some(quiet) = quiet_since else { return };
        let idle = now.since(quiet.max(self.measured_at));
        if self.per_second < self.best && idle > RECOVER_AFTER * 2_u32.pow(failures) {
            self.per_second = self.best.min(RECOVERY * self.per_second);
            self.measured_at = now;
            self.recovering = true;
        }
    }
}
