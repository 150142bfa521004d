//! The numbers behind a decision, for its explanation.

use super::arrivals::Believed;
use super::needs::Needs;
use super::objective::Objective;
use super::size::{consumers, consumers_for};
use super::{CapacityFrom, CatchUpStep as Step, Unit};
use crate::lag::flow::{AgeFlow, OffsetFlow};
use crate::scaling::Quantity;

/// The steps that describe the group and its partitions, independent of the law.
pub(super) fn of_offsets(flow: &OffsetFlow, unit: Unit) -> Vec<Step> {
    let mut steps = vec![Step::Flow {
        unit,
        backlog: Quantity::from_number(flow.partitions().iter().map(|partition| partition.backlog).sum()),
        consumers: flow.owners().count(),
        partitions: flow.partitions().len(),
    }];
    let markers = flow.markers();
    if markers > 0.0 && unit == Unit::Records {
        steps.push(Step::NotActivating { records: Quantity::from_number(markers) });
    }
    let stuck = flow.stuck_partitions();
    if stuck > 0 {
        steps.push(Step::Stuck { partitions: stuck });
    }
    steps
}

/// The step that shows the arrivals that the law uses.
pub(super) fn arrivals(unit: Unit, believed: Believed, level: f64) -> Step {
    Step::Arrivals {
        unit,
        per_second: Quantity::from_number(believed.per_second),
        because: believed.because,
        level: Quantity::from_number(level),
    }
}

/// The steps that show the capacity of the consumers, and the needs.
pub(super) fn needs(
    needs: &Needs,
    rising: &[f64],
    flow: &OffsetFlow,
    objective: Objective,
    unit: Unit,
    from: CapacityFrom,
    reaction: f64,
) -> Vec<Step> {
    let capacity = needs.capacity();
    let share = flow.owners().share();
    let needed = |needs: &[f64], capacity: f64| {
        Quantity::from_number(if share {
            consumers_for(needs.iter().sum(), capacity)
        } else {
            consumers(needs, capacity)
        })
    };
    let (oldest, later) = outlook(flow, needs, reaction).unzip();
    let arrivals: Vec<_> = needs.loads.iter().map(|load| load.arrivals).collect();
    let mut steps = match unit {
        Unit::Records | Unit::Kilobytes => {
            vec![Step::Capacity { unit, per_second: Quantity::from_number(capacity), from }]
        }
        Unit::Demand => Vec::new(),
    };
    steps.extend([
        Step::Forecast {
            reaction_seconds: Quantity::from_number(reaction),
            oldest_seconds: oldest.map(Quantity::from_number),
            age_seconds: later.map(Quantity::from_number),
            max_age_seconds: Quantity::from_number(objective.max_age),
        },
        Step::Need {
            arrivals: needed(&arrivals, capacity * objective.utilization),
            objective: needed(rising, capacity),
            utilization: Quantity::from_number(objective.utilization),
        },
    ]);
    let hottest = rising.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).filter(|_| !share);
    if let Some((split, need)) = hottest.and_then(|(index, need)| Some((flow.splits().get(index)?, need))) {
        let share = Quantity::from_number(need / capacity);
        steps.push(Step::Hottest { place: split.to_string(), share });
    }
    steps
}

/// The age of the oldest unread record, and of the oldest one `reaction` seconds from now; `None` where any is unknown.
fn outlook(flow: &OffsetFlow, needs: &Needs, reaction: f64) -> Option<(f64, f64)> {
    let mut ages = flow.ages_of_records();
    if flow.owners().share() {
        // one queue for all
        let oldest = ages.try_fold(0.0, |oldest, age| Some(f64::max(oldest, age?)))?;
        return Some((oldest, needs.aging(reaction).map(|aging| oldest + aging).fold(0.0, f64::max)));
    }
    ages.zip(needs.aging(reaction)).try_fold((0.0, 0.0), |(oldest, later), (age, aging)| {
        let age = age?;
        Some((f64::max(oldest, age), f64::max(later, age + aging)))
    })
}

/// The steps that show the ages of an application.
pub(super) fn of_ages(flow: &AgeFlow) -> Vec<Step> {
    let behind = flow.shards().iter().filter(|shard| shard.behind);
    let mut steps = vec![Step::Ages {
        lagging: behind.clone().count(),
        shards: flow.shards().len(),
        oldest: Quantity::from_number(flow.age()),
        consumers: flow.owners().count(),
    }];
    let oldest = behind.max_by(|one, other| one.age.total_cmp(&other.age));
    if let Some((shard, speed)) = oldest.and_then(|shard| Some((shard, shard.speed()?))) {
        steps.push(Step::Speed { place: shard.place.to_string(), speed: Quantity::from_number(speed) });
    }
    steps
}
