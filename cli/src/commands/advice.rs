//! Advice about settings that only the ScaledObject shows: whether its HPA fits the trigger's policy.

use std::time::Duration;

use crate::manifest::{Fallback, ReadBy, Scaling, TriggerText, UpPolicy};
use crate::trigger::{CatchUpPolicy, Decimal, Policy, Trigger};

/// Kubernetes' default for `scaleDown.stabilizationWindowSeconds`.
const DOWN_WINDOW: Duration = Duration::from_secs(300);
const TOLERANCE: &str = "0.1";

/// Returns why the HPA would contradict the policy: the key, and what to write instead.
pub(super) fn contradiction(text: &TriggerText, trigger: &Trigger) -> Option<(&'static str, String)> {
    match (&trigger.policy, text.metric_type.as_str()) {
        (_, "Value") if text.read_by == ReadBy::Keda => {
            Some(("metricType", "with Value KEDA starts no jobs of a ScaledJob; leave metricType out".to_owned()))
        }
        (Policy::Age(_), _) if text.read_by == ReadBy::Keda => Some((
            "scaleOn",
            "age is for ScaledObjects: it needs metricType Value, with which KEDA starts no jobs; use catchUp, lag or shardCount"
                .to_owned(),
        )),
        (Policy::CatchUp(_), "Value") => Some((
            "metricType",
            "catchUp counts replicas, and with Value the HPA would multiply them; leave metricType out".to_owned(),
        )),
        (_, "Value") if text.scaling.of_stream => Some((
            "metricType",
            "a stream has no pods, and with Value the HPA looks for them and fails; leave metricType out".to_owned(),
        )),
        _ if text.scaling.of_stream && text.scaling.min_replicas == 0 => Some((
            "minReplicaCount",
            "a stream cannot have 0 shards, which is KEDA's default: set minReplicaCount: 1".to_owned(),
        )),
        _ if text.scaling.of_stream => text.scaling.fallback.as_ref().and_then(fallback_of_stream),
        _ => None,
    }
}

/// KEDA's other fallback behaviors keep a count that is already open.
fn fallback_of_stream(fallback: &Fallback) -> Option<(&'static str, String)> {
    let lowers = matches!(fallback.behavior.as_deref(), None | Some("static" | "currentReplicasIfLower"));
    lowers.then(|| {
        let replicas = fallback.replicas;
        let message = format!(
            "would set the stream to {replicas} shards when the scaler does not answer, however many are open: remove it, which keeps them, \
             or set behavior: currentReplicasIfHigher"
        );
        ("fallback", message)
    })
}

/// Returns advice for better settings.
pub(super) fn advice(text: &TriggerText, trigger: &Trigger) -> Vec<String> {
    match &trigger.policy {
        Policy::Age(_) if text.metric_type != "Value" => {
            vec![
                "age is one number for the whole workload: as AverageValue it never catches up, set metricType: Value"
                    .into(),
            ]
        }
        Policy::CatchUp(_) if text.read_by == ReadBy::Keda => deprecated(text).into_iter().collect(),
        Policy::CatchUp(policy) => {
            let scaling = &text.scaling;
            let all = [
                deprecated(text),
                window(scaling, policy),
                tolerance(scaling, policy),
                steps_up(scaling),
                readings(scaling, policy, trigger.pace.poll_interval),
            ];
            all.into_iter().flatten().collect()
        }
        Policy::WriteUtilization(_) => of_shards(&text.scaling).into_iter().collect(),
        Policy::Age(_) | Policy::Lag(_) | Policy::ShardCount(_) => Vec::new(),
    }
}

/// KEDA's default for `maxReplicaCount`.
const MOST_REPLICAS: u64 = 100;

fn of_shards(scaling: &Scaling) -> Option<String> {
    if !scaling.of_stream {
        return Some("writeUtilization counts shards: scaleTargetRef is to be a KinesisStream".to_owned());
    }
    (scaling.max_replicas == MOST_REPLICAS).then(|| {
        "maxReplicaCount is 100, as without a line: a stream with more shards would be lowered to it; set it to maxShards".to_owned()
    })
}

/// Describes the earliest time at which more consumers can be requested after arrivals jump, compared with the objective.
pub(super) fn promise(text: &TriggerText, trigger: &Trigger) -> Option<String> {
    let (Policy::CatchUp(policy), ReadBy::Hpa) = (&trigger.policy, text.read_by) else { return None };
    let cached = if text.scaling.use_cached_metrics { text.scaling.polling_interval } else { 0 };
    let (_, steps) = steps_to_most(&text.scaling);
    let seen = trigger.pace.poll_interval + trigger.pace.poll_interval / 2;
    let requested = seen + steps + Duration::from_secs(cached);
    let (requested, max_age) = (requested.as_secs(), policy.max_age.as_secs());
    let at_best = format!(
        "when arrivals jump, the HPA has requested up to {} replicas after {requested} s at best, and pods take their time to start",
        text.scaling.max_replicas
    );
    Some(if requested < max_age {
        format!("{at_best}: maxAge {max_age}s leaves {} s for that", max_age - requested)
    } else {
        format!("{at_best}: maxAge {max_age}s cannot be kept then")
    })
}

/// Kubernetes' default for `--horizontal-pod-autoscaler-sync-period`.
const HPA_PERIOD: Duration = Duration::from_secs(15);
/// The longest sensible scale-down window in seconds: a longer one only keeps replicas that are no longer needed.
const LONGEST_WINDOW: u64 = 60;
/// The minimum number of readings within the objective.
const READINGS: u32 = 5;

fn deprecated(text: &TriggerText) -> Option<String> {
    let said = text.metadata.contains_key("catchUpTime");
    said.then(|| "catchUpTime is deprecated and will be removed in 0.3: write maxAge".to_owned())
}

fn window(scaling: &Scaling, policy: &CatchUpPolicy) -> Option<String> {
    let set = scaling.down_window.map_or(DOWN_WINDOW.as_secs(), |set| set);
    let said = policy.stabilization_window.as_secs();
    if set > LONGEST_WINDOW {
        return Some(format!(
            "the HPA's scaleDown.stabilizationWindowSeconds is {set}: the policy itself holds a count until a scale-down is worth it, so \
             a longer window only costs replicas; set it, and scaleDownStabilizationWindow, to 15"
        ));
    }
    (set != said).then(|| {
        format!("the HPA's scaleDown.stabilizationWindowSeconds is {set}, and scaleDownStabilizationWindow says {said}s: make them equal")
    })
}

fn tolerance(scaling: &Scaling, policy: &CatchUpPolicy) -> Option<String> {
    let set = scaling.up_tolerance.as_deref().unwrap_or(TOLERANCE);
    let said = policy.scale_up_tolerance;
    // Kubernetes itself validates what is not a number, or is written as `10%`
    let set = Decimal::parse(set).filter(|set| *set != said)?;
    Some(format!("the HPA's scaleUp.tolerance is {set}, and scaleUpTolerance says {said}: make them equal"))
}

/// Returns how the HPA slows down a scale-up.
fn steps_up(scaling: &Scaling) -> Option<String> {
    let most = scaling.max_replicas;
    let policies = format!("behavior.scaleUp.policies: [{{type: Pods, value: {most}, periodSeconds: 15}}]");
    if scaling.up_window.is_some_and(|window| window > 0) {
        return Some("the HPA's scaleUp.stabilizationWindowSeconds delays each scale-up: remove it".to_owned());
    }
    let (steps, time) = steps_to_most(scaling);
    (steps > 1).then(|| {
        format!(
            "the HPA needs {steps} steps and {} s from {} to {most} replicas, each step with a rebalance: add {policies}",
            time.as_secs(),
            scaling.min_replicas.max(1)
        )
    })
}

/// Returns the number of steps in which the HPA goes from the minimum to the maximum replicas, and how long they take.
fn steps_to_most(scaling: &Scaling) -> (u32, Duration) {
    let (mut replicas, mut steps, mut time) = (scaling.min_replicas.max(1), 0, Duration::ZERO);
    while replicas < scaling.max_replicas && steps < MOST_STEPS {
        let after = |policy: &UpPolicy| match &*policy.r#type {
            "Pods" => (replicas.saturating_add(policy.value), Duration::from_secs(policy.period_seconds)),
            _ => (replicas.saturating_mul(100 + policy.value) / 100, Duration::from_secs(policy.period_seconds)),
        };
        let (next, period) = match &scaling.up_policies {
            // Kubernetes' default: 100 % or 4 pods, the larger
            None => ((2 * replicas).max(replicas + 4), HPA_PERIOD),
            Some(policies) => policies.iter().map(after).max_by_key(|step| step.0).unwrap_or((replicas, HPA_PERIOD)),
        };
        // the first step is not delayed by earlier ones
        time += if steps == 0 { HPA_PERIOD } else { period.max(HPA_PERIOD) };
        (replicas, steps) = (next, steps + 1);
    }
    (steps, time)
}

/// The number of steps after which the calculation stops, for an HPA that never reaches the maximum.
const MOST_STEPS: u32 = 100;

fn readings(scaling: &Scaling, policy: &CatchUpPolicy, poll_interval: Duration) -> Option<String> {
    if scaling.use_cached_metrics && scaling.polling_interval > policy.max_age.as_secs() / u64::from(READINGS) {
        return Some(format!(
            "useCachedMetrics makes the HPA's value up to pollingInterval ({} s) old: remove it, the scaler answers from memory",
            scaling.polling_interval
        ));
    }
    (poll_interval * READINGS > policy.max_age).then(|| {
        let (set, better) = (poll_interval.as_secs(), (policy.max_age / READINGS).as_secs().max(SHORTEST_READING));
        format!("pollInterval {set}s is long for maxAge {}s: set it to {better}s", policy.max_age.as_secs())
    })
}

/// The shortest `pollInterval` in seconds.
const SHORTEST_READING: u64 = 2;
