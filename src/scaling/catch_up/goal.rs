//! What a trigger wants of the law, in the law's units.

use crate::trigger::CatchUpPolicy;

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Goal {
    /// The backlog of now is to be gone after so many seconds.
    pub(super) catch_up_seconds: f64,
    /// The share of their capacity that consumers are to use, between 0 and 1.
    pub(super) utilization: f64,
    /// What one consumer can do in a second, until it is measured.
    pub(super) capacity: Option<f64>,
    /// The HPA waits for so many seconds before it follows a lower value.
    pub(super) stabilization_seconds: f64,
    /// The HPA ignores a value this much above its replicas.
    pub(super) tolerance: f64,
}

impl Goal {
    pub(super) fn of(policy: &CatchUpPolicy) -> Self {
        Self {
            catch_up_seconds: policy.catch_up_time.as_secs_f64(),
            utilization: policy.target_utilization.get(),
            capacity: policy.capacity_per_consumer.map(crate::trigger::Decimal::get),
            stabilization_seconds: policy.stabilization_window.as_secs_f64(),
            tolerance: policy.scale_up_tolerance.get(),
        }
    }

    /// A consumer used more than this has too much: half of the reserve. The distance to the target is what keeps the law from
    /// going up and down, and it needs no memory.
    pub(super) fn too_much(&self) -> f64 {
        f64::midpoint(self.utilization, 1.0)
    }
}
