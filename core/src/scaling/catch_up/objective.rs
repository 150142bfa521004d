//! What a trigger promises, in the units of the law.

use crate::trigger::{CatchUpPolicy, Decimal};

/// The promise and the hints of a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Objective {
    /// No record is to wait longer than this, in seconds.
    pub(super) max_age: f64,
    /// The share of their capacity that consumers are sized for, between 0 and 1.
    pub(super) utilization: f64,
    /// What one consumer can do per second, until it is measured.
    pub(super) capacity: Option<f64>,
    /// The HPA's scale-down stabilization window, in seconds.
    pub(super) stabilization: f64,
    /// The HPA ignores a value this much above its replicas.
    pub(super) tolerance: f64,
}

impl Objective {
    pub(super) fn of(policy: &CatchUpPolicy) -> Self {
        Self {
            max_age: policy.max_age.as_secs_f64(),
            utilization: policy.target_utilization.get(),
            capacity: policy.capacity_per_consumer.map(Decimal::get),
            stabilization: policy.stabilization_window.as_secs_f64(),
            tolerance: policy.scale_up_tolerance.get(),
        }
    }

    /// A consumer that is used more than this is overloaded: half of the reserve is gone. The distance to the target is the hysteresis, and
    /// it needs no memory.
    pub(super) fn overload(&self) -> f64 {
        f64::midpoint(self.utilization, 1.0)
    }
}
