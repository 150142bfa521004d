//! The decision at one reading.

use std::time::Duration;

use super::arrivals::Believed;
use super::caution::Verdict;
use super::counts::{fewer, useful_from, whole};
use super::memory::Memory;
use super::needs::{Load, Needs};
use super::objective::Objective;
use super::size::{consumers_for, size};
use super::{CapacityFrom, CatchUpStep, Evaluation, Rule, Unit, Unknown, evidence};
use crate::lag::flow::{AgeFlow, Demand, FULL, OffsetFlow, PartitionFlow, count};

/// Nearly all of a consumer's capacity: a consumer cannot handle a partition of this load together with others.
const HOPELESS: f64 = 0.95;
/// A load below this share of a consumer counts as none.
const BUSY: f64 = 0.01;
/// Sums of many small numbers are not exact.
const ROUNDING: f64 = 1.001;
/// While the capacity is unknown: a backlog of this many seconds of arrivals shows that there are too few consumers,
const BACKLOG_SECONDS: f64 = 10.0;
/// or of this share of the objective.
const BACKLOG_SHARE: f64 = 0.25;
/// While the capacity is unknown: positions must move within this time for consumers to be added, in seconds.
const PROGRESS_SECONDS: f64 = 20.0;
/// The backlog is drained within the objective, but over at least this many readings.
const DRAIN_READINGS: f64 = 2.0;
/// A consumer gets help although the total is sufficient when it will be this share of the objective behind.
const LATE: f64 = 0.5;
/// A partition gets no help if a dedicated consumer would not drain it within this many objectives.
const HOPE: f64 = 5.0;
/// A load slightly above the target utilization is accepted up to this factor,
const EASED: f64 = 1.05;
/// where the next useful count is this many times as many consumers.
const SAVES: f64 = 1.5;
/// Slow records: this many per consumer are always in progress, and do not count as backlog.
const UNDERWAY: f64 = 2.0;
/// A probe removes no more than a fifth of the consumers.
const SMALLEST_PROBE: f64 = 0.8;

/// The capacity of one consumer per second, and its source. The user's value has the weight of the measurements before the first.
fn capacity(flow: &OffsetFlow, objective: Objective) -> Option<(f64, CapacityFrom)> {
    match (flow.capacity(), objective.capacity) {
        (Some(measured), Some(given)) if flow.capacity_certainty() < 1.0 => {
            Some((given + flow.capacity_certainty() * (measured - given), CapacityFrom::Both))
        }
        (Some(measured), _) => Some((measured, CapacityFrom::Measured)),
        (None, given) => given.map(|given| (given, CapacityFrom::Trigger)),
    }
}

/// The state of the law at one reading.
pub(super) struct Law<'a> {
    flow: &'a OffsetFlow,
    objective: Objective,
    unit: Unit,
    memory: &'a mut Memory,
    steps: Vec<CatchUpStep>,
    /// The capacity of one consumer per second, where it is known.
    capacity: Option<(f64, CapacityFrom)>,
    /// The present number of consumers.
    now: usize,
    /// The partitions; `None` where every consumer can work on all of them.
    places: Option<usize>,
    /// Seconds until more consumers help.
    reaction: f64,
    /// The same, counted from the time that the rates describe.
    horizon: f64,
    /// How long no shard was behind, where only ages are known.
    calm_for: Option<Duration>,
}

impl<'a> Law<'a> {
    /// Creates the law for a flow whose rates are `late` seconds old.
    pub(super) fn new(
        flow: &'a OffsetFlow,
        late: f64,
        objective: Objective,
        unit: Unit,
        memory: &'a mut Memory,
    ) -> Self {
        let now = flow.owners().count();
        if flow.capacity_measured_at() == Some(flow.at()) {
            memory.saturated(now);
        }
        let capacity = match unit {
            Unit::Records | Unit::Kilobytes => capacity(flow, objective),
            Unit::Demand => Some((FULL, CapacityFrom::Measured)),
        };
        if unit == Unit::Demand {
            memory.arrivals.set(flow.partitions().iter().map(PartitionFlow::arrivals).sum());
        } else if let Some((arrived, elapsed)) = flow.arrived() {
            let possible = capacity.map(|(capacity, _)| count(now) * capacity);
            memory.arrivals.add(arrived, elapsed, flow.period(), objective.max_age, possible);
        }
        memory.reaction.see(now, flow.rebalancing(), flow.at());
        let reaction = memory.reaction.seconds(flow.period(), flow.pause());
        let places = (!flow.owners().share()).then(|| flow.partitions().len());
        let steps = if unit == Unit::Demand { Vec::new() } else { evidence::of_offsets(flow, unit) };
        let horizon = reaction + late.min(objective.max_age);
        Self { flow, objective, unit, memory, steps, capacity, now, places, reaction, horizon, calm_for: None }
    }

    /// Adds what ages show.
    pub(super) fn of_ages(mut self, flow: &AgeFlow) -> Self {
        self.steps.extend(evidence::of_ages(flow));
        self.calm_for = flow.calm_for();
        self
    }

    /// Determines the requested number of consumers.
    pub(super) fn judge(mut self, active: bool) -> Result<Evaluation, Unknown> {
        let demands = self.flow.demands();
        let judgement = if self.now == 0 {
            self.no_consumers(&demands.unwrap_or_default(), active)?
        } else {
            match (demands, self.capacity) {
                (None, _) => Evaluation::new(self.now, Rule::FirstReading),
                (Some(demands), None) => self.capacity_unknown(&demands),
                (Some(demands), Some((capacity, from))) => {
                    let judgement = self.capacity_known(&demands, capacity, from);
                    self.probed(judgement)
                }
            }
        };
        self.memory.reaction.request(judgement.consumers, self.flow.at());
        Ok(Evaluation { steps: self.steps, ..judgement })
    }

    fn no_consumers(&self, demands: &[Demand], active: bool) -> Result<Evaluation, Unknown> {
        let Some((capacity, _)) = self.capacity else {
            // positions move without a known consumer: the number of consumers is unknown
            if self.flow.progressed_at() > self.flow.stable_since() {
                return Err(Unknown::Consumers);
            }
            return Ok(Evaluation::new(
                usize::from(active),
                if active { Rule::NoConsumers } else { Rule::NothingToDo },
            ));
        };
        if !active {
            return Ok(Evaluation::new(0, Rule::NothingToDo));
        }
        let level = self.memory.arrivals.level() * self.share(demands);
        let needs = Needs::new(Load::all(demands, level, 1.0), Vec::new(), capacity, self.drain());
        let needed = needs.falling(self.objective.utilization, self.flow.pause());
        Ok(Evaluation::new(self.size(&needed, capacity).max(1), Rule::NoConsumers))
    }

    fn capacity_unknown(&mut self, demands: &[Demand]) -> Evaluation {
        // the fastest consumer shows a lower bound of the capacity: the size is too large rather than too small
        let fastest = self.flow.best_rate();
        let (needs, believed) = self.needs(demands, fastest.unwrap_or(f64::INFINITY));
        let backlog: f64 = needs.loads.iter().map(|load| load.backlog).sum();
        let tolerated = BACKLOG_SECONDS.min(BACKLOG_SHARE * self.objective.max_age);
        let moving = self.flow.at().since(self.flow.progressed_at()).as_secs_f64()
            < PROGRESS_SECONDS + self.flow.commit_interval();
        if backlog <= tolerated * needs.arrivals() || !moving {
            let (wanted, rule) = self.memory.probe(self.flow.quiet_for(), self.now, self.places);
            return Evaluation::new(wanted, rule);
        }
        self.memory.caution.forget();
        let most = self.places.unwrap_or(usize::MAX);
        let Some(capacity) = fastest else {
            return Evaluation::new((2 * self.now).min(most), Rule::ColdStart);
        };
        let needed = needs.rising(self.objective.utilization, self.reaction);
        self.explain(&needs, &needed, believed, CapacityFrom::Fastest);
        Evaluation::new(self.size(&needed, capacity).max(self.now).min(most), Rule::ColdStart)
    }

    fn capacity_known(&mut self, demands: &[Demand], capacity: f64, from: CapacityFrom) -> Evaluation {
        let (needs, believed) = self.needs(demands, capacity);
        let needed = needs.rising(self.objective.utilization, self.reaction);
        self.explain(&needs, &needed, believed, from);
        let hard = needs.rising(self.objective.overload(), self.reaction);
        if self.overloaded(&needs, &hard, capacity) {
            self.memory.caution.too_few(self.flow.fewer_at(), self.reaction + self.flow.pause(), self.flow.at());
        } else if !self.flow.owners().leave_some() {
            return self.enough(&needs, &hard, capacity);
        }
        // KCL workers may be limited in how many leases they take: then some have no owner, whatever the load
        let judgement = self.too_few(&needs, &needed, capacity);
        self.memory.caution.remember(judgement.consumers, self.flow.at());
        judgement
    }

    /// Whether some consumer has more work than it can do.
    fn overloaded(&self, needs: &Needs, hard: &[f64], capacity: f64) -> bool {
        // work on a partition that exceeds one consumer's capacity exceeds any other's too
        let most = if self.places.is_some() { capacity } else { f64::INFINITY };
        let loads = needs.by_consumer(|index, _| hard.get(index).map_or(0.0, |need| need.min(most)));
        // the ages of a single shard are too noisy for that
        let most = if self.unit == Unit::Demand { f64::INFINITY } else { most };
        let hopeless = needs.by_consumer(|_, load| f64::from(u8::from(load.arrivals >= HOPELESS * most)));
        // a partition that no consumer keeps up with does not overload its consumer, unless a second one waits for it
        loads
            .iter()
            .zip(&hopeless)
            .zip(needs.consumers())
            .any(|((load, hopeless), possible)| *hopeless >= 2.0 || load - hopeless * capacity > ROUNDING * possible)
    }

    /// Tries fewer consumers where no shard was behind for long enough: ages do not show what fewer consumers could do.
    fn probed(&self, judgement: Evaluation) -> Evaluation {
        let Some((calm_for, places)) = self.calm_for.zip(self.places) else { return judgement };
        let (now, pause, period) = (self.now, self.flow.pause(), self.flow.period());
        if judgement.consumers != now || now <= 1 {
            return judgement;
        }
        // the backlog when a failed probe is corrected must stay within the objective
        let bearable = 1.0 - (self.objective.max_age - 2.0 * pause) / (self.reaction + 2.0 * period);
        let least = useful_from(places, whole(count(now) * bearable.max(SMALLEST_PROBE)));
        let tried = least.min(fewer(places, now)).max(1);
        if tried >= now {
            return judgement;
        }
        let pays = 2.0 * pause * count(now) / count(now - tried) * self.memory.caution.doubled();
        if calm_for.as_secs_f64() <= pays.max(self.reaction + 3.0 * period) {
            return judgement;
        }
        Evaluation::new(tried, Rule::Probing)
    }

    fn explain(&mut self, needs: &Needs, needed: &[f64], believed: Believed, from: CapacityFrom) {
        if self.unit != Unit::Demand {
            self.steps.push(evidence::arrivals(self.unit, believed, self.memory.arrivals.level()));
        }
        self.steps.extend(evidence::needs(needs, needed, self.flow, self.objective, self.unit, from, self.reaction));
    }

    /// The share of all arrivals that are not in stuck partitions.
    fn share(&self, demands: &[Demand]) -> f64 {
        let all: f64 = self.flow.partitions().iter().map(PartitionFlow::arrivals).sum();
        if all > 0.0 { demands.iter().map(|demand| demand.arrivals).sum::<f64>() / all } else { 0.0 }
    }

    fn needs(&self, demands: &[Demand], capacity: f64) -> (Needs, Believed) {
        let share = self.share(demands);
        let (level, believed) =
            (share * self.memory.arrivals.level(), self.memory.arrivals.believed(share, self.horizon));
        let growth = if level > 0.0 { believed.per_second / level } else { 1.0 };
        let mut loads = Load::all(demands, level, growth);
        if self.places.is_none() {
            loads = Load::divided(&loads, self.now);
        }
        let own = |consumer| match self.flow.saturated_rate(consumer) {
            Some(rate) if self.unit != Unit::Demand => rate.min(capacity),
            _ => capacity,
        };
        (Needs::new(loads, (0..self.now).map(own).collect(), capacity, self.drain()), believed)
    }

    fn drain(&self) -> f64 {
        self.objective.max_age.max(DRAIN_READINGS * self.flow.period())
    }

    fn size(&self, needs: &[f64], capacity: f64) -> usize {
        if self.places.is_none() {
            return whole(consumers_for(needs.iter().sum(), capacity));
        }
        let (full, eased) = (size(needs, capacity), size(needs, capacity * EASED));
        if count(full) >= SAVES * count(eased) { eased } else { full }
    }

    fn too_few(&mut self, needs: &Needs, needed: &[f64], capacity: f64) -> Evaluation {
        // a crash loop or a series of rebalances is not a lack of consumers
        if self.flow.still() {
            return Evaluation::new(self.now, Rule::NoProgress);
        }
        let wanted = self.size(needed, capacity);
        if wanted > self.now { Evaluation::new(wanted, Rule::TooFew) } else { self.uneven(needs, capacity) }
    }

    /// Handles a sufficient total with one overloaded consumer: one useful step more when its records will wait too long, and where others
    /// can take partitions from it.
    fn uneven(&mut self, needs: &Needs, capacity: f64) -> Evaluation {
        // a single queue is always evenly shared
        let next = self.places.map_or(self.now, |places| useful_from(places, self.now + 1));
        if next <= self.now {
            return Evaluation::new(self.now, Rule::AsManyAsHelp);
        }
        let max_age = self.objective.max_age;
        let fixable = |load: &Load| load.backlog < HOPE * max_age * (HOPELESS * capacity - load.arrivals);
        let of = |of: fn(&Load) -> f64| needs.by_consumer(|_, load| if fixable(load) { of(load) } else { 0.0 });
        let (backlogs, arrivals) = (of(|load| load.backlog), of(|load| load.arrivals));
        let busy = needs.by_consumer(|_, load| f64::from(u8::from(fixable(load) && load.arrivals > BUSY * capacity)));
        let late = |(backlog, arrivals): (&f64, &f64)| {
            backlog + (arrivals - capacity).max(0.0) * self.reaction > LATE * max_age * capacity
        };
        let consumers = backlogs.iter().zip(&arrivals).zip(&busy);
        let most = consumers.filter(|(load, _)| late(*load)).map(|(_, busy)| *busy).reduce(f64::max);
        if most.is_none_or(|busy| busy < 2.0) {
            let hot = needs.loads.iter().any(|load| load.owner.is_some() && !fixable(load));
            let rule = match most {
                _ if hot => Rule::HotPartition,
                _ if self.flow.owners().leave_some() => Rule::Unowned,
                Some(_) => Rule::SinglePartition,
                None => Rule::ShortOverload,
            };
            return Evaluation::new(self.now, rule);
        }
        // a backlog is temporary, a rate persists
        if arrivals.iter().any(|arrivals| *arrivals > self.objective.overload() * capacity) {
            self.memory.uneven_at(self.now, needs.arrivals(), self.flow.at());
        }
        Evaluation::new(next, Rule::Uneven)
    }

    fn enough(&mut self, needs: &Needs, hard: &[f64], capacity: f64) -> Evaluation {
        let at = self.flow.at();
        // the HPA itself waits that long
        let unimportant =
            (self.flow.period() + self.flow.pause()).max(self.objective.stabilization) + UNDERWAY / capacity;
        if needs.drained_in(hard) > unimportant {
            self.memory.caution.remember(self.now, at);
            return Evaluation::new(self.now, Rule::Draining);
        }
        let wanted = self.size(&needs.falling(self.objective.utilization, self.flow.pause()), capacity);
        let (wanted, rule) = match self.memory.floor(needs.arrivals(), self.places.unwrap_or_default(), at) {
            Some(floor) if floor > wanted => (floor.min(self.now), Rule::NotBackTo),
            _ => (wanted.min(self.now), Rule::Enough),
        };
        if wanted >= self.now {
            self.memory.caution.remember(self.now, at);
            return Evaluation::new(self.now, rule);
        }
        match self.memory.caution.down(wanted, self.now, self.flow.pause(), self.objective.stabilization, at) {
            Verdict::Down(consumers) => Evaluation::new(consumers, rule),
            Verdict::Hold { seconds } => {
                Evaluation { held: Some((wanted, seconds)), ..Evaluation::new(self.now, Rule::Holding) }
            }
        }
    }
}
