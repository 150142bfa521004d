//! What one consumer can do.
//!
//! Only those who have more to do than they can show it. Between two commits, and after a rebalance, nothing is believed; the median
//! over consumers decides.

use std::time::Duration;

use super::average::{count, median};
use crate::lag::Moment;

/// The shortest time over which a capacity is measured.
const WINDOW: f64 = 30.0;
/// The same for the first measurement: a cold start needs one soon.
const FIRST_WINDOW: f64 = 20.0;
/// A consumer with this many seconds of work before it is saturated.
const SATURATED: f64 = 5.0;
/// The same at its present speed, while nothing better is known.
const SATURATED_FIRST: f64 = 10.0;
/// The weight of a new measurement.
const SHARE: f64 = 0.4;
/// The same where less than a quarter of the consumers were measured.
const SMALL_SHARE: f64 = 0.2;
const SMALL: f64 = 0.25;
/// A consumer this much faster than the estimate, without being saturated, shows that the estimate is too low.
const FASTER: f64 = 1.1;
/// A capacity below this share of the best known one may be one of a bad hour.
const RECOVERED: f64 = 0.98;
/// A bad hour is doubted after this long without lag; twice as long after each time that it was found true.
const RECOVER_AFTER: Duration = Duration::from_secs(600);
/// How often that doubles at most.
const DOUBLINGS: u32 = 4;
/// How much better it is then taken to be.
const RECOVERY: f64 = 1.25;
/// A measurement below this share of what was hoped for is a recovery that failed.
const FAILED: f64 = 0.9;
/// The best known capacity is forgotten by half in this time.
const HALF_LIFE: f64 = 86_400.0;
/// Longer windows are for groups of which commits are rare.
const COMMITS_IN_WINDOW: f64 = 3.0;

/// What is known of the capacity of one consumer.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Capacity {
    estimate: Option<Estimate>,
    failed_recoveries: u32,
    /// When each saturated consumer's window began.
    windows: Vec<Option<Moment>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    per_second: f64,
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
    /// Whether the rates of the ring are of undisturbed work, over a long enough time.
    pub(super) rates_hold: bool,
    /// Since when nothing is behind.
    pub(super) caught_up_since: Option<Moment>,
}

/// What a reading told of the windows.
pub(super) struct Measured {
    /// Of these consumers a window begins at this reading.
    pub(super) begun: Vec<usize>,
    /// How many consumers have more to do than they can.
    pub(super) saturated: usize,
}

impl Capacity {
    /// What one consumer can do in a second, once measured.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.per_second)
    }

    /// When it was measured last.
    pub(super) fn measured_at(&self) -> Option<Moment> {
        self.estimate.map(|estimate| estimate.measured_at)
    }

    /// Windows begin anew: whoever owns what has changed.
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
        let Circumstances { now, stable_since, commits, .. } = *circumstances;
        let window = match self.estimate {
            Some(_) => WINDOW.max(COMMITS_IN_WINDOW * commits),
            None => FIRST_WINDOW.max(2.0 * commits),
        };
        self.windows.resize(workers.len(), None);
        let (mut rates, mut begun, mut saturated) = (Vec::new(), Vec::new(), 0);
        for (index, (worker, since)) in workers.iter().zip(&mut self.windows).enumerate() {
            let enough = match self.estimate {
                Some(estimate) => SATURATED * estimate.per_second,
                None => SATURATED_FIRST * worker.rate,
            };
            if worker.backlog <= enough.max(1.0) {
                *since = None;
                continue;
            }
            saturated += 1;
            let over = since.map(|since| now.since(since).as_secs_f64());
            match over {
                None if !worker.moved || now == stable_since => continue,
                Some(over) if over < window => continue,
                None => {}
                Some(over) => rates.push(worker.done / over),
            }
            *since = Some(now);
            begun.push(index);
        }
        rates.retain(|rate| *rate > 0.0);
        let few = count(rates.len()) < SMALL * count(workers.len());
        if let Some(rate) = median(&mut rates) {
            self.learn(rate, if few { SMALL_SHARE } else { SHARE }, now);
        }
        Measured { begun, saturated }
    }

    fn learn(&mut self, rate: f64, share: f64, now: Moment) {
        let Some(estimate) = &mut self.estimate else {
            self.estimate = Some(Estimate { per_second: rate, best: rate, measured_at: now, recovering: false });
            return;
        };
        if estimate.recovering && rate < FAILED * estimate.per_second {
            self.failed_recoveries = (self.failed_recoveries + 1).min(DOUBLINGS);
            estimate.recovering = false;
        }
        estimate.per_second += share * (rate - estimate.per_second);
        estimate.measured_at = now;
    }
}

impl Estimate {
    /// Without lag a low capacity cannot be measured to be wrong, and a slow hour would be paid for ever.
    fn recover(&mut self, circumstances: &Circumstances, failures: u32) {
        let Circumstances { now, elapsed, stable_since, caught_up_since, .. } = *circumstances;
        self.best = self.per_second.max(self.best * 0.5_f64.powf(elapsed / HALF_LIFE));
        let Some(caught_up) = caught_up_since else { return };
        let idle = now.since(caught_up.max(stable_since).max(self.measured_at));
        if self.per_second < RECOVERED * self.best && idle > RECOVER_AFTER * 2_u32.pow(failures) {
            self.per_second = self.best.min(RECOVERY * self.per_second);
            self.measured_at = now;
            self.recovering = true;
        }
    }
}
