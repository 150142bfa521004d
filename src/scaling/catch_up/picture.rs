//! What the law saw, for those who ask why.

use super::goal::Goal;
use super::size::{consumers, consumers_for};
use super::{CapacityFrom, CatchUpStep as Step, Unit};
use crate::lag::flow::{AgeFlow, Flow, OffsetFlow};
use crate::scaling::Quantity;

/// Arrivals, backlog, capacity, and what follows from them.
pub(super) fn steps(flow: &Flow, goal: Goal) -> Vec<Step> {
    match flow {
        Flow::Offsets(flow) => of_offsets(flow, goal, Unit::Records),
        Flow::Throughput(flow) => of_offsets(flow.flow(), goal, Unit::Kilobytes),
        Flow::Ages(flow) => of_ages(flow, goal),
    }
}

fn of_offsets(flow: &OffsetFlow, goal: Goal, unit: Unit) -> Vec<Step> {
    let demands = flow.demands().unwrap_or_default();
    let arrivals: Vec<_> = demands.iter().map(|demand| demand.arrivals).collect();
    let with_backlog = |demand: &crate::lag::flow::Demand| demand.arrivals + demand.backlog / goal.catch_up_seconds;
    let catching_up: Vec<_> = demands.iter().map(with_backlog).collect();
    let mut steps = vec![Step::Flow {
        unit,
        arrivals_per_second: Quantity::from_number(arrivals.iter().sum()),
        backlog: Quantity::from_number(flow.partitions().iter().map(|partition| partition.backlog).sum()),
        consumers: flow.owners().count(),
        partitions: flow.partitions().len(),
    }];
    let markers = flow.markers();
    if markers > 0.0 && unit == Unit::Records {
        steps.push(Step::NotActivating { records: Quantity::from_number(markers) });
    }
    let stuck = demands.iter().filter(|demand| demand.stuck).count();
    if stuck > 0 {
        steps.push(Step::Stuck { partitions: stuck });
    }
    let measured = flow.capacity().map(|capacity| (capacity, CapacityFrom::Measured));
    let Some((capacity, from)) = measured.or(goal.capacity.map(|capacity| (capacity, CapacityFrom::Trigger))) else {
        return steps;
    };
    steps.push(Step::Capacity { unit, per_second: Quantity::from_number(capacity), from });
    let share = flow.owners().share();
    let needed = |needs: &[f64], capacity| {
        if share { consumers_for(needs.iter().sum(), capacity) } else { consumers(needs, capacity) }
    };
    steps.push(Step::Need {
        arrivals: Quantity::from_number(needed(&arrivals, capacity * goal.utilization)),
        catching_up: Quantity::from_number(needed(&catching_up, capacity)),
        catch_up_seconds: Quantity::from_number(goal.catch_up_seconds),
        utilization: Quantity::from_number(goal.utilization),
    });
    if share {
        return steps;
    }
    let hottest = catching_up.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
    if let Some((partition, need)) = hottest.and_then(|(index, need)| Some((flow.partitions().get(index)?, need))) {
        let share = Quantity::from_number(need / capacity);
        steps.push(Step::Hottest { place: partition.place.to_string(), share });
    }
    steps
}

fn of_ages(flow: &AgeFlow, goal: Goal) -> Vec<Step> {
    let lagging = flow.shards().iter().filter(|shard| flow.lags(shard)).count();
    let mut steps = vec![Step::Ages {
        lagging,
        shards: flow.shards().len(),
        oldest: Quantity::from_number(flow.age()),
        consumers: flow.owners().count(),
    }];
    let oldest =
        flow.shards().iter().filter(|shard| flow.shows(shard)).max_by(|one, other| one.age.total_cmp(&other.age));
    if let Some((shard, speed)) = oldest.and_then(|shard| Some((shard, shard.speed()?))) {
        steps.push(Step::Speed { place: shard.place.to_string(), speed: Quantity::from_number(speed) });
    }
    if let Some(steady) = flow.steady() {
        steps.push(Step::EnoughBefore { consumers: Quantity::from_number(steady.enough(goal.utilization)) });
    }
    steps
}
