//! The law where records, or kilobytes, are known.

use super::counts::{useful_from, whole};
use super::goal::Goal;
use super::memory::Memory;
use super::size::{consumers, consumers_for, isolation_budget, size};
use super::{Judgement, Rule, Unknown};
use crate::lag::flow::{Demand, OffsetFlow, count};

/// What arrives until new consumers can help: KEDA's and the HPA's periods, start and rebalance.
const REACTION_SECONDS: f64 = 60.0;
/// Draining is taken to last this much longer than calculated.
const CAUTION: f64 = 1.25;
/// Nearly all of a consumer's capacity: such a partition is too much for it in company.
const HOPELESS: f64 = 0.95;
/// Less than this share of a consumer is nothing.
const BUSY: f64 = 0.01;
/// Sums of many small numbers are not exact.
const ROUNDING: f64 = 1.001;
/// While the capacity is unknown: so many seconds of arrivals behind is a backlog.
const BACKLOG_SECONDS: f64 = 15.0;
/// While the capacity is unknown: positions must move within this time for consumers to be doubled.
const PROGRESS_SECONDS: f64 = 20.0;

/// The law at one reading.
pub(super) struct Law<'a> {
    flow: &'a OffsetFlow,
    goal: Goal,
    memory: &'a mut Memory,
    /// Consumers now.
    now: usize,
    /// The partitions; `None` where every consumer can work on all of them.
    places: Option<usize>,
}

/// What is wanted of the consumers.
struct Wishes {
    demands: Vec<Demand>,
    capacity: f64,
    arrivals: f64,
    /// Arrivals and backlog of each partition, with what arrives until help comes.
    loads: Vec<(f64, f64)>,
    /// What each partition needs in a second lest its consumer has too much.
    needs: Vec<f64>,
}

impl<'a> Law<'a> {
    pub(super) fn new(flow: &'a OffsetFlow, goal: Goal, memory: &'a mut Memory) -> Self {
        if flow.capacity_measured_at() == Some(flow.at()) {
            memory.saturated(flow.owners().count());
        }
        let places = (!flow.owners().share()).then(|| flow.partitions().len());
        Self { flow, goal, memory, now: flow.owners().count(), places }
    }

    /// The consumers that are wanted.
    pub(super) fn judge(mut self, active: bool) -> Result<Judgement, Unknown> {
        let capacity = self.flow.capacity().or(self.goal.capacity);
        let demands = self.flow.demands();
        if self.now == 0 {
            return self.nobody_works(&demands.unwrap_or_default(), capacity, active);
        }
        let judgement = match (demands, capacity) {
            (None, _) => Judgement::new(self.now, Rule::FirstReading),
            (Some(demands), None) => self.capacity_unknown(&demands),
            (Some(demands), Some(capacity)) => self.capacity_known(demands, capacity),
        };
        Ok(judgement.limited(self.flow.useless_above(), self.now))
    }

    fn nobody_works(&self, demands: &[Demand], capacity: Option<f64>, active: bool) -> Result<Judgement, Unknown> {
        let Some(capacity) = capacity else {
            // somebody does, whom the group does not know: how many there are cannot be told
            if self.flow.progressed_at() > self.flow.stable_since() {
                return Err(Unknown::Consumers);
            }
            return Ok(Judgement::new(usize::from(active), if active { Rule::NobodyWorks } else { Rule::NothingToDo }));
        };
        if !active {
            return Ok(Judgement::new(0, Rule::NothingToDo));
        }
        let loads: Vec<_> = demands.iter().map(|demand| (demand.arrivals, demand.backlog)).collect();
        Ok(Judgement::new(self.size(&loads, capacity).max(1), Rule::NobodyWorks))
    }

    fn capacity_unknown(&mut self, demands: &[Demand]) -> Judgement {
        let sum = |of: fn(&Demand) -> f64| demands.iter().map(of).sum::<f64>();
        let backlog = sum(|demand| demand.backlog) > BACKLOG_SECONDS * sum(|demand| demand.arrivals);
        let moving = self.flow.at().since(self.flow.progressed_at()).as_secs_f64()
            < PROGRESS_SECONDS + self.flow.commit_interval();
        if self.flow.idle_for().is_none() && backlog && moving {
            return Judgement::new((2 * self.now).min(self.places.unwrap_or(usize::MAX)), Rule::ColdStart);
        }
        let (wanted, rule) = self.memory.probe(self.flow.idle_for(), self.now, self.places);
        Judgement::new(wanted, rule)
    }

    fn capacity_known(&mut self, demands: Vec<Demand>, capacity: f64) -> Judgement {
        let demands = if self.places.is_none() { self.divided(&demands) } else { demands };
        let wishes = self.wishes(demands, capacity);
        // what one consumer cannot do of a partition, another one cannot do either
        let most = if self.places.is_some() { capacity } else { f64::INFINITY };
        let overfull = self.loads_of_consumers(&wishes, |need, _| need.min(most));
        let overloaded = overfull.iter().any(|load| *load > ROUNDING * capacity);
        if overloaded {
            self.memory.too_few(self.flow.fewer_at(), self.flow.at());
        }
        // KCL workers may be limited in how many leases they take
        if overloaded || self.flow.owners().leave_some() { self.too_few(&wishes) } else { self.enough(&wishes) }
    }

    /// One queue: each consumer does the same part of the sum.
    fn divided(&self, demands: &[Demand]) -> Vec<Demand> {
        let part = |of: fn(&Demand) -> f64| demands.iter().map(of).sum::<f64>() / count(self.now);
        let (arrivals, backlog) = (part(|demand| demand.arrivals), part(|demand| demand.backlog));
        (0..self.now).map(|owner| Demand { arrivals, backlog, owner: Some(owner), stuck: false }).collect()
    }

    fn wishes(&self, demands: Vec<Demand>, capacity: f64) -> Wishes {
        let mut arrivals: f64 = demands.iter().map(|demand| demand.arrivals).sum();
        let (quick, group) = (self.flow.quick_arrivals(), count(self.now) * capacity);
        let mut scale = 1.0;
        // a jump: the short average is believed
        if arrivals > 0.0 && quick > arrivals && quick > self.goal.too_much() * group {
            scale = quick / arrivals;
            arrivals = quick;
        }
        let growing = (arrivals - group).max(0.0) * REACTION_SECONDS;
        let load = |demand: &Demand| {
            let own = demand.arrivals * scale;
            let share = if arrivals > 0.0 { own / arrivals } else { 0.0 };
            (own, demand.backlog + share * growing)
        };
        let loads: Vec<_> = demands.iter().map(load).collect();
        let needs = loads.iter().map(|load| self.need(*load, self.goal.too_much())).collect();
        Wishes { demands, capacity, arrivals, loads, needs }
    }

    /// What a partition needs in a second: its arrivals with the reserve, or its arrivals and its share of the catching up. The
    /// reserve is used for catching up, so it is the greater of the two and not the sum.
    fn need(&self, (arrivals, backlog): (f64, f64), utilization: f64) -> f64 {
        (arrivals / utilization).max(arrivals + backlog / self.goal.catch_up_seconds)
    }

    fn size(&self, loads: &[(f64, f64)], capacity: f64) -> usize {
        if self.places.is_none() {
            let sum = loads.iter().fold((0.0, 0.0), |sum, load| (sum.0 + load.0, sum.1 + load.1));
            return whole(consumers_for(self.need(sum, self.goal.utilization), capacity));
        }
        let needs: Vec<_> = loads.iter().map(|load| self.need(*load, self.goal.utilization)).collect();
        size(&needs, capacity)
    }

    /// The sum over each consumer's partitions.
    fn loads_of_consumers(&self, wishes: &Wishes, of: impl Fn(f64, (f64, f64)) -> f64) -> Vec<f64> {
        let mut loads = vec![0.0; self.now];
        for ((demand, need), load) in wishes.demands.iter().zip(&wishes.needs).zip(&wishes.loads) {
            if let Some(sum) = demand.owner.and_then(|owner| loads.get_mut(owner)) {
                *sum += of(*need, *load);
            }
        }
        loads
    }

    fn too_few(&mut self, wishes: &Wishes) -> Judgement {
        let wanted = self.size(&wishes.loads, wishes.capacity);
        let judgement = if wanted > self.now {
            self.memory.waiting = None;
            Judgement::new(wanted, Rule::TooFew)
        } else {
            self.uneven(wishes)
        };
        // a crash loop or a storm of rebalances is not a lack of consumers
        if self.flow.still() { Judgement::new(self.now, Rule::NobodyMoves) } else { judgement }
    }

    /// There are enough consumers, and one of them has too much: one useful step, within the budget for isolation. Beyond the
    /// budget only after the catch-up time, and only where more consumers can help.
    fn uneven(&mut self, wishes: &Wishes) -> Judgement {
        let (capacity, now) = (wishes.capacity, self.flow.at());
        // one queue is as even as can be
        let next = self.places.map_or(self.now, |places| useful_from(places, self.now + 1));
        let loads: Vec<_> = wishes.loads.iter().map(|load| self.need(*load, self.goal.utilization)).collect();
        let budget = isolation_budget(consumers(&loads, capacity));
        let fixable = |load: (f64, f64)| load.0 < HOPELESS * capacity;
        let any_over = |loads: Vec<f64>| loads.into_iter().any(|load| load > capacity);
        let over = any_over(self.loads_of_consumers(wishes, |need, _| if need < capacity { need } else { 0.0 }));
        // a backlog passes, a rate stays
        let by_rate = any_over(
            self.loads_of_consumers(wishes, |_, load| if fixable(load) { load.0 / self.goal.too_much() } else { 0.0 }),
        );
        if over && next <= budget {
            self.memory.waiting = None;
            self.remember_uneven(by_rate, wishes);
            return Judgement::new(next, Rule::Uneven);
        }
        if next <= self.now {
            return Judgement::new(self.now, Rule::AsManyAsHelp);
        }
        let busy = self.loads_of_consumers(wishes, |_, load| {
            let matters = load.0.max(load.1 / self.goal.catch_up_seconds) > BUSY * capacity;
            if fixable(load) && matters { 1.0 } else { 0.0 }
        });
        let late = self.loads_of_consumers(wishes, |need, load| if fixable(load) { need } else { 0.0 });
        if !late.iter().zip(&busy).any(|(late, busy)| *late > capacity && *busy >= 2.0) {
            self.memory.waiting = None;
            return Judgement::new(self.now, Rule::HotPartition);
        }
        let since = match self.memory.waiting.filter(|(_, at)| *at == self.now) {
            Some((since, _)) => since,
            None => self.memory.waiting.insert((now, self.now)).0,
        };
        if now.since(since).as_secs_f64() < self.goal.catch_up_seconds {
            return Judgement::new(self.now, Rule::UnevenWaits);
        }
        self.remember_uneven(by_rate, wishes);
        Judgement::new(next, Rule::UnevenForLong)
    }

    fn remember_uneven(&mut self, by_rate: bool, wishes: &Wishes) {
        if by_rate {
            self.memory.uneven_at(self.now, wishes.arrivals, self.flow.at());
        }
    }

    fn enough(&mut self, wishes: &Wishes) -> Judgement {
        self.memory.waiting = None;
        if self.memory.flapped(self.flow.at()) {
            return Judgement::new(self.now, Rule::Flapped);
        }
        if self.drains_for(wishes) * CAUTION > self.goal.stabilization_seconds {
            return Judgement::new(self.now, Rule::Draining);
        }
        let arrivals: Vec<_> = wishes.loads.iter().map(|load| (load.0, 0.0)).collect();
        let wanted = self.size(&arrivals, wishes.capacity);
        match self.memory.floor(wishes.arrivals, self.places.unwrap_or_default(), self.flow.at()) {
            Some(floor) if floor > wanted => Judgement::new(floor.min(self.now), Rule::NotBackTo),
            _ => Judgement::new(wanted.min(self.now), Rule::Enough),
        }
    }

    /// Seconds until the slowest consumer has drained its backlog.
    fn drains_for(&self, wishes: &Wishes) -> f64 {
        let capacity = wishes.capacity;
        let arrivals = self.loads_of_consumers(wishes, |need, load| if need < capacity { load.0 } else { 0.0 });
        let mut backlogs = vec![0.0; self.now];
        for (demand, need) in wishes.demands.iter().zip(&wishes.needs) {
            if let Some(sum) = demand.owner.and_then(|owner| backlogs.get_mut(owner)).filter(|_| *need < capacity) {
                *sum += demand.backlog;
            }
        }
        let seconds = |(backlog, arrivals): (&f64, &f64)| backlog / (capacity - arrivals).max(1e-9);
        backlogs.iter().zip(&arrivals).map(seconds).fold(0.0, f64::max)
    }
}
