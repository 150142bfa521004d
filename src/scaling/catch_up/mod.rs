//! `scaleOn: catchUp`: the consumers that are needed to keep up with what arrives and to be rid of the backlog in time.
//!
//! The value is that number, with target 1: an HPA rounds it up and has nothing to multiply. What arrives and what a consumer can do
//! come from [`crate::lag::flow`], which no trigger changes; what the law remembers of its own decisions is [`Memory`]. Both advance
//! with each reading and never with a question.

mod ages;
mod counts;
mod goal;
mod memory;
mod offsets;
mod rule;
mod size;
#[cfg(test)]
mod tests;

use self::goal::Goal;
pub use self::memory::Memory;
pub use self::rule::Rule;
use crate::lag::flow::Flow;
use crate::trigger::CatchUpPolicy;

/// What the law wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// The consumers that are needed.
    pub consumers: usize,
    /// A number that makes an HPA, which ignores small differences, go there.
    pub asked: f64,
    /// Which rule decided.
    pub rule: Rule,
    /// More were wanted than this count, beyond which the last scale-up gained nothing.
    pub useless_above: Option<usize>,
}

/// Judges `flow` by `policy` and what was remembered; `None` while too little is known to say anything.
#[must_use]
pub fn advance(policy: &CatchUpPolicy, memory: &Memory, flow: &Flow, active: bool) -> (Memory, Option<Wanted>) {
    let goal = Goal::of(policy);
    let mut memory = memory.clone();
    let judgement = match flow {
        Flow::Offsets(flow) => offsets::Law::new(flow, goal, &mut memory).judge(active),
        Flow::Throughput(flow) => offsets::Law::new(flow.flow(), goal, &mut memory).judge(active),
        Flow::Ages(flow) => ages::Law::new(flow, goal, &mut memory).judge(active),
    };
    let (now, places) = (flow.owners().count(), flow.places());
    let wanted = judgement.map(|Judgement { consumers, rule, useless_above }| Wanted {
        consumers,
        asked: counts::over_tolerance(consumers, now, places, goal.tolerance),
        rule,
        useless_above,
    });
    (memory, wanted)
}

/// A number of consumers, and why.
struct Judgement {
    consumers: usize,
    rule: Rule,
    useless_above: Option<usize>,
}

impl Judgement {
    const fn new(consumers: usize, rule: Rule) -> Self {
        Self { consumers, rule, useless_above: None }
    }

    /// No more than `limit`, and never fewer than there are now for its sake.
    fn limited(self, limit: Option<usize>, now: usize) -> Self {
        match limit.map(|limit| limit.max(now)).filter(|limit| now > 0 && *limit < self.consumers) {
            Some(limit) => Self { consumers: limit, useless_above: Some(limit), ..self },
            None => self,
        }
    }
}
