//! What may happen to a group.

use std::ops::Range;
use std::time::Duration;

use keda_stream_scaler::lag::flow::count;
use keda_stream_scaler::scaling::hpa::DOWNSCALE_STABILIZATION;

/// A world before anything has happened. Seconds count from its beginning, and rates are in records a second.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// What arrives in all, for each second; its length is how long the world lasts.
    pub rate: Vec<f64>,
    /// Each partition's share of it.
    pub shares: Vec<f64>,
    /// How much arrivals vary from one partition to another and from one time to another.
    pub noise: Noise,
    /// Unread records from before the beginning, ten minutes old.
    pub backlog: f64,
    /// What one consumer can do, and by which share consumers differ.
    pub capacity: f64,
    pub unlike: f64,
    /// Replicas at the beginning, and the least that is allowed.
    pub first: u32,
    pub least: u32,
    /// How long a consumer takes to start, and how much that varies.
    pub start: (f64, f64),
    /// What a change of the consumers does.
    pub rebalance: Rebalance,
    /// Consumers commit every so many seconds.
    pub commit: usize,
    /// For how long consumers do only this share of their capacity.
    pub slow: Option<(Range<usize>, f64)>,
    /// For how long all together can do no more than this.
    pub downstream: Option<(Range<usize>, f64)>,
    /// A partition on which nobody makes progress for a time.
    pub stuck: Option<(usize, Range<usize>)>,
    /// A partition that no number of consumers can keep up with: its age does not count.
    pub hopeless: Option<usize>,
    /// The HPA's window for scaling down, which the law is told of.
    pub window: Duration,
    /// How many replicas the HPA adds at once.
    pub rises: Rises,
    /// `maxReplicaCount`; without it as many as there are partitions.
    pub most: Option<u32>,
    /// No record is to be older than this, in seconds.
    pub objective: f64,
    /// How often what happens.
    pub periods: Periods,
    /// By how much one consumer slows another one down.
    pub crowding: Crowding,
}

/// What a change of the consumers does.
#[derive(Clone, Copy, Debug)]
pub enum Rebalance {
    /// All consumers stop for this number of seconds (eager).
    AllStop(usize),
    /// Partitions that move have no owner for this number of seconds, and the others are still read (cooperative, KIP-848).
    MovedAreUnowned(usize),
    /// The same, and readings show their new owners from the beginning.
    MovedWait(usize),
}

/// How many replicas the HPA adds at once.
#[derive(Clone, Copy, Debug)]
pub enum Rises {
    /// Without a `behavior`.
    Plain,
    /// With a `behavior` that names no policies of scaling up.
    ByDefaultPolicies,
    /// With `scaleUp.policies: [{type: Pods, value: maxReplicaCount, periodSeconds: 15}]`.
    AtOnce,
}

/// How often something happens, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// The policy sees the partitions.
    pub sampled: usize,
    /// The HPA reads the value.
    pub synced: usize,
    /// KEDA reads whether the workload is active.
    pub polled: usize,
}

/// What a consumer can do falls with their number (the universal scalability law).
#[derive(Clone, Copy, Debug)]
pub struct Crowding {
    pub contention: f64,
    pub crosstalk: f64,
}

impl Crowding {
    const NONE: Self = Self { contention: 0.0, crosstalk: 0.0 };

    /// The share of its capacity that each of these consumers keeps.
    pub fn leaves(self, consumers: usize) -> f64 {
        let (all, others) = (count(consumers), count(consumers.saturating_sub(1)));
        1.0 / (1.0 + self.contention * others + self.crosstalk * all * others)
    }
}

/// A factor on arrivals that is 1 on average.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// The deviation of its logarithm.
    pub deviation: f64,
    /// How long it stays about the same, in seconds.
    pub lasts: f64,
}

impl Scenario {
    /// Consumers of 100 records a second, a start of half a minute, commits every 5 s.
    pub fn new(name: &'static str, partitions: usize, rate: Vec<f64>) -> Self {
        Self {
            name,
            rate,
            shares: even(partitions),
            noise: Noise { deviation: 0.1, lasts: 20.0 },
            backlog: 0.0,
            capacity: 100.0,
            unlike: 0.05,
            first: 1,
            least: 1,
            start: (30.0, 5.0),
            rebalance: Rebalance::AllStop(8),
            commit: 5,
            slow: None,
            downstream: None,
            stuck: None,
            hopeless: None,
            window: DOWNSCALE_STABILIZATION,
            rises: Rises::Plain,
            most: None,
            objective: 60.0,
            periods: Periods { sampled: 10, synced: 15, polled: 30 },
            crowding: Crowding::NONE,
        }
    }

    pub fn seconds(&self) -> usize {
        self.rate.len()
    }

    pub fn partitions(&self) -> usize {
        self.shares.len()
    }

    /// `maxReplicaCount`
    pub fn most(&self) -> u32 {
        self.most.unwrap_or_else(|| u32::try_from(self.partitions()).unwrap())
    }

    /// The pod-seconds without which the records cannot be read.
    pub fn least_work(&self) -> f64 {
        (self.backlog + self.rate.iter().sum::<f64>()) / self.capacity
    }

    /// What one consumer of average speed does at this time.
    pub fn capacity_at(&self, second: usize) -> f64 {
        match &self.slow {
            Some((times, share)) if times.contains(&second) => self.capacity * share,
            _ => self.capacity,
        }
    }

    pub fn limit_at(&self, second: usize) -> f64 {
        match &self.downstream {
            Some((times, limit)) if times.contains(&second) => *limit,
            _ => f64::INFINITY,
        }
    }

    pub fn stuck_at(&self, partition: usize, second: usize) -> bool {
        matches!(&self.stuck, Some((stuck, times)) if *stuck == partition && times.contains(&second))
    }
}

pub fn even(partitions: usize) -> Vec<f64> {
    weighted(&vec![1.0; partitions])
}

/// Quotas in proportion to these.
pub fn weighted(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Every partition like the others, and the fourth so many times as busy.
pub fn one_hot(partitions: usize, times: f64) -> Vec<f64> {
    let mut weights = vec![1.0; partitions];
    weights[3] = times;
    weighted(&weights)
}

/// A rate that holds until the next one begins.
pub fn steps(seconds: usize, rates: &[(usize, f64)]) -> Vec<f64> {
    let at = |second| rates.iter().rev().find(|(from, _)| *from <= second).map_or(0.0, |(_, rate)| *rate);
    (0..seconds).map(at).collect()
}

/// A rate that goes straight from one point to the next, and holds after the last.
pub fn lines(seconds: usize, points: &[(usize, f64)]) -> Vec<f64> {
    let at = |second: usize| {
        let next = points.iter().position(|(from, _)| *from > second);
        let Some(next) = next else { return points[points.len() - 1].1 };
        let ((from, first), (to, last)) = (points[next - 1], points[next]);
        first + (last - first) * count(second - from) / count(to - from)
    };
    (0..seconds).map(at).collect()
}
