//! What one consumer can do.
//!
//! Only those who have more to do than they can show it. Between two commits, and after a rebalance, nothing is believed; the median
//! over consumers decides.

use std::time::Duration;

use super::DOUBLINGS;
use super::average::{SHARE, count, median};
use crate::lag::Moment;

/// A capacity is measured over this many commits, or readings where those are rarer; the first one over one of them.
const WINDOW: f64 = 3.0;
/// A consumer is saturated that has the work of this share of a sampling period before it.
const SATURATED: f64 = 0.25;
/// A consumer that is this many times faster than the estimate, without being saturated, shows that the estimate is too low; a measurement
/// this many times below what was hoped for is a recovery that failed.
const FASTER: f64 = 1.1;
/// A bad hour is doubted after this long without lag; twice as long after each time that it was found true.
const RECOVER_AFTER: Duration = Duration::from_secs(600);
/// How much better it is then taken to be.
const RECOVERY: f64 = 1.25;
/// The best known capacity is forgotten by half in this time.
const HALF_LIFE: f64 = 86_400.0;

/// What is known of the capacity of one consumer.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Capacity {
    estimate: Option<Estimate>,
    failed_recoveries: u32,
    /// Of each saturated consumer.
    windows: Vec<Option<Window>>,
}

/// The present window of a saturated consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    since: Moment,
    /// What it did per second in the window before.
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    per_second: f64,
    /// Over how many commits of all consumers it was measured, or readings where those are rarer.
    commits: f64,
    best: f64,
    measured_at: Moment,
    /// It was raised on trust, and has not been measured since.
    recovering: bool,
}

/// One consumer at a reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    /// Its backlog, without what it only seems to be behind and without partitions that are stuck.
    pub(super) backlog: f64,
    /// The part of it in partitions that have progressed since its window began.
    pub(super) progressing: f64,
    /// What it did in a second, over the ring.
    pub(super) rate: f64,
    /// What it has done since its window began.
    pub(super) done: f64,
    /// Whether a position of it has moved just now.
    pub(super) moved: bool,
}

/// When it is, and what may be believed.
pub(super) struct Circumstances {
    pub(super) now: Moment,
    /// Since the reading before.
    pub(super) elapsed: f64,
    pub(super) stable_since: Moment,
    /// Seconds between commits.
    pub(super) commits: f64,
    /// Seconds between readings.
    pub(super) period: f64,
    /// Whether the rates of the ring are of undisturbed work, over a long enough time.
    pub(super) rates_hold: bool,
    /// Since when no consumer is saturated.
    pub(super) quiet_since: Option<Moment>,
}

/// What a reading shows of the windows.
pub(super) struct Measured {
    /// Of these consumers a window begins at this reading.
    pub(super) begun: Vec<usize>,
    /// The consumers that have more to do than they can.
    pub(super) saturated: usize,
}

impl Capacity {
    /// What one consumer can do in a second, once measured.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.per_second)
    }

    /// The share of a measurement over enough commits that there is so far, between 0 and 1.
    pub(super) fn certainty(&self) -> f64 {
        self.estimate.map_or(0.0, |estimate| estimate.certainty())
    }

    /// When it was measured last.
    pub(super) fn measured_at(&self) -> Option<Moment> {
        self.estimate.map(|estimate| estimate.measured_at)
    }

    /// What a saturated consumer did per second in its last window.
    pub(super) fn saturated_rate(&self, consumer: usize) -> Option<f64> {
        self.windows.get(consumer)?.as_ref()?.rate.filter(|rate| *rate > 0.0)
    }

    /// Windows begin again: partitions have other owners.
    pub(super) fn rebalanced(&mut self) {
        self.windows.clear();
    }

    /// Adds a reading.
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
        let (mut rates, mut begun, mut saturated) = (Vec::new(), Vec::new(), 0);
        for (index, (worker, measured)) in workers.iter().zip(&mut self.windows).enumerate() {
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
                // partitions that stand still are no work that a consumer was busy with
                Some(over) if worker.progressing > enough.max(1.0) => Some(worker.done / over),
                None | Some(_) => None,
            };
            rates.extend(rate);
            *measured = Some(Window { since: now, rate });
            begun.push(index);
        }
        rates.retain(|rate| *rate > 0.0);
        if let Some(rate) = median(&mut rates) {
            // of some of the consumers it counts less than of all
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

    /// Without lag a low capacity cannot be measured to be wrong, and a slow hour would be paid for ever.
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
