//! What the law has made of one source, policy by policy.

use super::{Memory, Unknown, advance};
use crate::lag::flow::Flow;
use crate::scaling::Decision;
use crate::trigger::CatchUpPolicy;

/// So many policies of one source are remembered: those that were asked about first. Others are judged without memory.
pub const MOST_POLICIES: usize = 16;

/// The policies of one source, what is remembered for each, and what each decided at the last reading.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CatchUps(Vec<CatchUp>);

#[derive(Clone, Debug, PartialEq)]
struct CatchUp {
    policy: CatchUpPolicy,
    memory: Memory,
    decision: Result<Decision, Unknown>,
}

impl CatchUps {
    /// With a reading, for those policies that triggers use.
    #[must_use]
    pub fn after(past: Option<&Self>, policies: &[CatchUpPolicy], flow: &Flow) -> Self {
        let known = |policy| past.and_then(|past| past.of(policy));
        let advanced = policies.iter().take(MOST_POLICIES).map(|policy| {
            let (memory, decision) = match known(policy) {
                Some(known) => advance(policy, &known.memory, flow),
                None => advance(policy, &Memory::default(), flow),
            };
            CatchUp { policy: policy.clone(), memory, decision }
        });
        Self(advanced.collect())
    }

    /// What was decided at the last reading; for a policy that was not asked about before it, what is decided without memory.
    ///
    /// # Errors
    /// Why the number of consumers is unknown.
    pub fn decide(&self, policy: &CatchUpPolicy, flow: &Flow) -> Result<Decision, Unknown> {
        match self.of(policy) {
            Some(known) => known.decision.clone(),
            None => advance(policy, &Memory::default(), flow).1,
        }
    }

    fn of(&self, policy: &CatchUpPolicy) -> Option<&CatchUp> {
        self.0.iter().find(|known| known.policy == *policy)
    }
}
