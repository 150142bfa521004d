//! The consumers: they start, share partitions, read, and stop for a while whenever one comes or goes.

use std::ops::Range;

use keda_stream_scaler::lag::flow::{Owners, count};

use super::log::Partition;
use super::random::Random;
use super::scenario::{Rebalance, Scenario};

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
    /// The pods that got partitions: those that came too late have none.
    members: Vec<(u32, f64)>,
    /// Which of them each partition is to go to.
    given: Vec<Option<usize>>,
    /// From when each partition is read by its owner.
    owned_from: Vec<usize>,
    /// Whether a partition has an owner before that.
    shown: bool,
    ready: u32,
    paused_until: usize,
}

impl Consumers {
    pub fn new(scenario: &Scenario, random: &mut Random) -> Self {
        let mut consumers = Self {
            pods: Vec::new(),
            next: 0,
            members: Vec::new(),
            given: vec![None; scenario.partitions()],
            owned_from: vec![0; scenario.partitions()],
            shown: matches!(scenario.rebalance, Rebalance::MovedWait(_)),
            ready: 0,
            paused_until: 0,
        };
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

    /// Assigns the partitions if the consumers that are ready have changed; returns the partitions that are revoked.
    pub fn rebalance(&mut self, second: usize, scenario: &Scenario) -> Vec<usize> {
        let ready = || self.pods.iter().filter(|pod| pod.ready_at <= count(second));
        let members: Vec<_> = ready().take(scenario.partitions()).map(|pod| (pod.number, pod.speed)).collect();
        let number = u32::try_from(ready().count()).unwrap();
        let same = self.members.iter().map(|member| member.0).eq(members.iter().map(|member| member.0));
        if same && number == self.ready {
            return Vec::new();
        }
        let mut given = vec![None; scenario.partitions()];
        for (member, range) in ranges(scenario.partitions(), members.len()).enumerate() {
            given[range].fill(Some(member));
        }
        let pod = |members: &[(u32, f64)], member: Option<usize>| member.map(|member| members[member].0);
        let moved = |partition: &usize| pod(&self.members, self.given[*partition]) != pod(&members, given[*partition]);
        let moved: Vec<_> = (0..scenario.partitions()).filter(moved).collect();
        (self.members, self.given, self.ready) = (members, given, number);
        match scenario.rebalance {
            Rebalance::AllStop(seconds) => {
                self.paused_until = second + seconds;
                (0..scenario.partitions()).collect()
            }
            Rebalance::MovedAreUnowned(seconds) | Rebalance::MovedWait(seconds) => {
                // at the beginning no partition has an owner to be revoked from
                let seconds = if second == 0 { 0 } else { seconds };
                for partition in &moved {
                    self.owned_from[*partition] = second + seconds;
                }
                moved
            }
        }
    }

    fn owner(&self, partition: usize, second: usize) -> Option<usize> {
        self.given[partition].filter(|_| self.owned_from[partition] <= second)
    }

    pub fn owners(&self, second: usize) -> Owners {
        let of = (0..self.given.len())
            .map(|partition| if self.shown { self.given[partition] } else { self.owner(partition, second) });
        Owners::new(of.map(|member| member.map(|member| self.members[member].0.to_string().into())))
    }

    /// A second of work.
    pub fn read(&self, partitions: &mut [Partition], second: usize, scenario: &Scenario) {
        if second < self.paused_until || self.members.is_empty() {
            return;
        }
        let capacity = scenario.capacity_at(second) * scenario.crowding.leaves(self.members.len());
        let mut owned = vec![Vec::new(); self.members.len()];
        for partition in 0..partitions.len() {
            if let Some(member) = self.owner(partition, second) {
                owned[member].push(partition);
            }
        }
        let mut taken = vec![0.0; partitions.len()];
        for ((_, speed), owned) in self.members.iter().zip(&owned) {
            let wants: Vec<_> =
                owned.iter().map(|index| wanted(&partitions[*index], *index, second, scenario)).collect();
            for (index, records) in owned.iter().zip(share(&wants, speed * capacity)) {
                taken[*index] = records;
            }
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
fn share(wants: &[f64], mut capacity: f64) -> Vec<f64> {
    if wants.iter().sum::<f64>() <= capacity {
        return wants.to_vec();
    }
    let mut taken = vec![0.0; wants.len()];
    for _ in 0..ROUNDS {
        let hungry = wants.iter().zip(&taken).filter(|(want, taken)| **want - **taken > NOTHING).count();
        if hungry == 0 {
            break;
        }
        let each = capacity.max(0.0) / count(hungry);
        for (want, taken) in wants.iter().zip(&mut taken) {
            let more = (want - *taken).max(0.0).min(each);
            *taken += more;
            capacity -= more;
        }
    }
    taken
}
