//! What holds between the scaler and the HPA, without KEDA.

use serde_json::{Value, json};

use crate::adapter::{INDEX, TRIGGER, metric_spec};
use crate::cluster::Cluster;
use crate::group::{Group, Setup};
use crate::runner::{self, Proof, proofs};
use crate::scaler::Scaler;
use crate::scenario::{Scenario, State};

/// The HPA scales down after this time.
const STABILIZATION_SECONDS: u64 = 15;
/// The HPA would have scaled down: the window and two periods of the HPA.
const HOLD_SECONDS: u64 = STABILIZATION_SECONDS + 10;

const PROOFS: [(&str, Proof); 3] =
    proofs![replicas_follow_the_scaler, an_error_keeps_the_replicas, a_killed_scaler_keeps_the_replicas];

pub async fn run() -> bool {
    let setup = Setup::start(Cluster::start_control_plane().await).await;
    runner::run(&setup, PROOFS, "").await
}

/// An HPA with the metric and the target that the scaler reports for `trigger`, as KEDA's operator creates it.
async fn hpa(namespace: &str, trigger: &Value) -> Value {
    let spec = metric_spec(namespace, trigger).await;
    let metric = json!({"name": format!("{INDEX}{}", spec.metric_name)});
    let target = json!({"type": "AverageValue", "averageValue": spec.target_size_float.to_string()});
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda-hpa-consumers", "annotations": {TRIGGER: trigger.to_string()}},
        "spec": {
            "minReplicas": 1, "maxReplicas": 12,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "consumers"},
            "metrics": [{"type": "External", "external": {"metric": metric, "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": STABILIZATION_SECONDS}},
        },
    })
}

/// One replica that the HPA scales by the lag of `group`.
async fn scaled(group: &Group<'_>, scaler: &Scaler) -> Scenario {
    let scenario = Scenario::create_deployment(&group.setup.cluster.api, group.name, &[], 1).await;
    let trigger = group.trigger("external", scaler);
    scenario.create_hpa(&hpa(group.name, &trigger["metadata"]).await).await;
    scenario
}

fn follows(replicas: u32) -> impl Fn(&State) -> bool {
    move |state| (state.replicas, state.ready) == (replicas, replicas) && state.is("ScalingActive", "True")
}

fn keeps(replicas: u32) -> impl Fn(&State) -> bool {
    move |state| state.replicas == replicas && state.is("ScalingActive", "False FailedGetExternalMetric")
}

async fn replicas_follow_the_scaler(setup: &Setup) {
    let mut group = Group::with_lag(setup, "follow", 62).await;
    let scenario = scaled(&group, &setup.scaler).await;
    let steps = scenario.wait("7 replicas for a lag of 62", 90, follows(7)).await;
    assert_eq!(steps, [1, 5, 7], "by default the HPA adds four pods per 15 s, or doubles");
    group.set_lag(21);
    scenario.wait("3 replicas for a lag of 21", 60, follows(3)).await;
}

async fn an_error_keeps_the_replicas(setup: &Setup) {
    let mut group = Group::with_lag(setup, "error", 42).await;
    let scenario = scaled(&group, &setup.scaler).await;
    scenario.wait("5 replicas for a lag of 42", 90, follows(5)).await;
    setup.driver.delete_topic(group.name).await;
    scenario.wait("the HPA has no metric", 60, keeps(5)).await;
    scenario.hold("the replicas stay", HOLD_SECONDS, keeps(5)).await;
    group.create_topic(21).await;
    scenario.wait("3 replicas for a lag of 21", 60, follows(3)).await;
}

async fn a_killed_scaler_keeps_the_replicas(setup: &Setup) {
    let mut group = Group::with_lag(setup, "killed", 42).await;
    let mut scaler = Scaler::start(&setup.cluster.directory, "killed-scaler").await;
    let scenario = scaled(&group, &scaler).await;
    scenario.wait("5 replicas for a lag of 42", 90, follows(5)).await;
    scaler.kill();
    scenario.wait("the HPA has no metric", 60, keeps(5)).await;
    group.set_lag(80);
    scenario.hold("the replicas stay", HOLD_SECONDS, keeps(5)).await;
    scaler.restart().await;
    scenario.wait("8 replicas for a lag of 80", 90, follows(8)).await;
}
