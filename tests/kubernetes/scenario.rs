//! A namespace with one Deployment, and the `ScaledObject` or the HPA that scales it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::{Api, conditions};
use crate::cluster::services;
use crate::process::eventually;

pub struct Scenario {
    api: Api,
    pub namespace: String,
}

#[derive(Clone, Debug)]
pub struct State {
    /// The Deployment's `spec.replicas`.
    pub replicas: u32,
    pub ready: u32,
    /// Of the `ScaledObject` and of the HPA: status and reason by type.
    conditions: BTreeMap<String, String>,
}

/// The spec of a `ScaledObject` with one trigger, but for its target; `changes` are merged into it.
pub fn scaled_object(trigger: &Value, changes: Value) -> Value {
    let mut spec = json!({
        "minReplicaCount": 1, "maxReplicaCount": 12, "pollingInterval": 5, "cooldownPeriod": 5, "triggers": [trigger],
        "scaleTargetRef": {"name": "consumers"},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}}}},
    });
    merge(&mut spec, changes);
    spec
}

/// A change of a `ScaledObject` after which its HPA may add all replicas at once.
pub fn in_one_step() -> Value {
    let policies = json!([{"type": "Pods", "value": 12, "periodSeconds": 15}]);
    let behavior = json!({"scaleUp": {"stabilizationWindowSeconds": 0, "policies": policies}});
    json!({"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}})
}

/// The HPA of a namespace, under the name that KEDA gives it.
pub fn hpa_path(namespace: &str) -> String {
    format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/keda-hpa-consumers")
}

/// Sets what `changes` has, at any depth.
pub fn merge(into: &mut Value, changes: Value) {
    match changes {
        Value::Object(fields) => fields.into_iter().for_each(|(name, value)| merge(&mut into[name], value)),
        value => *into = value,
    }
}

impl Scenario {
    /// Creates everything: pods with this command (without a process if it is empty), and a `ScaledObject` with this spec.
    pub async fn create(api: &Api, namespace: &str, command: &[String], replicas: u32, spec: &Value) -> Self {
        let scenario = Self::create_deployment(api, namespace, command, replicas).await;
        scenario.create_scaled_object(spec).await;
        scenario
    }

    /// Creates what a proof without KEDA needs: the namespace and its Deployment.
    pub async fn create_deployment(api: &Api, namespace: &str, command: &[String], replicas: u32) -> Self {
        let scenario = Self { api: api.clone(), namespace: namespace.to_owned() };
        api.create_namespace(namespace).await;
        let deployment = fs::read_to_string(services().join("deployment.yaml")).unwrap();
        let deployment =
            deployment.replace("@COMMAND@", &json!(command).to_string()).replace("@REPLICAS@", &replicas.to_string());
        api.create(&scenario.path("apis/apps/v1", "deployments"), deployment).await;
        scenario
    }

    pub async fn create_scaled_object(&self, spec: &Value) {
        let (version, kind) = ("keda.sh/v1alpha1", "ScaledObject");
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "consumers"}, "spec": spec});
        self.api.create(&self.path("apis/keda.sh/v1alpha1", "scaledobjects"), object).await;
    }

    pub async fn create_hpa(&self, hpa: &Value) {
        self.api.create(&self.path("apis/autoscaling/v2", "horizontalpodautoscalers"), hpa).await;
    }

    /// Deletes the `ScaledObject` and waits until its HPA is gone, too.
    pub async fn delete_scaled_object(&self) {
        let path = self.path("apis/keda.sh/v1alpha1", "scaledobjects/consumers");
        self.api.delete(&path, &json!({})).await;
        let hpa = hpa_path(&self.namespace);
        eventually("the HPA is deleted", Duration::from_secs(60), async || {
            self.api.find(&hpa).await.map_or(Ok(()), |hpa| Err(hpa["metadata"].to_string()))
        })
        .await;
    }

    pub async fn state(&self) -> State {
        let deployment = self.api.find(&self.path("apis/apps/v1", "deployments/consumers")).await.unwrap();
        let count = |number: &Value| u32::try_from(number.as_u64().unwrap_or_default()).unwrap();
        let (replicas, ready) = (&deployment["spec"]["replicas"], &deployment["status"]["readyReplicas"]);
        let mut state = State { replicas: count(replicas), ready: count(ready), conditions: BTreeMap::new() };
        let scaled_object = self.path("apis/keda.sh/v1alpha1", "scaledobjects/consumers");
        for path in [scaled_object, hpa_path(&self.namespace)] {
            let object = self.api.find(&path).await.unwrap_or_default();
            state.conditions.extend(conditions(&object));
        }
        state
    }

    /// Waits for a state; returns every number of replicas on the way.
    pub async fn wait(&self, what: &str, seconds: u64, check: impl Fn(&State) -> bool) -> Vec<u32> {
        let mut steps = Vec::new();
        eventually(what, Duration::from_secs(seconds), async || {
            let state = self.state().await;
            if steps.last() != Some(&state.replicas) {
                steps.push(state.replicas);
            }
            if check(&state) { Ok(()) } else { Err(format!("replicas {steps:?}, {state:?}")) }
        })
        .await;
        steps
    }

    /// Fails if `check` does not hold for `seconds`.
    pub async fn hold(&self, what: &str, seconds: u64, check: impl Fn(&State) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let state = self.state().await;
            assert!(check(&state), "{what}, after {} s: {state:?}", begun.elapsed().as_secs());
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Reasons and messages of the events about the `ScaledObject`.
    pub async fn events(&self) -> Vec<String> {
        let events = self.api.find(&self.path("api/v1", "events")).await.unwrap();
        let about = |event: &&Value| event["involvedObject"]["kind"] == "ScaledObject";
        let events = events["items"].as_array().unwrap().iter().filter(about);
        events.map(|event| format!("{}: {}", event["reason"], event["message"])).collect()
    }

    fn path(&self, group: &str, resource: &str) -> String {
        format!("/{group}/namespaces/{}/{resource}", self.namespace)
    }
}

impl State {
    /// Whether a condition such as `Ready` has this status, or this status and reason.
    pub fn is(&self, condition: &str, status: &str) -> bool {
        self.conditions.get(condition).is_some_and(|now| now.starts_with(status))
    }
}
