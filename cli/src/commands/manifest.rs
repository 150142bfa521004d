//! ScaledObjects and ScaledJobs as people write them: YAML with several documents per file, with the line of every key.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::trigger::{About, Problem, Trigger, TriggerError};

/// The namespace of an object without one.
const DEFAULT_NAMESPACE: &str = "default";

/// One trigger of one object, as written in the file.
#[derive(Clone)]
pub(super) struct TriggerText {
    /// The kind, namespace and name, such as `ScaledObject shop/orders`.
    pub(super) object: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) index: usize,
    pub(super) kind: TriggerKind,
    /// KEDA's `metricType`; `AverageValue` where it is absent.
    pub(super) metric_type: String,
    /// The settings of the object for its HPA and for KEDA.
    pub(super) scaling: Scaling,
    pub(super) metadata: HashMap<String, String>,
    /// The line of each key of the metadata.
    lines: HashMap<String, u64>,
    /// The line where the trigger begins.
    line: u64,
}

/// The settings of an object for KEDA and its HPA, where the object has them.
#[derive(Clone, Default)]
pub(super) struct Scaling {
    /// Whether `scaleTargetRef` is a KinesisStream, so that replicas are shards.
    pub(super) of_stream: bool,
    /// `minReplicaCount`; KEDA's default is 0.
    pub(super) min_replicas: u64,
    /// `maxReplicaCount`; KEDA's default is 100.
    pub(super) max_replicas: u64,
    /// `pollingInterval` in seconds; KEDA's default is 30.
    pub(super) polling_interval: u64,
    /// The trigger's `useCachedMetrics`.
    pub(super) use_cached_metrics: bool,
    /// The replicas that KEDA sets when the scaler does not answer.
    pub(super) fallback: Option<Fallback>,
    /// `behavior.scaleDown.stabilizationWindowSeconds`
    pub(super) down_window: Option<u64>,
    /// `behavior.scaleUp.stabilizationWindowSeconds`
    pub(super) up_window: Option<u64>,
    /// `behavior.scaleUp.tolerance`
    pub(super) up_tolerance: Option<String>,
    /// `behavior.scaleUp.policies`
    pub(super) up_policies: Option<Vec<UpPolicy>>,
}

/// One entry of `behavior.scaleUp.policies`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpPolicy {
    /// The type of the policy, `Pods` or `Percent`.
    pub(super) r#type: String,
    pub(super) value: u64,
    pub(super) period_seconds: u64,
}

/// The `fallback` of a ScaledObject.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fallback {
    pub(super) replicas: u64,
    pub(super) behavior: Option<String>,
}

/// The kind of scaler that serves a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TriggerKind {
    /// An external scaler, such as this one.
    External,
    /// One of KEDA's built-in scalers, by name.
    BuiltIn(String),
}

#[derive(Deserialize)]
struct Document {
    kind: Option<String>,
    metadata: Option<ObjectMetadata>,
    spec: Option<Spec>,
}

/// The `metadata` of an object.
#[derive(Default, Deserialize)]
pub(super) struct ObjectMetadata {
    name: Option<String>,
    namespace: Option<String>,
}

impl ObjectMetadata {
    /// Returns the namespace and the name.
    pub(super) fn names(self) -> (String, String) {
        (
            self.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            self.name.unwrap_or_else(|| "unnamed".to_owned()),
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    scale_target_ref: ScaleTarget,
    min_replica_count: Option<u64>,
    max_replica_count: Option<u64>,
    polling_interval: Option<u64>,
    fallback: Option<Fallback>,
    #[serde(default)]
    advanced: Advanced,
    #[serde(default)]
    triggers: Vec<TriggerEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScaleTarget {
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Advanced {
    horizontal_pod_autoscaler_config: HpaConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HpaConfig {
    behavior: Behavior,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Behavior {
    scale_up: ScalingRules,
    scale_down: ScalingRules,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScalingRules {
    stabilization_window_seconds: Option<u64>,
    tolerance: Option<Scalar>,
    policies: Option<Vec<UpPolicy>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggerEntry {
    r#type: Spanned<String>,
    metric_type: Option<String>,
    #[serde(default)]
    use_cached_metrics: bool,
    #[serde(default)]
    metadata: BTreeMap<String, Spanned<Scalar>>,
}

/// A metadata value of any scalar type. Kubernetes rejects values that are not text; the command does the same with an error message.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

impl TriggerText {
    /// Returns the line of a key, or of the trigger if the key is not written.
    pub(super) fn line_of(&self, key: &str) -> u64 {
        let written = self.lines.get(key).or_else(|| self.lines.get(&format!("{key}FromEnv")));
        written.copied().unwrap_or(self.line)
    }

    /// Returns the keys whose values KEDA takes from the environment of the workload, each with its variable: the file does not
    /// contain the value.
    pub(super) fn environment_values(&self) -> BTreeMap<&str, &str> {
        let has = |key: &str| self.metadata.get(key).is_some_and(|value| !value.trim().is_empty());
        let entries = self.metadata.iter().filter_map(|(key, variable)| Some((key.strip_suffix("FromEnv")?, variable)));
        entries
            .filter(|(key, variable)| !variable.trim().is_empty() && !has(key))
            .map(|(key, v)| (key, v.trim()))
            .collect()
    }

    /// Parses the trigger, if the file contains all of it.
    ///
    /// # Errors
    /// Returns every problem, and every value that exists only in the environment of the workload.
    pub(super) fn whole_trigger(&self) -> Result<Trigger, TriggerError> {
        let unknown = self.environment_values().into_iter().map(|(key, variable)| Problem {
            key: key.to_owned(),
            message: format!(
                "is the variable {variable} of the workload, which is not known here: give {key} itself, in a copy of this file"
            ),
            about: About::Value,
        });
        let problems: Vec<_> = unknown.collect();
        if problems.is_empty() { Trigger::parse(&self.metadata) } else { Err(TriggerError { problems }) }
    }
}

/// Reads all triggers of a file, or of stdin for `-`.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<TriggerText>> {
    parse(&read_text(file)?).with_context(|| format!("in {}", file.display()))
}

/// Reads the text of a file, or of stdin for `-`.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("reading stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// Parses all triggers of a text.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<TriggerText>> {
    let documents: Vec<Option<Document>> = serde_saphyr::from_multiple(text)?;
    let mut triggers = Vec::new();
    for document in documents.into_iter().flatten() {
        let kind = document.kind.unwrap_or_default();
        if kind != "ScaledObject" && kind != "ScaledJob" {
            continue;
        }
        let (namespace, name) = document.metadata.unwrap_or_default().names();
        let object = format!("{kind} {namespace}/{name}");
        let Some(spec) = document.spec else { continue };
        for (index, entry) in spec.triggers.into_iter().enumerate() {
            let mut trigger = trigger(&object, &namespace, index, entry)?;
            trigger.name.clone_from(&name);
            let Behavior { scale_up, scale_down } = spec.advanced.horizontal_pod_autoscaler_config.behavior.clone();
            trigger.scaling = Scaling {
                of_stream: spec.scale_target_ref.kind.as_deref() == Some("KinesisStream"),
                min_replicas: spec.min_replica_count.unwrap_or(0),
                max_replicas: spec.max_replica_count.unwrap_or(100),
                polling_interval: spec.polling_interval.unwrap_or(30),
                fallback: spec.fallback.clone(),
                down_window: scale_down.stabilization_window_seconds,
                up_window: scale_up.stabilization_window_seconds,
                up_tolerance: scale_up.tolerance.map(Scalar::text),
                up_policies: scale_up.policies,
                ..trigger.scaling
            };
            triggers.push(trigger);
        }
    }
    Ok(triggers)
}

fn trigger(object: &str, namespace: &str, index: usize, entry: TriggerEntry) -> anyhow::Result<TriggerText> {
    let mut metadata = HashMap::new();
    let mut lines = HashMap::new();
    for (key, value) in entry.metadata {
        let line = value.referenced.line();
        let value = match value.value {
            Scalar::Text(text) => text,
            Scalar::Number(number) => anyhow::bail!("line {line}: {key}: {number} must be in quotes"),
            Scalar::Flag(flag) => anyhow::bail!("line {line}: {key}: {flag} must be in quotes"),
        };
        lines.insert(key.clone(), line);
        metadata.insert(key, value);
    }
    let kind = match entry.r#type.value.as_str() {
        "external" | "external-push" => TriggerKind::External,
        other => TriggerKind::BuiltIn(other.to_owned()),
    };
    Ok(TriggerText {
        object: object.to_owned(),
        name: String::new(),
        namespace: namespace.to_owned(),
        index,
        kind,
        metric_type: entry.metric_type.unwrap_or_else(|| "AverageValue".to_owned()),
        scaling: Scaling { use_cached_metrics: entry.use_cached_metrics, ..Scaling::default() },
        metadata,
        lines,
        line: entry.r#type.referenced.line(),
    })
}

/// Reads all triggers of the given files.
pub(super) fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, TriggerText)>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file)?.into_iter().map(|trigger| (file.clone(), trigger)));
    }
    anyhow::ensure!(!all.is_empty(), "there is no trigger of a ScaledObject or ScaledJob in what was given");
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# a comment
apiVersion: apps/v1
kind: Deployment
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders, namespace: shop}
spec:
  maxReplicaCount: 12
  triggers:
    - type: external
      metadata:
        source: kafka
        lagThreshold: \"5\"
        passwordFromEnv: PW
    - type: cpu
      metricType: Utilization
      metadata: {value: \"80\"}
";

    #[test]
    fn every_trigger_comes_with_its_object_and_the_lines_of_its_keys() {
        let triggers = parse(SAMPLE).expect("good YAML");
        assert_eq!(triggers.len(), 2);
        let first = &triggers[0];
        assert_eq!((first.object.as_str(), first.namespace.as_str()), ("ScaledObject shop/orders", "shop"));
        assert_eq!((first.scaling.max_replicas, first.metric_type.as_str()), (12, "AverageValue"));
        assert_eq!(first.metadata["lagThreshold"], "5");
        let lines = ["source", "lagThreshold", "password", "topic"].map(|key| first.line_of(key));
        assert_eq!(lines, [13, 14, 15, 11], "a missing key has the line of its trigger");
        assert_eq!(triggers[1].kind, TriggerKind::BuiltIn("cpu".into()));
    }

    #[test]
    fn metadata_that_kubernetes_would_refuse_is_refused_with_its_line() {
        let error = parse(&SAMPLE.replace("\"5\"", "5")).err().expect("no text").to_string();
        assert_eq!(error, "line 14: lagThreshold: 5 must be in quotes");
    }
}
