//! What Kubernetes and KEDA make of a value: the Horizontal Pod Autoscaler's rules for one external metric, and KEDA's for zero.
//!
//! The rules and their names are those of Kubernetes' `replica_calculator.go` and `horizontal.go`. Whoever calls says when it is and
//! how many replicas there are, so that the same code explains an answer and runs a simulated cluster.

mod activation;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::activation::{Activation, Activity, COOLDOWN, POLLING_INTERVAL};
use crate::lag::Moment;

/// `--horizontal-pod-autoscaler-sync-period`
pub const SYNC_PERIOD: Duration = Duration::from_secs(15);
/// `--horizontal-pod-autoscaler-downscale-stabilization`, and the default of `behavior.scaleDown.stabilizationWindowSeconds`.
pub const DOWNSCALE_STABILIZATION: Duration = Duration::from_secs(300);
/// `scaleUpLimitFactor` and `scaleUpLimitMinimum`: without a `behavior` nobody gets more than this in one sync.
const LIMIT_FACTOR: u32 = 2;
const LIMIT_MINIMUM: u32 = 4;
/// The scale-up policies of a `behavior` that names none: the greater of the two in each period.
const POLICY_PODS: u32 = 4;
const POLICY_FACTOR: u32 = 2;
const POLICY_PERIOD: Duration = Duration::from_secs(15);
/// Counts of replicas are 32 bits with a sign.
const MOST: f64 = i32::MAX as f64;

/// What the value is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// `type: AverageValue`: the value is divided by the replicas first, so that it asks for `value / target` of them.
    AverageValue(f64),
    /// `type: Value`: the replicas that are ready are multiplied by `value / target`.
    Value(f64),
}

/// The replicas that the HPA sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// `spec.replicas` of the scale subresource.
    pub spec: u32,
    /// `status.replicas`: pods that exist.
    pub status: u32,
    /// Pods that are ready.
    pub ready: u32,
}

impl Replicas {
    /// All of them are there and ready.
    #[must_use]
    pub const fn settled(replicas: u32) -> Self {
        Self { spec: replicas, status: replicas, ready: replicas }
    }
}

/// How far from 1 the ratio of value and target may be before anything happens; both ends included.
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

/// What the HPA makes of a value: `GetExternalPerPodMetricReplicas` and `GetExternalMetricReplicas`.
///
/// Before limits and windows, so it is what the replicas become if the value stays.
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

/// KEDA hands a value on with three digits behind the point; what is no number, or below zero, becomes zero.
fn thousandths(number: f64) -> f64 {
    if number.is_finite() && number > 0.0 { (number * 1000.0).round_ties_even() } else { 0.0 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and bounded")]
fn whole(number: f64) -> u32 {
    number.ceil().min(MOST) as u32
}

/// How fast the HPA follows what it makes of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// No `spec.behavior`: `normalizeDesiredReplicas`.
    Plain {
        /// Replicas go down to the highest recommendation of so long.
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

/// How many replicas are added in 15 s at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleUp {
    /// No `policies`: four, or as many as there are, whichever is more.
    Default,
    /// One policy, `type: Pods` with `periodSeconds: 15`.
    Pods(u32),
}

/// What an HPA was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// What the value is compared with.
    pub target: Target,
    /// `minReplicas`: KEDA never writes less than 1.
    pub min_replicas: u32,
    /// `maxReplicas`
    pub max_replicas: u32,
    /// What is too little to act on.
    pub tolerance: Tolerance,
    /// How fast it follows.
    pub pace: Pace,
}

/// An HPA, with what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizontalPodAutoscaler {
    rules: Rules,
    /// What was recommended when, before windows and limits.
    recommendations: Vec<(Moment, u32)>,
    /// What was added and taken when; only a `behavior` looks at it.
    added: Vec<(Moment, u32)>,
    taken: Vec<(Moment, u32)>,
}

impl HorizontalPodAutoscaler {
    /// One that has seen nothing yet.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, recommendations: Vec::new(), added: Vec::new(), taken: Vec::new() }
    }

    /// `reconcileAutoscaler`: what `spec.replicas` is to be. No value is a metric that could not be had.
    #[must_use]
    pub fn sync(&mut self, now: Moment, value: Option<f64>, replicas: Replicas) -> u32 {
        let Rules { target, min_replicas, max_replicas, tolerance, pace } = self.rules;
        let spec = replicas.spec;
        if self.recommendations.is_empty() {
            self.recommendations.push((now, spec));
        }
        // `ScalingDisabled`: from zero it is KEDA that scales
        if spec == 0 {
            return 0;
        }
        if spec > max_replicas || spec < min_replicas {
            return spec.min(max_replicas).max(min_replicas);
        }
        // nothing is known, so nothing changes and nothing is remembered
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

    /// `calculateScaleUpLimitWithScalingRules`; never below what there is.
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
