//! A small world in steps of a second: records arrive, consumers read them, and Kubernetes scales the consumers by what a policy says.
//!
//! Work is a fluid and time is a number, so a world is the same whenever it runs.

mod activation;
pub mod chains;
mod consumers;
pub mod life;
mod log;
pub mod policies;
mod random;
pub mod scenario;
pub mod scenarios;

use std::time::Duration;

use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::lag::flow::{Owners, count};
use keda_stream_scaler::scaling::hpa::{HorizontalPodAutoscaler, Pace, Replicas, Rules, ScaleUp, Tolerance};

use self::activation::{Activation, COOLDOWN};
use self::consumers::Consumers;
use self::log::Partition;
use self::policies::Policy;
pub use self::random::Random;
use self::scenario::{Periods, Rises, Scenario};

/// What a policy can see.
pub struct View<'a> {
    pub now: Moment,
    pub partitions: &'a [Partition],
    consumers: &'a Consumers,
    second: usize,
    pub sampled: usize,
}

impl View<'_> {
    pub fn owners(&self) -> Owners {
        self.consumers.owners(self.second)
    }

    pub fn lag(&self) -> f64 {
        self.partitions.iter().map(|partition| partition.end() - partition.committed()).sum()
    }

    pub fn age(&self) -> f64 {
        self.partitions.iter().map(Partition::age).fold(0.0, f64::max)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The share of the time in which a record was older than the objective, in percent.
    pub late: f64,
    /// Pod-seconds, relative to the least that the work takes.
    pub cost: f64,
    /// How often the number of replicas changed, and how often in the other direction than before.
    pub events: f64,
    pub reversals: f64,
    /// The greatest age.
    pub oldest: f64,
}

impl Outcome {
    /// The mean of several, and the greatest age of all.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / count(all.len());
        Self {
            late: mean(|one| one.late),
            cost: mean(|one| one.cost),
            events: mean(|one| one.events),
            reversals: mean(|one| one.reversals),
            oldest: all.iter().map(|one| one.oldest).fold(0.0, f64::max),
        }
    }
}

/// Lives through a scenario with a policy.
pub fn live(scenario: &Scenario, policy: &mut dyn Policy, seed: u64) -> Outcome {
    let mut world = World::new(scenario, policy, seed);
    (0..scenario.seconds()).for_each(|second| world.step(second, policy));
    world.outcome()
}

struct World<'a> {
    scenario: &'a Scenario,
    random: Random,
    partitions: Vec<Partition>,
    consumers: Consumers,
    replicas: u32,
    hpa: HorizontalPodAutoscaler,
    keda: Activation,
    /// The remainders of seconds at which they act.
    phases: Phases,
    sums: Sums,
}

struct Phases {
    sync: usize,
    poll: usize,
    sample: usize,
}

#[derive(Default)]
struct Sums {
    late: u32,
    pods: f64,
    events: u32,
    reversals: u32,
    rose: Option<bool>,
    oldest: f64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: &dyn Policy, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let partitions = scenario.shares.iter().map(|share| Partition::new(scenario, *share, &mut random)).collect();
        let rules = Rules {
            target: policy.target(),
            min_replicas: scenario.least.max(1),
            max_replicas: scenario.most(),
            tolerance: Tolerance::default(),
            pace: pace(scenario),
        };
        let Periods { sampled, synced, polled } = scenario.periods;
        let phases = Phases { sync: random.below(synced), poll: random.below(polled), sample: random.below(sampled) };
        Self {
            scenario,
            consumers: Consumers::new(scenario, &mut random),
            random,
            partitions,
            replicas: scenario.first,
            hpa: HorizontalPodAutoscaler::new(rules),
            keda: Activation::new(scenario.least, COOLDOWN).last_active(moment(0)),
            phases,
            sums: Sums::default(),
        }
    }

    fn step(&mut self, second: usize, policy: &mut dyn Policy) {
        for partition in &mut self.partitions {
            partition.arrive(self.scenario, second, &mut self.random);
        }
        // a consumer commits before a partition is revoked
        for partition in self.consumers.rebalance(second, self.scenario) {
            self.partitions[partition].commit();
        }
        self.consumers.read(&mut self.partitions, second, self.scenario);
        for partition in &mut self.partitions {
            if partition.commits_at(second, self.scenario.commit) {
                partition.commit();
            }
            partition.settle();
        }
        self.measure();
        self.decide(second, policy);
    }

    fn measure(&mut self) {
        let counts = |index: &usize| self.scenario.hopeless != Some(*index);
        let ages = (0..self.partitions.len()).filter(counts).map(|index| self.partitions[index].age());
        let age = ages.fold(0.0, f64::max);
        self.sums.late += u32::from(age > self.scenario.objective);
        self.sums.oldest = self.sums.oldest.max(age);
        self.sums.pods += f64::from(self.consumers.pods());
    }

    fn decide(&mut self, second: usize, policy: &mut dyn Policy) {
        let (partitions, consumers) = (&self.partitions, &self.consumers);
        let sampled = self.scenario.periods.sampled;
        let view = View { now: moment(second), partitions, consumers, second, sampled };
        let Periods { sampled, synced, polled } = self.scenario.periods;
        if second % sampled == self.phases.sample {
            policy.sample(&view);
        }
        let mut wanted = self.replicas;
        if second % polled == self.phases.poll {
            wanted = self.keda.poll(view.now, policy.activity(&view), wanted);
        }
        if second % synced == self.phases.sync && wanted == self.replicas {
            let (status, ready) = (self.consumers.pods(), self.consumers.ready());
            let replicas = Replicas { spec: self.replicas, status, ready };
            wanted = self.hpa.sync(view.now, policy.value(&view), replicas);
        }
        if wanted != self.replicas {
            self.sums.scaled(wanted > self.replicas);
            self.consumers.scale(wanted, second, self.scenario, &mut self.random);
            self.replicas = wanted;
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            late: 100.0 * f64::from(self.sums.late) / count(self.scenario.seconds()),
            cost: self.sums.pods / self.scenario.least_work(),
            events: f64::from(self.sums.events),
            reversals: f64::from(self.sums.reversals),
            oldest: self.sums.oldest,
        }
    }
}

impl Sums {
    fn scaled(&mut self, rose: bool) {
        self.events += 1;
        self.reversals += u32::from(self.rose.is_some_and(|before| before != rose));
        self.rose = Some(rose);
    }
}

fn pace(scenario: &Scenario) -> Pace {
    let behavior = |scale_up| Pace::Behavior { scale_up, up_window: Duration::ZERO, down_window: scenario.window };
    match scenario.rises {
        Rises::Plain => Pace::Plain { down_window: scenario.window },
        Rises::ByDefaultPolicies => behavior(ScaleUp::Default),
        Rises::AtOnce => behavior(ScaleUp::Pods(scenario.most())),
    }
}

fn moment(second: usize) -> Moment {
    Moment::after_epoch(Duration::from_secs(u64::try_from(second).unwrap()))
}
