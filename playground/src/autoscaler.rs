//! The HPA of a world: Kubernetes' own rules, the same settings for both worlds, and the rule that decided.

use std::collections::VecDeque;
use std::time::Duration;

use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::scaling::hpa::{
    HorizontalPodAutoscaler, Pace, Replicas, Rules, ScaleUp, Target, Tolerance, replicas_for,
};

use super::MOST_REPLICAS;

/// The `minReplicaCount` of both worlds.
pub(super) const FEWEST_REPLICAS: u32 = 2;

/// An HPA that reports which of its rules decided.
#[derive(Clone, Debug)]
pub(super) struct Autoscaler {
    hpa: HorizontalPodAutoscaler,
    target: f64,
    down_window: Duration,
    /// What the HPA recommended within its scale-down window.
    recommended: VecDeque<(Moment, u32)>,
}

/// The outcome of one sync of the HPA.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sync {
    /// The replicas that the HPA sets.
    pub(super) replicas: u32,
    /// The replicas that the value alone leads to.
    pub(super) recommended: u32,
    pub(super) rule: HpaRule,
}

/// The rule of the HPA that decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum HpaRule {
    /// The HPA got no value and keeps the replicas.
    NoValue,
    /// The value is within the tolerance around the present replicas.
    Tolerance,
    /// The HPA follows the value.
    Value,
    /// `maxReplicaCount` limits the replicas.
    Most,
    /// `minReplicaCount` limits the replicas.
    Fewest,
    /// A higher recommendation within the scale-down window counts, for this long from now on.
    Window(Duration),
    /// The HPA adds no more replicas than this at once.
    Limit,
}

impl Autoscaler {
    pub(super) fn new(target: f64, down_window: Duration) -> Self {
        let rules = Rules {
            target: Target::AverageValue(target),
            min_replicas: FEWEST_REPLICAS,
            max_replicas: MOST_REPLICAS,
            tolerance: Tolerance::default(),
            pace: Pace::Behavior { scale_up: ScaleUp::Pods(MOST_REPLICAS), up_window: Duration::ZERO, down_window },
        };
        Self { hpa: HorizontalPodAutoscaler::new(rules), target, down_window, recommended: VecDeque::new() }
    }

    /// Lets the HPA sync with this value; `None` if the metric could not be read.
    pub(super) fn sync(&mut self, now: Moment, value: Option<f64>, replicas: Replicas) -> Sync {
        let wanted = self.hpa.sync(now, value, replicas);
        let Some(value) = value else {
            return Sync { replicas: wanted, recommended: replicas.spec, rule: HpaRule::NoValue };
        };
        let recommended = replicas_for(value, Target::AverageValue(self.target), replicas, Tolerance::default());
        self.recommended.retain(|(at, _)| now.since(*at) < self.down_window);
        self.recommended.push_back((now, recommended));
        let rule = self.rule(now, value, recommended, wanted, replicas.spec);
        Sync { replicas: wanted, recommended, rule }
    }

    fn rule(&self, now: Moment, value: f64, recommended: u32, wanted: u32, spec: u32) -> HpaRule {
        let alone = recommended.clamp(FEWEST_REPLICAS, MOST_REPLICAS);
        if wanted > alone {
            let last = self.recommended.iter().rev().find(|(_, replicas)| *replicas >= wanted);
            let left = last.map_or(Duration::ZERO, |(at, _)| self.down_window.saturating_sub(now.since(*at)));
            return HpaRule::Window(left);
        }
        if wanted < alone {
            return HpaRule::Limit;
        }
        if recommended > MOST_REPLICAS {
            return HpaRule::Most;
        }
        if recommended < FEWEST_REPLICAS {
            return HpaRule::Fewest;
        }
        let plain = (value / self.target).ceil();
        if wanted == spec && (plain - f64::from(wanted)).abs() > 0.5 { HpaRule::Tolerance } else { HpaRule::Value }
    }
}
