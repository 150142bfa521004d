//! The consumer capacity that each partition needs.
//!
//! More consumers help only after the reaction time R: until then partition p falls behind by (a - s) R, where a is its arrivals and s the
//! rate that its consumer gives it today. The backlog at that time is to be drained within the objective X, so that
//! `need(u) = max(a / u, (backlog + (a - s) R) / X)` records per second at utilization u.

use crate::lag::flow::{Demand, count};

/// The arrivals and the backlog of a partition, and the consumer that owns it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) arrivals: f64,
    pub(super) backlog: f64,
    pub(super) owner: Option<usize>,
}

/// The loads of all partitions on consumers with a capacity.
pub(super) struct Needs {
    pub(super) loads: Vec<Load>,
    /// What each partition receives from its consumer today, per second.
    served: Vec<f64>,
    /// The capacity of each consumer per second: the general one, or the lower rate of a saturated consumer.
    consumers: Vec<f64>,
    capacity: f64,
    /// The backlog is to be drained within this time, in seconds.
    drain: f64,
}

impl Load {
    /// Builds the loads where `level` arrives per second, and `growth` times as much when more consumers can help.
    pub(super) fn all(demands: &[Demand], level: f64, growth: f64) -> Vec<Self> {
        let sum: f64 = demands.iter().map(|demand| demand.arrivals).sum();
        let factor = if sum > 0.0 { level / sum } else { 0.0 };
        let load = |demand: &Demand| {
            let arrivals = factor * demand.arrivals;
            let backlog = (demand.unread - arrivals * demand.not_behind).max(0.0);
            Self { arrivals: growth * arrivals, backlog, owner: demand.owner }
        };
        demands.iter().map(load).collect()
    }

    /// Divides one queue: each consumer does the same part of the sum.
    pub(super) fn divided(loads: &[Self], consumers: usize) -> Vec<Self> {
        let part = |of: fn(&Self) -> f64| loads.iter().map(of).sum::<f64>() / count(consumers.max(1));
        let (arrivals, backlog) = (part(|load| load.arrivals), part(|load| load.backlog));
        (0..consumers.max(1)).map(|owner| Self { arrivals, backlog, owner: Some(owner) }).collect()
    }
}

impl Needs {
    /// Creates the needs for consumers with these capacities per second; a further consumer would have `capacity`.
    pub(super) fn new(loads: Vec<Load>, consumers: Vec<f64>, capacity: f64, drain: f64) -> Self {
        let mut needs = Self { loads, served: Vec::new(), consumers, capacity, drain };
        needs.served = needs.served_today();
        needs
    }

    /// The share of each partition in its consumer's work; the consumer's spare capacity goes to the backlog.
    fn served_today(&self) -> Vec<f64> {
        let (arrivals, backlogs) =
            (self.by_consumer(|_, load| load.arrivals), self.by_consumer(|_, load| load.backlog));
        let served = |load: &Load| {
            let of_consumer = load
                .owner
                .and_then(|owner| Some((*arrivals.get(owner)?, *backlogs.get(owner)?, *self.consumers.get(owner)?)));
            let Some((arrivals, backlog, capacity)) = of_consumer else { return 0.0 };
            if arrivals >= capacity {
                return load.arrivals * capacity / arrivals;
            }
            let spare = if backlog > 0.0 { load.backlog / backlog } else { 0.0 };
            load.arrivals + (capacity - arrivals) * spare
        };
        self.loads.iter().map(served).collect()
    }

    /// The needs at `utilization`, where more consumers can help in `reaction` seconds.
    pub(super) fn rising(&self, utilization: f64, reaction: f64) -> Vec<f64> {
        let need = |(load, served): (&Load, &f64)| {
            let behind = load.backlog + (load.arrivals - served) * reaction;
            (load.arrivals / utilization).max(behind / self.drain)
        };
        self.loads.iter().zip(&self.served).map(need).collect()
    }

    /// The needs at `utilization`, where the work stops for `pause` seconds.
    pub(super) fn falling(&self, utilization: f64, pause: f64) -> Vec<f64> {
        let need = |load: &Load| (load.arrivals / utilization).max((load.backlog + load.arrivals * pause) / self.drain);
        self.loads.iter().map(need).collect()
    }

    /// Seconds by which the oldest unread record of each load gets older in `reaction` seconds: negative where its consumer catches up, and 0
    /// where nothing arrives.
    pub(super) fn aging(&self, reaction: f64) -> impl Iterator<Item = f64> {
        self.loads.iter().zip(&self.served).map(move |(load, served)| match load.arrivals {
            arrivals if arrivals > 0.0 => (arrivals - served) * reaction / arrivals,
            _ => 0.0,
        })
    }

    /// Seconds until the slowest consumer has drained the backlog of those partitions that need less than one consumer.
    pub(super) fn drained_in(&self, needs: &[f64]) -> f64 {
        let possible = |index: usize| needs.get(index).is_some_and(|need| *need < self.capacity);
        let arrivals = self.by_consumer(|index, load| if possible(index) { load.arrivals } else { 0.0 });
        let backlogs = self.by_consumer(|index, load| if possible(index) { load.backlog } else { 0.0 });
        let seconds = |(backlog, arrivals): (&f64, &f64)| backlog / (self.capacity - arrivals).max(1e-9);
        backlogs.iter().zip(&arrivals).map(seconds).fold(0.0, f64::max)
    }

    /// The sum over each consumer's partitions, where `of` receives the partition's index.
    pub(super) fn by_consumer(&self, of: impl Fn(usize, &Load) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.consumers.len()];
        for (index, load) in self.loads.iter().enumerate() {
            if let Some(sum) = load.owner.and_then(|owner| sums.get_mut(owner)) {
                *sum += of(index, load);
            }
        }
        sums
    }

    /// The capacity of each consumer per second.
    pub(super) fn consumers(&self) -> &[f64] {
        &self.consumers
    }

    /// The capacity of a further consumer per second.
    pub(super) const fn capacity(&self) -> f64 {
        self.capacity
    }

    /// The total of arrivals per second.
    pub(super) fn arrivals(&self) -> f64 {
        self.loads.iter().map(|load| load.arrivals).sum()
    }
}
