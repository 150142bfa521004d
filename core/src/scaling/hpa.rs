//! How Kubernetes processes a value: the Horizontal Pod Autoscaler's rules for one external metric.
//!
//! The rules and their names are those of Kubernetes' `replica_calculator.go` and `horizontal.go`. The caller passes the time and the
//! number of replicas, so that the same code explains an answer and runs a simulated cluster.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::lag::Moment;

/// `--horizontal-pod-autoscaler-sync-period`
pub const SYNC_PERIOD: Duration = Duration::from_secs(15);
/// `--horizontal-pod-autoscaler-downscale-stabilization`, and the default of `behavior.scaleDown.stabilizationWindowSeconds`.
pub const DOWNSCALE_STABILIZATION: Duration = Duration::from_secs(300);
/// `scaleUpLimitFactor` and `scaleUpLimitMinimum`: without a `behavior`, the maximum scale-up per sync.
const LIMIT_FACTOR: u32 = 2;
const LIMIT_MINIMUM: u32 = 4;
/// The scale-up policies of a `behavior` that names none: the greater of the two in each period.
const POLICY_PODS: u32 = 4;
const POLICY_FACTOR: u32 = 2;
const POLICY_PERIOD: Duration = Duration::from_secs(15);
/// Kubernetes counts replicas as signed 32-bit numbers.
const MOST: f64 = i32::MAX as f64;

/// The target that the value is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// `type: AverageValue`: the value is divided by the replicas first, so that the HPA calculates `value / target` replicas.
    AverageValue(f64),
    /// `type: Value`: the ready replicas are multiplied by `value / target`.
    Value(f64),
}

/// The replicas that the HPA reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// `spec.replicas` of the scale subresource.
    pub spec: u32,
    /// `status.replicas`: existing pods.
    pub status: u32,
    /// The number of ready pods.
    pub ready: u32,
}

impl Replicas {
    /// Creates a state in which all replicas exist and are ready.
    #[must_use]
    pub const fn settled(replicas: u32) -> Self {
        Self { spec: replicas, status: replicas, ready: replicas }
    }
}

/// The range around 1 within which the ratio of value and target has no effect; both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// `behavior.scaleUp.tolerance`
    pub up: f64,
    /// `behavior.scaleDown.tolerance`
    pub down: f64,
}

impl Default for Tolerance {
    /// `--horizontal-pod-autoscaler-tolerance`
    fn default() -> Self {
        Self { up: 0.1, down: 0.1 }
    }
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// The replicas that the HPA calculates for a value: `GetExternalPerPodMetricReplicas` and `GetExternalMetricReplicas`.
///
/// Limits and windows are not applied yet: the result is the number of replicas if the value stays.
#[must_use]
pub fn replicas_for(value: f64, target: Target, now: Replicas, tolerance: Tolerance) -> u32 {
    let value = thousandths(value);
    match target {
        Target::AverageValue(target) => {
            let target = thousandths(target);
            // without pods the ratio is infinite, and never within the tolerance
            let ratio = value / (target * f64::from(now.status));
            if now.status > 0 && tolerance.covers(ratio) { now.status } else { whole(value / target) }
        }
        Target::Value(target) => {
            let ratio = value / thousandths(target);
            match now.spec {
                0 => whole(ratio),
                spec if tolerance.covers(ratio) => spec,
                _ => whole(ratio * f64::from(now.ready)),
            }
        }
    }
}

/// Rounds as KEDA does, which passes a value on with three decimals; NaN and negative values become zero.
fn thousandths(number: f64) -> f64 {
    if number.is_finite() && number > 0.0 { (number * 1000.0).round_ties_even() } else { 0.0 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and bounded")]
fn whole(number: f64) -> u32 {
    number.ceil().min(MOST) as u32
}

/// How fast the HPA follows its recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// No `spec.behavior`: `normalizeDesiredReplicas`.
    Plain {
        /// The stabilization window: replicas decrease to the highest recommendation within it.
        down_window: Duration,
    },
    /// With `spec.behavior`, and the default policies of scaling down: `normalizeDesiredReplicasWithBehaviors`.
    Behavior {
        /// `scaleUp.policies`
        scale_up: ScaleUp,
        /// `scaleUp.stabilizationWindowSeconds`
        up_window: Duration,
        /// `scaleDown.stabilizationWindowSeconds`
        down_window: Duration,
    },
}

/// The maximum number of replicas that are added in 15 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleUp {
    /// No `policies`: four, or the present number, whichever is greater.
    Default,
    /// One policy, `type: Pods` with `periodSeconds: 15`.
    Pods(u32),
}

/// The configuration of an HPA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The target that the value is compared with.
    pub target: Target,
    /// `minReplicas`: KEDA never sets it below 1.
    pub min_replicas: u32,
    /// `maxReplicas`
    pub max_replicas: u32,
    /// The tolerance within which the HPA does not act.
    pub tolerance: Tolerance,
    /// How fast the HPA follows its recommendation.
    pub pace: Pace,
}

/// An HPA with its remembered state.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizontalPodAutoscaler {
    rules: Rules,
    /// The recommendations with their times, before windows and limits.
    recommendations: Vec<(Moment, u32)>,
    /// The added and removed replicas with their times; only a `behavior` uses them.
    added: Vec<(Moment, u32)>,
    taken: Vec<(Moment, u32)>,
}

impl HorizontalPodAutoscaler {
    /// Creates an HPA without any history.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, recommendations: Vec::new(), added: Vec::new(), taken: Vec::new() }
    }

    /// `reconcileAutoscaler`: returns the new `spec.replicas`. A missing value is a metric that could not be read.
    #[must_use]
    pub fn sync(&mut self, now: Moment, value: Option<f64>, replicas: Replicas) -> u32 {
        let Rules { target, min_replicas, max_replicas, tolerance, pace } = self.rules;
        let spec = replicas.spec;
        if self.recommendations.is_empty() {
            self.recommendations.push((now, spec));
        }
        // `ScalingDisabled`: from zero, KEDA scales the workload
        if spec == 0 {
            return 0;
        }
        if spec > max_replicas || spec < min_replicas {
            return spec.min(max_replicas).max(min_replicas);
        }
        // the value is unknown, so nothing changes and nothing is remembered
        let Some(value) = value else { return spec };
        let recommended = replicas_for(value, target, replicas, tolerance);
        match pace {
            Pace::Plain { down_window } => self.plain(now, recommended, spec, down_window),
            Pace::Behavior { scale_up, up_window, down_window } => {
                let stabilized = self.stabilize(now, recommended, spec, up_window, down_window);
                self.limit_by(scale_up, now, stabilized, spec)
            }
        }
    }

    /// `stabilizeRecommendation`, then `convertDesiredReplicasWithRules`.
    fn plain(&mut self, now: Moment, recommended: u32, spec: u32, window: Duration) -> u32 {
        self.recommendations.retain(|(at, _)| now.since(*at) <= window);
        self.recommendations.push((now, recommended));
        let highest = self.recommendations.iter().map(|(_, replicas)| *replicas).max().unwrap_or(recommended);
        let limit = (LIMIT_FACTOR * spec).max(LIMIT_MINIMUM).min(self.rules.max_replicas);
        highest.min(limit).max(self.rules.min_replicas)
    }

    /// `stabilizeRecommendationWithBehaviors`
    fn stabilize(&mut self, now: Moment, recommended: u32, spec: u32, up: Duration, down: Duration) -> u32 {
        let recent = |window| {
            let within = self.recommendations.iter().filter(move |(at, _)| now.since(*at) < window);
            within.map(|(_, replicas)| *replicas).chain([recommended])
        };
        let lowest = recent(up).min().unwrap_or(recommended);
        let highest = recent(down).max().unwrap_or(recommended);
        self.recommendations.retain(|(at, _)| now.since(*at) <= up.max(down));
        self.recommendations.push((now, recommended));
        spec.max(lowest).min(highest)
    }

    /// `convertDesiredReplicasWithBehaviorRate`
    fn limit_by(&mut self, scale_up: ScaleUp, now: Moment, stabilized: u32, spec: u32) -> u32 {
        let Rules { min_replicas, max_replicas, .. } = self.rules;
        if stabilized > spec {
            let wanted = stabilized.min(self.up_limit(scale_up, now, spec)).min(max_replicas);
            self.added.push((now, wanted - spec));
            return wanted;
        }
        // the default policy of scaling down allows everything
        let wanted = stabilized.max(min_replicas);
        if wanted < spec {
            self.taken.push((now, spec - wanted));
        }
        wanted
    }

    /// `calculateScaleUpLimitWithScalingRules`; never below the present number.
    fn up_limit(&mut self, scale_up: ScaleUp, now: Moment, spec: u32) -> u32 {
        let at_beginning = (spec + in_period(&mut self.taken, now)).saturating_sub(in_period(&mut self.added, now));
        let limit = match scale_up {
            ScaleUp::Default => (at_beginning + POLICY_PODS).max(POLICY_FACTOR * at_beginning),
            ScaleUp::Pods(pods) => at_beginning.saturating_add(pods),
        };
        limit.max(spec)
    }
}

/// `getReplicasChangePerPeriod`
fn in_period(changes: &mut Vec<(Moment, u32)>, now: Moment) -> u32 {
    changes.retain(|(at, _)| now.since(*at) < POLICY_PERIOD);
    changes.iter().map(|(_, replicas)| *replicas).sum()
}
