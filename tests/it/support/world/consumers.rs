//! The consumers: they start, share partitions, read, and stop for a while whenever one comes or goes.

use std::ops::Range;

use keda_stream_scaler::lag::flow::{Owners, count};

use super::log::Partition;
use super::random::Random;
use super::scenario::Scenario;

/// Capacity that is left over goes to partitions that want more, so many times a second.
const ROUNDS: usize = 3;
const NOTHING: f64 = 1e-9;

/// A pod with one consumer.
struct Pod {
    number: u32,
    ready_at: f64,
    /// Its capacity, relative to the average.
    speed: f64,
}

/// The pods of a group.
pub struct Consumers {
    pods: Vec<Pod>,
    next: u32,
    /// Who has which partitions; those that came too late have none.
    members: Vec<(u32, f64, Range<usize>)>,
    ready: u32,
    paused_until: usize,
}

impl Consumers {
    pub fn new(scenario: &Scenario, random: &mut Random) -> Self {
        let mut consumers = Self { pods: Vec::new(), next: 0, members: Vec::new(), ready: 0, paused_until: 0 };
        consumers.scale(scenario.first, 0, scenario, random);
        for pod in &mut consumers.pods {
            pod.ready_at = 0.0;
        }
        consumers
    }

    pub fn pods(&self) -> u32 {
        u32::try_from(self.pods.len()).unwrap()
    }

    pub const fn ready(&self) -> u32 {
        self.ready
    }

    /// Pods are added, or taken: those that are not ready first, then the youngest.
    pub fn scale(&mut self, replicas: u32, second: usize, scenario: &Scenario, random: &mut Random) {
        let (mean, varies) = scenario.start;
        while self.pods() < replicas {
            let starts_for = (mean + varies * random.normal()).max(3.0);
            let speed = (1.0 + scenario.unlike * random.normal()).max(0.5);
            self.pods.push(Pod { number: self.next, ready_at: count(second) + starts_for, speed });
            self.next += 1;
        }
        while self.pods() > replicas {
            let last = self.pods.iter().enumerate().max_by_key(|(_, pod)| (pod.ready_at > count(second), pod.number));
            let index = last.unwrap().0;
            self.pods.remove(index);
        }
    }

    /// Shares the partitions anew if other consumers are ready than before; whether that is so.
    pub fn rebalance(&mut self, second: usize, scenario: &Scenario) -> bool {
        let ready = || self.pods.iter().filter(|pod| pod.ready_at <= count(second));
        let helpful = ready().take(scenario.partitions());
        let same = self.members.iter().map(|member| member.0).eq(helpful.clone().map(|pod| pod.number));
        let number = u32::try_from(ready().count()).unwrap();
        if same && number == self.ready {
            return false;
        }
        let number_of_members = helpful.clone().count();
        let members = helpful.zip(ranges(scenario.partitions(), number_of_members));
        self.members = members.map(|(pod, range)| (pod.number, pod.speed, range)).collect();
        self.ready = number;
        self.paused_until = second + scenario.rebalance;
        true
    }

    pub fn owners(&self) -> Owners {
        let of =
            self.members.iter().flat_map(|(number, _, range)| range.clone().map(|_| Some(number.to_string().into())));
        Owners::new(of)
    }

    /// A second of work.
    pub fn read(&self, partitions: &mut [Partition], second: usize, scenario: &Scenario) {
        if second < self.paused_until || self.members.is_empty() {
            return;
        }
        let mut taken = vec![0.0; partitions.len()];
        for (_, speed, range) in &self.members {
            let wants: Vec<_> =
                range.clone().map(|index| wanted(&partitions[index], index, second, scenario)).collect();
            share(&wants, &mut taken[range.clone()], speed * scenario.capacity_at(second));
        }
        let slower = (scenario.limit_at(second) / taken.iter().sum::<f64>()).min(1.0);
        for (partition, records) in partitions.iter_mut().zip(taken) {
            partition.advance(records * slower);
        }
    }
}

fn wanted(partition: &Partition, index: usize, second: usize, scenario: &Scenario) -> f64 {
    if scenario.stuck_at(index, second) { 0.0 } else { partition.unread().max(0.0) }
}

/// Adjoining partitions, of which nobody gets two more than another.
fn ranges(partitions: usize, consumers: usize) -> impl Iterator<Item = Range<usize>> {
    let (each, more) = (partitions / consumers.max(1), partitions % consumers.max(1));
    let begin = move |number: usize| number * each + number.min(more);
    (0..consumers).map(move |number| begin(number)..begin(number + 1))
}

/// Every partition gets the same, and what it does not need goes to the others.
fn share(wants: &[f64], taken: &mut [f64], mut capacity: f64) {
    if wants.iter().sum::<f64>() <= capacity {
        taken.copy_from_slice(wants);
        return;
    }
    for _ in 0..ROUNDS {
        let hungry = wants.iter().zip(taken.iter()).filter(|(want, taken)| **want - **taken > NOTHING).count();
        if hungry == 0 {
            return;
        }
        let each = capacity.max(0.0) / count(hungry);
        for (want, taken) in wants.iter().zip(taken.iter_mut()) {
            let more = (want - *taken).max(0.0).min(each);
            *taken += more;
            capacity -= more;
        }
    }
}
