//! What the scaler cannot see, and a ScaledObject tells: how its HPA is set up for the trigger's policy.

use std::time::Duration;

use super::manifest::TriggerText;
use crate::trigger::{CatchUpPolicy, Decimal, Policy, Trigger};

/// Kubernetes' own defaults.
const DOWN_WINDOW: Duration = Duration::from_secs(300);
const TOLERANCE: &str = "0.1";

/// Why the HPA will not do with the value what the policy means; the key that it is about, and what to write.
pub(super) fn contradiction(text: &TriggerText, trigger: &Trigger) -> Option<(&'static str, String)> {
    match (&trigger.policy, text.metric_type.as_str()) {
        (Policy::CatchUp(_), "Value") => Some((
            "metricType",
            "catchUp counts replicas, and with Value the HPA would multiply them; leave metricType out".to_owned(),
        )),
        _ => None,
    }
}

/// What could be set better.
pub(super) fn advice(text: &TriggerText, trigger: &Trigger) -> Vec<String> {
    match &trigger.policy {
        Policy::Age(_) if text.metric_type != "Value" => {
            vec![
                "age is one number for the whole workload: as AverageValue it never catches up, set metricType: Value"
                    .into(),
            ]
        }
        Policy::CatchUp(policy) => [window(text, policy), tolerance(text, policy)].into_iter().flatten().collect(),
        Policy::Age(_) | Policy::Lag(_) | Policy::ShardCount(_) => Vec::new(),
    }
}

fn window(text: &TriggerText, policy: &CatchUpPolicy) -> Option<String> {
    let set = text.down_window.map_or(DOWN_WINDOW, Duration::from_secs);
    let (set, said) = (set.as_secs(), policy.stabilization_window.as_secs());
    (set != said).then(|| {
        format!("the HPA's scaleDown.stabilizationWindowSeconds is {set}, and scaleDownStabilizationWindow says {said}s: make them equal")
    })
}

fn tolerance(text: &TriggerText, policy: &CatchUpPolicy) -> Option<String> {
    let set = text.up_tolerance.as_deref().unwrap_or(TOLERANCE);
    let said = policy.scale_up_tolerance;
    // what is no number, or as `10%`, Kubernetes judges
    let set = Decimal::parse(set).filter(|set| *set != said)?;
    Some(format!("the HPA's scaleUp.tolerance is {set}, and scaleUpTolerance says {said}: make them equal"))
}
