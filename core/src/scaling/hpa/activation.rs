//! KEDA's part: scaling between zero and one replica, where no HPA acts.

use std::time::Duration;

use crate::lag::Moment;

/// `pollingInterval`
pub const POLLING_INTERVAL: Duration = Duration::from_secs(30);
/// `cooldownPeriod`
pub const COOLDOWN: Duration = Duration::from_secs(300);

/// A scaler's answer to whether the workload should be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The workload should be active.
    Active,
    /// The workload should not be active.
    Inactive,
    /// The activity is unknown because of an error.
    Unknown,
}

/// A `ScaledObject` with one trigger: `RequestScale` of KEDA's `scale_scaledobjects.go`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    min_replicas: u32,
    cooldown: Duration,
    last_active: Option<Moment>,
}

impl Activation {
    /// Creates the state of a `ScaledObject` that has not been active yet.
    #[must_use]
    pub const fn new(min_replicas: u32, cooldown: Duration) -> Self {
        Self { min_replicas, cooldown, last_active: None }
    }

    /// Sets `status.lastActiveTime` to an earlier activity.
    #[must_use]
    pub const fn last_active(self, at: Moment) -> Self {
        Self { last_active: Some(at), ..self }
    }

    /// Processes one poll and returns the new `spec.replicas`. An error never scales to zero.
    #[must_use]
    pub fn poll(&mut self, now: Moment, activity: Activity, spec: u32) -> u32 {
        match activity {
            Activity::Active => {
                self.last_active = Some(now);
                if spec == 0 { self.min_replicas.max(1) } else { spec }
            }
            Activity::Inactive if self.min_replicas > 0 => spec.max(self.min_replicas),
            Activity::Inactive if self.cooled_down(now) => 0,
            Activity::Inactive | Activity::Unknown => spec,
        }
    }

    fn cooled_down(&self, now: Moment) -> bool {
        self.last_active.is_none_or(|at| now.since(at) > self.cooldown)
    }
}
