//! The objective of a trigger, in the units of the law.

use crate::trigger::{CatchUpPolicy, Decimal};

/// The objective and the hints of a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Objective {
    /// The maximum waiting time of a record, in seconds.
    pub(super) max_age: f64,
    /// The utilization that consumers are sized for, between 0 and 1.
    pub(super) utilization: f64,
    /// The capacity of one consumer per second, used until it is measured.
    pub(super) capacity: Option<f64>,
    /// The HPA's scale-down stabilization window, in seconds.
    pub(super) stabilization: f64,
    /// The HPA ignores a value that exceeds its replicas by up to this share.
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

    /// The utilization above which a consumer is overloaded: half of the headroom is used. The distance to the target is the hysteresis,
    /// and it needs no memory.
    pub(super) fn overload(&self) -> f64 {
        f64::midpoint(self.utilization, 1.0)
    }
}
