//! What holds between the scaler, KEDA and the HPA.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::group::{Group, Setup};
use crate::process::eventually;
use crate::runner::{self, Proof, proofs};
use crate::scaler::Scaler;
use crate::scenario::{Scenario, State, in_one_step, scaled_object};

/// Two periods of the HPA and two polls of KEDA.
const HOLD_SECONDS: u64 = 20;

const PROOFS: [(&str, Proof); 8] = proofs![
    replicas_follow_the_metric,
    a_pods_policy_scales_up_in_one_step,
    an_inactive_workload_goes_to_zero_and_back,
    a_push_activates_before_the_next_poll,
    an_error_keeps_the_replicas,
    the_fallback_replaces_a_failing_metric,
    a_killed_scaler_keeps_the_replicas_and_recovers,
    wrong_metadata_is_an_event,
];

/// Runs every proof whose name contains `filter`, at the same time; true if all hold.
pub async fn run(filter: &str) -> bool {
    let setup = Setup::start(Cluster::start().await).await;
    runner::run(&setup, PROOFS, filter).await
}

impl Group<'_> {
    /// Creates the scenario with changes of its `ScaledObject`.
    async fn scenario(&self, replicas: u32, trigger: Value, changes: Value) -> Scenario {
        let (name, spec) = (self.name, scaled_object(&trigger, changes));
        Scenario::create(&self.setup.cluster.api, name, &[], replicas, &spec).await
    }

    /// The same, scaled to 5 replicas by a lag of 42.
    async fn with_five_replicas(&self, scaler: &Scaler, more: Value) -> Scenario {
        let scenario = self.scenario(1, self.trigger("external", scaler), more).await;
        scenario.wait("5 replicas for a lag of 42", 90, |state| (state.replicas, state.ready) == (5, 5)).await;
        scenario
    }
}

fn has(replicas: u32) -> impl Fn(&State) -> bool {
    move |state| state.replicas == replicas
}

async fn replicas_follow_the_metric(setup: &Setup) {
    let mut group = Group::with_lag(setup, "follow", 62).await;
    let scenario = group.scenario(1, group.trigger("external", &setup.scaler), json!({})).await;
    let steps = scenario.wait("7 replicas for a lag of 62", 90, |state| (state.replicas, state.ready) == (7, 7)).await;
    assert_eq!(steps, [1, 5, 7], "by default the HPA adds four pods per 15 s, or doubles");
    group.set_lag(21);
    scenario.wait("3 replicas for a lag of 21", 60, |state| (state.replicas, state.ready) == (3, 3)).await;
}

async fn a_pods_policy_scales_up_in_one_step(setup: &Setup) {
    let group = Group::with_lag(setup, "policy", 120).await;
    let scenario = group.scenario(1, group.trigger("external", &setup.scaler), in_one_step()).await;
    let steps = scenario.wait("12 replicas for a lag of 120", 90, has(12)).await;
    assert_eq!(steps, [1, 12]);
}

async fn an_inactive_workload_goes_to_zero_and_back(setup: &Setup) {
    let mut group = Group::with_lag(setup, "zero", 42).await;
    let scenario = group.with_five_replicas(&setup.scaler, json!({"minReplicaCount": 0})).await;
    group.set_lag(0);
    scenario.wait("no replicas without lag", 60, has(0)).await;
    group.set_lag(42);
    let steps = scenario.wait("5 replicas again", 90, has(5)).await;
    assert_eq!(steps[..2], [0, 1], "KEDA starts one, the HPA the others: {steps:?}");
}

async fn a_push_activates_before_the_next_poll(setup: &Setup) {
    let mut group = Group::with_lag(setup, "push", 0).await;
    let trigger = group.trigger("external-push", &setup.scaler);
    let scenario = group.scenario(0, trigger, json!({"minReplicaCount": 0, "pollingInterval": 300})).await;
    scenario.wait("the first poll", 60, |state| state.is("Ready", "True") && state.is("Active", "False")).await;
    scenario.hold("no replicas without lag", 5, has(0)).await;
    group.set_lag(42);
    let begun = Instant::now();
    scenario.wait("a replica long before the next poll", 15, |state| state.replicas > 0).await;
    println!("  pushed to the first replica in {:.1} s; polls are 300 s apart", begun.elapsed().as_secs_f64());
}

async fn an_error_keeps_the_replicas(setup: &Setup) {
    let group = Group::with_lag(setup, "error", 42).await;
    let scenario = group.with_five_replicas(&setup.scaler, json!({})).await;
    setup.driver.delete_topic(group.name).await;
    let failing = |state: &State| state.is("ScalingActive", "False FailedGetExternalMetric");
    scenario.wait("the HPA has no metric", 60, failing).await;
    scenario.hold("the replicas stay", HOLD_SECONDS, |state| state.replicas == 5).await;
    let events = scenario.events().await;
    assert!(events.iter().any(|event| event.contains(group.name)), "the error is an event: {events:#?}");
}

async fn the_fallback_replaces_a_failing_metric(setup: &Setup) {
    let group = Group::with_lag(setup, "fallback", 42).await;
    let fallback = json!({"fallback": {"failureThreshold": 2, "replicas": 6}});
    let scenario = group.with_five_replicas(&setup.scaler, fallback).await;
    setup.driver.delete_topic(group.name).await;
    scenario.wait("6 replicas", 60, |state| state.replicas == 6 && state.is("Fallback", "True")).await;
}

async fn a_killed_scaler_keeps_the_replicas_and_recovers(setup: &Setup) {
    let mut group = Group::with_lag(setup, "killed", 42).await;
    let mut scaler = Scaler::start(&setup.cluster.directory, "killed-scaler").await;
    let scenario = group.with_five_replicas(&scaler, json!({})).await;
    scaler.kill();
    scenario.wait("KEDA reports the failure", 60, |state| state.is("Ready", "False")).await;
    group.set_lag(80);
    scenario.hold("the replicas stay", HOLD_SECONDS, has(5)).await;
    scaler.restart().await;
    scenario.wait("8 replicas for a lag of 80", 90, |state| state.replicas == 8 && state.is("Ready", "True")).await;
}

async fn wrong_metadata_is_an_event(setup: &Setup) {
    let group = Group::with_lag(setup, "wrong", 42).await;
    let mut trigger = group.trigger("external", &setup.scaler);
    trigger["metadata"]["lagThreshold"] = json!("many");
    let scenario = group.scenario(1, trigger, json!({})).await;
    let event = eventually("an event with the scaler's message", Duration::from_secs(60), async || {
        let events = scenario.events().await;
        let ours = |event: &&String| event.contains("lagThreshold") && event.contains("many");
        events.iter().find(ours).cloned().ok_or(format!("{events:#?}"))
    })
    .await;
    println!("  {event}");
    assert_eq!(scenario.state().await.replicas, 1);
}
