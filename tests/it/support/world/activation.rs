//! KEDA's part: scaling between zero and one replica, where no HPA acts.

use std::time::Duration;

use keda_stream_scaler::lag::Moment;

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
    pub const fn new(min_replicas: u32, cooldown: Duration) -> Self {
        Self { min_replicas, cooldown, last_active: None }
    }

    /// Sets `status.lastActiveTime` to an earlier activity.
    pub const fn last_active(self, at: Moment) -> Self {
        Self { last_active: Some(at), ..self }
    }

    /// Processes one poll and returns the new `spec.replicas`. An error never scales to zero.
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

fn moment(seconds: u64) -> Moment {
    Moment::after_epoch(Duration::from_secs(seconds))
}

#[test]
fn keda_scales_from_zero_at_once_and_to_zero_after_the_cooldown() {
    let mut keda = Activation::new(0, COOLDOWN);
    assert_eq!(keda.poll(moment(0), Activity::Active, 0), 1);
    assert_eq!(keda.poll(moment(30), Activity::Inactive, 5), 5);
    assert_eq!(keda.poll(moment(300), Activity::Inactive, 5), 5);
    assert_eq!(keda.poll(moment(301), Activity::Inactive, 5), 0, "from any count");
    assert_eq!(keda.poll(moment(400), Activity::Unknown, 5), 5, "an error changes nothing");
    assert_eq!(keda.poll(moment(400), Activity::Unknown, 0), 0);
}

#[test]
fn keda_keeps_the_least_count_and_counts_from_the_last_activity() {
    let mut keda = Activation::new(2, COOLDOWN);
    assert_eq!(keda.poll(moment(0), Activity::Active, 0), 2);
    assert_eq!(keda.poll(moment(1000), Activity::Inactive, 5), 5);
    assert_eq!(keda.poll(moment(1000), Activity::Inactive, 1), 2);
    assert_eq!(Activation::new(0, COOLDOWN).poll(moment(0), Activity::Inactive, 3), 0);
    let mut keda = Activation::new(0, COOLDOWN).last_active(moment(100));
    assert_eq!(keda.poll(moment(400), Activity::Inactive, 3), 3);
    assert_eq!(keda.poll(moment(401), Activity::Inactive, 3), 0);
}
