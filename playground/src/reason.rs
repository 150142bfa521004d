//! The sentence that explains the present number of pods.

use std::time::Duration;

use keda_stream_scaler::page::text::whole;
use keda_stream_scaler::scaling::catch_up::CatchUpStep;
use keda_stream_scaler::scaling::{Decision, Step};

use super::MOST_REPLICAS;
use super::autoscaler::{FEWEST_REPLICAS, HpaRule, Sync};
use super::scene::Scene;

/// Explains a sync of KEDA's side: the value, the target, and the rule of the HPA that decided.
pub(super) fn of_rule(scene: Scene, value: f64, target: u32, sync: &Sync, window: Duration) -> String {
    let per_pod = value / f64::from(target);
    let division = format!("{} ÷ {} {} = {per_pod:.1}", scene.value(value), scene.key(), whole(f64::from(target)));
    match sync.rule {
        HpaRule::NoValue => {
            format!(
                "KEDA could not read the lag, because a broker does not answer; the HPA keeps {}.",
                pods(sync.replicas)
            )
        }
        HpaRule::Tolerance => {
            format!("{division}, within the HPA's tolerance of 10 % around {}.", pods(sync.replicas))
        }
        HpaRule::Value if scene == Scene::Kinesis => format!("{division}, rounded up; the lag does not count."),
        HpaRule::Value => format!("{division}, rounded up."),
        HpaRule::Most => format!("{division}; maxReplicaCount is {MOST_REPLICAS}."),
        HpaRule::Fewest => format!("{division}; minReplicaCount is {FEWEST_REPLICAS}."),
        HpaRule::Window(left) => format!("{division}, but {}.", window_in_words(window, left)),
        HpaRule::Limit => format!("{division}, but the HPA adds at most {MOST_REPLICAS} pods at once."),
    }
}

/// Explains a decision of the law in its own words, and what the HPA makes of it.
pub(super) fn of_law(decision: &Decision, sync: Option<&Sync>, window: Duration) -> String {
    let steps = decision.steps.iter().filter_map(|step| if let Step::CatchUp(step) = step { Some(step) } else { None });
    let steps: Vec<_> = steps.collect();
    let wanted = steps.iter().find_map(|step| match step {
        CatchUpStep::Wanted { consumers, .. } => Some(*consumers),
        _ => None,
    });
    let rises = wanted.zip(sync).is_some_and(|(wanted, sync)| wanted > usize::try_from(sync.replicas).unwrap_or(0));
    let shown = |step: &&&CatchUpStep| match step {
        CatchUpStep::Arrivals { .. }
        | CatchUpStep::Need { .. }
        | CatchUpStep::Stuck { .. }
        | CatchUpStep::Wanted { .. }
        | CatchUpStep::Held { .. } => true,
        CatchUpStep::Forecast { .. } => rises,
        _ => false,
    };
    let mut sentences: Vec<String> = steps.iter().filter(shown).map(|step| sentence(&step.to_string())).collect();
    match sync.map(|sync| sync.rule) {
        Some(HpaRule::Window(left)) => {
            sentences.push(sentence(&format!(
                "{}: {}",
                pods(sync.map_or(0, |sync| sync.replicas)),
                window_in_words(window, left)
            )));
        }
        Some(HpaRule::NoValue) => sentences.push("The HPA got no value and keeps the pods.".to_owned()),
        _ => {}
    }
    sentences.join(" ")
}

/// Shortens a decision to the arrivals and the rule, for the list of changes.
pub(super) fn of_law_in_short(decision: &Decision) -> String {
    let part = |step: &Step| match step {
        Step::CatchUp(CatchUpStep::Wanted { rule, .. }) => Some((0, rule.to_string())),
        Step::CatchUp(step @ CatchUpStep::Arrivals { .. }) => Some((1, step.to_string())),
        _ => None,
    };
    let mut parts: Vec<_> = decision.steps.iter().filter_map(part).collect();
    parts.sort_by_key(|(order, _)| *order);
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join("; ")
}

/// Shortens a sync of KEDA's side, for the list of changes.
pub(super) fn of_rule_in_short(scene: Scene, value: f64, sync: &Sync) -> String {
    let rule = match sync.rule {
        HpaRule::Most => "; maxReplicaCount",
        HpaRule::Fewest => "; minReplicaCount",
        HpaRule::Window(_) => "; scale-down window",
        HpaRule::NoValue | HpaRule::Tolerance | HpaRule::Value | HpaRule::Limit => "",
    };
    format!("{}{rule}", scene.value(value))
}

fn window_in_words(window: Duration, left: Duration) -> String {
    let (window, left) = (window.as_secs_f64(), left.as_secs_f64());
    format!("the HPA keeps the highest number of the last {window} s, for {left:.0} s more")
}

fn pods(count: u32) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

/// Begins a text with a capital letter and ends it with a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(replicas: u32, rule: HpaRule) -> Sync {
        Sync { replicas, recommended: replicas, rule }
    }

    #[test]
    fn the_rule_of_the_hpa_that_decided_is_in_the_sentence() {
        let window = Duration::from_secs(15);
        let cases = [
            (640.0, sync(4, HpaRule::Value), "lag 640 ÷ lagThreshold 160 = 4.0, rounded up."),
            (9600.0, sync(24, HpaRule::Most), "lag 9,600 ÷ lagThreshold 160 = 60.0; maxReplicaCount is 24."),
            (0.0, sync(2, HpaRule::Fewest), "lag 0 ÷ lagThreshold 160 = 0.0; minReplicaCount is 2."),
            (
                1580.0,
                sync(10, HpaRule::Tolerance),
                "lag 1,580 ÷ lagThreshold 160 = 9.9, within the HPA's tolerance of 10 % around 10 pods.",
            ),
            (
                160.0,
                sync(8, HpaRule::Window(Duration::from_secs(6))),
                "lag 160 ÷ lagThreshold 160 = 1.0, but the HPA keeps the highest number of the last 15 s, for 6 s more.",
            ),
        ];
        for (lag, sync, expected) in cases {
            assert_eq!(of_rule(Scene::Kafka, lag, 160, &sync, window), expected);
        }
        let shards = of_rule(Scene::Kinesis, 48.0, 5, &sync(10, HpaRule::Value), window);
        assert_eq!(shards, "48 open shards ÷ shardCount 5 = 9.6, rounded up; the lag does not count.");
    }
}
