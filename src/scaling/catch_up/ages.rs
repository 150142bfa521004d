//! The law where only ages are known.

use std::time::Duration;

use super::counts::{useful_from, useful_to, whole};
use super::memory::{Few, Memory};
use super::objective::Objective;
use super::size::ISOLATION;
use super::{Judgement, Rule, evidence};
use crate::lag::flow::{AgeFlow, ShardFlow, count};

/// One consumer stands for this many more at most in one step.
const MOST: f64 = 4.0;
/// Fewer shards than this share are hot ones, and the group is not too small.
const FEW: f64 = 0.25;
/// More consumers must gain this share of what was hoped for.
const LEAST_GAIN: f64 = 0.25;
/// A count this much greater is another count.
const GROWN: f64 = 1.05;
/// After more consumers gained nothing for a hot shard.
const USELESS_FOR: Duration = Duration::from_secs(900);
/// Rounding of speeds.
const ROUNDING: f64 = 1.02;
/// Draining is taken to last this much longer than calculated.
const CAUTION: f64 = 1.25;
/// The slowest gain on the stream that draining is calculated with.
const SLOWEST_GAIN: f64 = 0.05;
/// What a busy group has shown is believed for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(1800);

/// The law at one reading.
pub(super) struct Law<'a> {
    flow: &'a AgeFlow,
    objective: Objective,
    memory: &'a mut Memory,
    /// Consumers now.
    now: usize,
    places: usize,
}

impl<'a> Law<'a> {
    pub(super) fn new(flow: &'a AgeFlow, objective: Objective, memory: &'a mut Memory) -> Self {
        let now = flow.owners().count();
        if now > 0 && flow.shards().iter().any(|shard| flow.shows(shard)) {
            memory.saturated(now);
        }
        Self { flow, objective, memory, now, places: flow.shards().len() }
    }

    /// The consumers that are wanted.
    pub(super) fn judge(mut self, active: bool) -> Judgement {
        let steps = evidence::of_ages(self.flow, self.objective.utilization);
        Judgement { steps, ..self.decide(active) }
    }

    fn decide(&mut self, active: bool) -> Judgement {
        let enough = self.flow.steady().map(|steady| whole(steady.enough(self.objective.utilization)));
        if self.now == 0 {
            return match enough {
                _ if !active => Judgement::new(0, Rule::NothingToDo),
                Some(enough) => Judgement::new(useful_from(self.places, enough.max(1)), Rule::NoConsumers),
                None => Judgement::new(1, Rule::NoConsumers),
            };
        }
        if self.flow.first() {
            return Judgement::new(self.now, Rule::FirstReading);
        }
        if self.flow.shards().iter().any(|shard| self.flow.lags(shard)) {
            return self.behind(enough);
        }
        self.memory.few = None;
        self.caught_up(enough)
    }

    fn caught_up(&mut self, enough: Option<usize>) -> Judgement {
        let believed = self.flow.steady().is_some_and(|steady| self.flow.at().since(steady.at) < BELIEVED_FOR);
        if let Some(wanted) =
            enough.map(|enough| useful_from(self.places, enough)).filter(|wanted| *wanted < self.now && believed)
        {
            return Judgement::new(wanted, Rule::Enough);
        }
        let (wanted, rule) = self.memory.probe(self.flow.idle_for(), self.now, Some(self.places));
        Judgement::new(wanted, rule)
    }

    fn behind(&mut self, enough: Option<usize>) -> Judgement {
        let shown: Vec<_> = self.flow.shards().iter().enumerate().filter(|(_, shard)| self.flow.shows(shard)).collect();
        let oldest = shown.iter().max_by(|one, other| self.flow.behind(one.1).total_cmp(&self.flow.behind(other.1)));
        let Some((_, hottest)) = oldest.copied() else { return Judgement::new(self.now, Rule::NoSpeedYet) };
        let wanted = self.for_speeds(&shown);
        let few = count(shown.len()) <= FEW * count(self.places);
        self.memory.few = few.then(|| self.gained(hottest));
        if wanted <= count(self.now) * ROUNDING {
            return self.fast_enough(&shown, enough);
        }
        let wanted = useful_from(self.places, whole(wanted));
        match self.memory.few {
            None => Judgement::new(wanted, Rule::TooFew),
            Some(Few { useless_since: Some(since), .. }) if self.flow.at().since(since) < USELESS_FOR => {
                Judgement::new(self.now, Rule::HotPartition)
            }
            Some(few) => {
                let budget = useful_to(self.places, whole(ISOLATION * count(few.consumers)));
                Judgement::new(wanted.min(budget).max(self.now), Rule::Uneven)
            }
        }
    }

    /// The consumers that would be as fast as it takes: each counts for as much faster as its slowest shard must become.
    fn for_speeds(&self, shown: &[(usize, &ShardFlow)]) -> f64 {
        let mut each = vec![1.0_f64; self.now];
        for (index, shard) in shown {
            let faster = (1.0 + self.flow.behind(shard) / self.objective.max_age) / shard.speed().unwrap_or(1.0);
            if let Some(consumer) = self.flow.owners().of(*index).and_then(|owner| each.get_mut(owner)) {
                *consumer = consumer.max(faster).min(MOST);
            }
        }
        each.iter().sum()
    }

    fn fast_enough(&self, shown: &[(usize, &ShardFlow)], enough: Option<usize>) -> Judgement {
        let drains_for = shown
            .iter()
            .map(|(_, shard)| self.flow.behind(shard) / (shard.speed().unwrap_or(1.0) - 1.0).max(SLOWEST_GAIN));
        match enough {
            Some(enough) if drains_for.fold(0.0, f64::max) * CAUTION <= self.objective.stabilization => {
                Judgement::new(useful_from(self.places, enough).min(self.now), Rule::Enough)
            }
            _ => Judgement::new(self.now, Rule::Draining),
        }
    }

    /// What more consumers gained for the hottest shard.
    fn gained(&self, hottest: &ShardFlow) -> Few {
        let speed = hottest.speed().unwrap_or(1.0);
        let Some(few) = self.memory.few else {
            return Few { consumers: self.now, speed, useless_since: None };
        };
        let grown = count(self.now) / count(few.consumers);
        if grown < GROWN {
            return few;
        }
        let gain = (speed / few.speed - 1.0) / (grown - 1.0);
        let useless_since = if gain >= LEAST_GAIN { few.useless_since } else { Some(self.flow.at()) };
        Few { consumers: self.now, speed, useless_since }
    }
}
