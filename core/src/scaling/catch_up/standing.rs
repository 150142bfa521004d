//! The state of the law for one source, policy by policy.

use super::{Memory, Unknown, advance};
use crate::lag::flow::Flow;
use crate::scaling::Decision;
use crate::trigger::CatchUpPolicy;

/// The maximum number of policies per source with a memory: the first ones in use. Others are evaluated without memory.
pub const MOST_POLICIES: usize = 16;

/// The policies of one source, the memory of each, and the decision of each at the last reading.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CatchUps(Vec<CatchUp>);

#[derive(Clone, Debug, PartialEq)]
struct CatchUp {
    policy: CatchUpPolicy,
    memory: Memory,
    decision: Result<Decision, Unknown>,
}

impl CatchUps {
    /// Advances the policies that triggers use by a reading.
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

    /// The decision at the last reading; for a policy that no trigger used before it, the decision without memory.
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
