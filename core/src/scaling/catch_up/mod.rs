//! `scaleOn: catchUp`: the fewest consumers with which no record waits longer than `maxAge`.
//!
//! The value is that number, with target 1, so that an HPA only rounds it up. The rules, in order:
//!
//! 1. **Arrivals** (`arrivals`): an average over `maxAge` that restarts from the newest two readings when they differ from it by more than
//!    noise. A steady rise counts until more consumers can help.
//! 2. **Reaction** (`reaction`): the measured time R from a value above the present count to consumers that help.
//! 3. **Needs** (`needs`): per partition, its arrivals at the target utilization, or the rate that drains its backlog after
//!    R within `maxAge`.
//! 4. **Up** (`law`): when some consumer is overloaded, the smallest useful count (`size`, `counts`) that covers all needs; one step more
//!    when the total is sufficient and one consumer is late.
//! 5. **No change**: for stuck partitions, for partitions that exceed any consumer's capacity, and while no partition makes progress.
//! 6. **Down** (`caution`): once the backlog is drained, and when the removed consumers pay for scaling down and up again.
//!
//! The arrivals and the capacity come from [`crate::lag::flow`], which no trigger changes; the law's memory of its own decisions is
//! [`Memory`]. Both advance with each reading and never with a call.

#[cfg(test)]
mod age_tests;
mod arrivals;
mod caution;
mod counts;
mod evidence;
mod law;
mod memory;
mod needs;
mod objective;
mod reaction;
mod rule;
#[cfg(test)]
mod share_tests;
mod size;
mod standing;
mod step;
#[cfg(test)]
mod tests;

pub use self::arrivals::Because;
pub use self::memory::Memory;
use self::objective::Objective;
pub use self::rule::Rule;
pub use self::standing::{CatchUps, MOST_POLICIES};
pub use self::step::{CapacityFrom, CatchUpStep, Unit};
use super::{Decision, Quantity, Step};
use crate::lag::flow::{Flow, NOTHING, count};
use crate::trigger::{Activation, CatchUpPolicy};

/// Why the number of consumers is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Positions move although the group has no known member.
    #[error("positions move although the group has no member, so the number of its consumers is unknown")]
    Consumers,
}

/// Evaluates `flow` by `policy` and by the memory of earlier readings; also returns the memory of this one.
pub fn advance(policy: &CatchUpPolicy, memory: &Memory, flow: &Flow) -> (Memory, Result<Decision, Unknown>) {
    let objective = Objective::of(policy);
    let active = active(policy.activation, flow);
    let (known, late, unit) = match flow {
        Flow::Offsets(flow) => (flow, 0.0, Unit::Records),
        Flow::Throughput(flow) => (flow.flow(), flow.late(), Unit::Kilobytes),
        Flow::Ages(flow) => (flow.flow(), 0.0, Unit::Demand),
    };
    let mut memory = memory.counted_in(unit);
    let mut law = law::Law::new(known, late, objective, unit, &mut memory);
    if let Flow::Ages(flow) = flow {
        law = law.of_ages(flow);
    }
    let judgement = law.judge(active);
    (memory, judgement.map(|judgement| decision(policy, objective, flow, judgement, active)))
}

fn decision(
    policy: &CatchUpPolicy,
    objective: Objective,
    flow: &Flow,
    judgement: Evaluation,
    active: bool,
) -> Decision {
    let (now, share) = (flow.owners().count(), flow.owners().share());
    let places = if share { usize::MAX } else { flow.places() };
    let wanted = judgement.consumers;
    let asked = counts::over_tolerance(wanted, now, places, objective.tolerance);
    let mut steps = judgement.steps;
    if wanted > 0 && !share {
        steps.push(CatchUpStep::Considered { counts: counts::nearby(places, wanted) });
    }
    steps.push(CatchUpStep::Wanted { consumers: wanted, rule: judgement.rule });
    if let Some((enough, seconds)) = judgement.held {
        steps.push(CatchUpStep::Held { enough, seconds: Quantity::from_number(seconds) });
    }
    if asked > count(wanted) {
        steps.push(CatchUpStep::OverTolerance { asked: Quantity::from_number(asked), now });
    } else if now < wanted && asked <= count(now) * (1.0 + objective.tolerance) {
        steps.push(CatchUpStep::WithinTolerance { now });
    }
    let consumers_per_replica = policy.consumers_per_replica.get();
    if consumers_per_replica > 1 {
        steps.push(CatchUpStep::PerReplica { consumers_per_replica });
    }
    steps.push(CatchUpStep::Activation { active });
    Decision {
        value: Quantity::from_number(asked / f64::from(consumers_per_replica)),
        target: Quantity::from_count(1),
        active,
        steps: steps.into_iter().map(Step::CatchUp).chain(share.then_some(Step::ShareGroup)).collect(),
    }
}

/// Whether the backlog is above the activation threshold.
fn active(activation: Activation, flow: &Flow) -> bool {
    match (activation, flow) {
        (Activation::Lag(records), Flow::Offsets(flow)) => {
            flow.unread() > Quantity::from_count(records).get() + NOTHING
        }
        (Activation::Age(age), Flow::Throughput(flow)) => flow.age() > age.as_secs_f64(),
        (Activation::Age(age), Flow::Ages(flow)) => flow.age() > age.as_secs_f64(),
        // a threshold of another kind counts as zero
        (Activation::Age(_), Flow::Offsets(flow)) => flow.unread() > NOTHING,
        (Activation::Lag(_), Flow::Throughput(flow)) => flow.age() > 0.0,
        (Activation::Lag(_), Flow::Ages(flow)) => flow.age() > 0.0,
    }
}

/// A number of consumers, and the reasons for it.
struct Evaluation {
    consumers: usize,
    rule: Rule,
    /// The steps with the numbers that decided.
    steps: Vec<CatchUpStep>,
    /// Set when fewer are enough: their number, and for how many seconds the count is held.
    held: Option<(usize, f64)>,
}

impl Evaluation {
    const fn new(consumers: usize, rule: Rule) -> Self {
        Self { consumers, rule, steps: Vec::new(), held: None }
    }
}
