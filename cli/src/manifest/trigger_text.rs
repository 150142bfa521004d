//! ScaledObjects and ScaledJobs as people write them, with the line of every key.

use std::collections::{BTreeMap, HashMap};

use super::{Located, Node, Scalar, names};
use crate::trigger::{About, Problem, Trigger, TriggerError};

/// One object, with what is wrong outside its triggers.
pub(crate) struct ScaledText {
    /// The kind, namespace and name, such as `ScaledObject shop/orders`.
    pub(crate) object: String,
    pub(crate) problems: Vec<Located>,
    pub(crate) triggers: Vec<TriggerText>,
}

/// One trigger of one object, as written in the file.
#[derive(Clone)]
pub(crate) struct TriggerText {
    /// The kind, namespace and name, such as `ScaledObject shop/orders`.
    pub(crate) object: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) index: usize,
    pub(crate) kind: TriggerKind,
    /// Who turns the value into a number of pods.
    pub(crate) read_by: ReadBy,
    /// KEDA's `metricType`; `AverageValue` where it is absent.
    pub(crate) metric_type: String,
    /// The settings of the object for its HPA and for KEDA.
    pub(crate) scaling: Scaling,
    pub(crate) metadata: HashMap<String, String>,
    /// Values that Kubernetes rejects because of their form.
    pub(crate) problems: Vec<Problem>,
    /// The line of each key of the metadata.
    lines: HashMap<String, u64>,
    /// The line where the trigger begins.
    line: u64,
}

/// Who turns the value of a trigger into a number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadBy {
    /// The HPA that KEDA creates for a ScaledObject.
    Hpa,
    /// KEDA itself, which creates the jobs of a ScaledJob.
    Keda,
}

/// The settings of an object for KEDA and its HPA, where the object has them.
#[derive(Clone, Default)]
pub(crate) struct Scaling {
    /// Whether `scaleTargetRef` is a KinesisStream, so that replicas are shards.
    pub(crate) of_stream: bool,
    /// `minReplicaCount`; KEDA's default is 0.
    pub(crate) min_replicas: u64,
    /// `maxReplicaCount`; KEDA's default is 100.
    pub(crate) max_replicas: u64,
    /// `pollingInterval` in seconds; KEDA's default is 30.
    pub(crate) polling_interval: u64,
    /// The trigger's `useCachedMetrics`.
    pub(crate) use_cached_metrics: bool,
    /// The replicas that KEDA sets when the scaler does not answer.
    pub(crate) fallback: Option<Fallback>,
    /// `behavior.scaleDown.stabilizationWindowSeconds`
    pub(crate) down_window: Option<u64>,
    /// `behavior.scaleUp.stabilizationWindowSeconds`
    pub(crate) up_window: Option<u64>,
    /// `behavior.scaleUp.tolerance`
    pub(crate) up_tolerance: Option<String>,
    /// `behavior.scaleUp.policies`
    pub(crate) up_policies: Option<Vec<UpPolicy>>,
}

/// One entry of `behavior.scaleUp.policies`.
#[derive(Clone, Debug)]
pub(crate) struct UpPolicy {
    /// The type of the policy, `Pods` or `Percent`.
    pub(crate) r#type: String,
    pub(crate) value: u64,
    pub(crate) period_seconds: u64,
}

/// The `fallback` of a ScaledObject.
#[derive(Clone, Debug)]
pub(crate) struct Fallback {
    pub(crate) replicas: u64,
    pub(crate) behavior: Option<String>,
}

/// The kind of scaler that serves a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TriggerKind {
    /// An external scaler, such as this one.
    External,
    /// One of KEDA's built-in scalers, by name.
    BuiltIn(String),
}

/// Reads fields of an object, and collects those that Kubernetes would reject.
#[derive(Default)]
struct Fields {
    problems: Vec<Located>,
}

impl ScaledText {
    /// Returns whether the object has triggers of KEDA.
    pub(crate) fn is_one(object: &Node) -> bool {
        matches!(object.get("kind").and_then(Node::text), Some("ScaledObject" | "ScaledJob"))
    }

    pub(super) fn read(node: &Node) -> Self {
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        let (namespace, name) = names(node);
        let object = format!("{kind} {namespace}/{name}");
        let mut fields = Fields::default();
        let spec = node.get("spec").unwrap_or(node);
        let scaling = fields.scaling(spec);
        let entries = spec.get("triggers");
        if entries.is_none_or(|entries| entries.items().is_empty()) {
            fields.problem(entries.unwrap_or(node), "triggers", "is required: a list with at least one trigger");
        }
        let read_by = if kind == "ScaledJob" { ReadBy::Keda } else { ReadBy::Hpa };
        let trigger = |(index, entry): (usize, &Node)| {
            let scaling = scaling.clone();
            let trigger = TriggerText { index, read_by, scaling, ..TriggerText::read(entry) };
            TriggerText { object: object.clone(), name: name.clone(), namespace: namespace.clone(), ..trigger }
        };
        let mut triggers: Vec<_> = entries.map_or(&[][..], Node::items).iter().enumerate().map(trigger).collect();
        for (trigger, entry) in triggers.iter_mut().zip(entries.map_or(&[][..], Node::items)) {
            trigger.scaling.use_cached_metrics = fields.flag(entry, "useCachedMetrics");
        }
        Self { object, problems: fields.problems, triggers }
    }
}

impl Fields {
    fn problem(&mut self, node: &Node, key: &str, message: &str) {
        self.problems.push(Located { line: node.line, key: key.to_owned(), message: message.to_owned() });
    }

    /// Returns a whole number, which must not be in quotes.
    fn whole(&mut self, parent: Option<&Node>, key: &str) -> Option<u64> {
        let node = parent?.get(key)?;
        match node.scalar() {
            Some(Scalar::Null) => return None,
            Some(Scalar::Number(number)) => {
                if let Ok(number) = number.parse() {
                    return Some(number);
                }
            }
            Some(Scalar::Text(_) | Scalar::Flag(_)) | None => {}
        }
        self.problem(node, key, "must be a whole number without quotes");
        None
    }

    fn flag(&mut self, parent: &Node, key: &str) -> bool {
        match parent.get(key).map(|node| (node, node.scalar())) {
            None | Some((_, Some(Scalar::Null))) => false,
            Some((_, Some(Scalar::Flag(flag)))) => flag,
            Some((node, _)) => {
                self.problem(node, key, "must be true or false without quotes");
                false
            }
        }
    }

    fn scaling(&mut self, spec: &Node) -> Scaling {
        let target = spec.get("scaleTargetRef").and_then(|target| target.get("kind")).and_then(Node::text);
        let hpa = spec.get("advanced").and_then(|advanced| advanced.get("horizontalPodAutoscalerConfig"));
        let behavior = hpa.and_then(|hpa| hpa.get("behavior"));
        let rules = |key: &str| behavior.and_then(|behavior| behavior.get(key));
        let (up, down) = (rules("scaleUp"), rules("scaleDown"));
        let policies = up.and_then(|up| up.get("policies"));
        Scaling {
            of_stream: target == Some("KinesisStream"),
            min_replicas: self.whole(Some(spec), "minReplicaCount").unwrap_or(0),
            max_replicas: self.whole(Some(spec), "maxReplicaCount").unwrap_or(100),
            polling_interval: self.whole(Some(spec), "pollingInterval").unwrap_or(30),
            use_cached_metrics: false,
            fallback: self.fallback(spec.get("fallback")),
            down_window: self.whole(down, "stabilizationWindowSeconds"),
            up_window: self.whole(up, "stabilizationWindowSeconds"),
            up_tolerance: up.and_then(|up| up.get("tolerance")).and_then(Node::text).map(str::to_owned),
            up_policies: policies.map(|all| all.items().iter().filter_map(|policy| self.up_policy(policy)).collect()),
        }
    }

    fn fallback(&mut self, fallback: Option<&Node>) -> Option<Fallback> {
        let behavior = fallback?.get("behavior").and_then(Node::text).map(str::to_owned);
        Some(Fallback { replicas: self.whole(fallback, "replicas")?, behavior })
    }

    fn up_policy(&mut self, policy: &Node) -> Option<UpPolicy> {
        let kind = policy.get("type").and_then(Node::text);
        let (value, period) = (self.whole(Some(policy), "value"), self.whole(Some(policy), "periodSeconds"));
        let (Some(kind), Some(value), Some(period_seconds)) = (kind, value, period) else {
            self.problem(policy, "policies", "each has a type, a value and periodSeconds");
            return None;
        };
        Some(UpPolicy { r#type: kind.to_owned(), value, period_seconds })
    }
}

impl TriggerText {
    /// Reads an entry of `triggers`, without what the object around it adds.
    fn read(entry: &Node) -> Self {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(Problem { key: key.to_owned(), message, about: About::Value });
        };
        let kind = match entry.get("type").and_then(Node::text) {
            Some("external" | "external-push") => TriggerKind::External,
            Some(other) => TriggerKind::BuiltIn(other.to_owned()),
            None => {
                problem("type", "is required, such as external".to_owned());
                TriggerKind::External
            }
        };
        let (mut metadata, mut lines) = (HashMap::new(), HashMap::new());
        for (key, value) in entry.get("metadata").map(Node::fields).unwrap_or_default() {
            let (text, message) = metadata_value(value);
            if let Some(message) = message {
                problem(key, message);
            }
            lines.insert(key.to_owned(), value.line);
            metadata.insert(key.to_owned(), text);
        }
        for repeated in repeated(entry.get("metadata")) {
            problem(repeated, "is there twice".to_owned());
        }
        let metric_type = entry.get("metricType").and_then(Node::text).unwrap_or("AverageValue").to_owned();
        Self {
            object: String::new(),
            name: String::new(),
            namespace: String::new(),
            index: 0,
            kind,
            read_by: ReadBy::Hpa,
            metric_type,
            scaling: Scaling::default(),
            metadata,
            problems,
            lines,
            line: entry.get("type").unwrap_or(entry).line,
        }
    }

    /// Returns the line of a key, or of the trigger if the key is not written.
    pub(crate) fn line_of(&self, key: &str) -> u64 {
        let written = self.lines.get(key).or_else(|| self.lines.get(&format!("{key}FromEnv")));
        written.copied().unwrap_or(self.line)
    }

    /// Returns the keys whose values KEDA takes from the environment of the workload, each with its variable: the file does not
    /// contain the value.
    pub(crate) fn environment_values(&self) -> BTreeMap<&str, &str> {
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
    pub(crate) fn whole_trigger(&self) -> Result<Trigger, TriggerError> {
        let unknown = self.environment_values().into_iter().map(|(key, variable)| Problem {
            key: key.to_owned(),
            message: format!(
                "is the variable {variable} of the workload, which is not known here: give {key} itself, in a copy of this file"
            ),
            about: About::Value,
        });
        let problems: Vec<_> = self.problems.iter().cloned().chain(unknown).collect();
        if problems.is_empty() { Trigger::parse(&self.metadata) } else { Err(TriggerError { problems }) }
    }
}

/// Returns a metadata value as text, and why Kubernetes would reject its form: KEDA's metadata is a map of texts.
fn metadata_value(node: &Node) -> (String, Option<String>) {
    match node.scalar() {
        Some(Scalar::Text(text)) => (text.to_owned(), None),
        Some(Scalar::Null) => (String::new(), None),
        Some(Scalar::Number(_) | Scalar::Flag(_)) => {
            let text = node.text().unwrap_or_default().to_owned();
            let message = format!("{text} must be in quotes");
            (text, Some(message))
        }
        None => {
            let items: Vec<_> = node.items().iter().filter_map(Node::text).collect();
            let text = items.join(",");
            let message = if items.is_empty() {
                "must be a text".to_owned()
            } else {
                format!("must be one text, such as \"{text}\", not a list")
            };
            (text, Some(message))
        }
    }
}

/// Returns the keys that a mapping has more than once.
fn repeated(mapping: Option<&Node>) -> Vec<&str> {
    let keys: Vec<_> = mapping.map_or(&[][..], Node::entries).iter().filter_map(|entry| entry.key.text()).collect();
    let repeated =
        keys.iter().enumerate().filter(|(index, key)| keys.get(..*index).is_some_and(|keys| keys.contains(key)));
    repeated.map(|(_, key)| *key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
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

    fn triggers(text: &str) -> Vec<TriggerText> {
        let scaled = Manifest::parse(text).expect("good YAML").scaled;
        scaled.into_iter().flat_map(|scaled| scaled.triggers).collect()
    }

    #[test]
    fn every_trigger_comes_with_its_object_and_the_lines_of_its_keys() {
        let triggers = triggers(SAMPLE);
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
    fn a_value_that_kubernetes_would_reject_is_a_problem_of_its_key_and_still_a_value() {
        for (value, shown) in [("5", "5 must be in quotes"), ("yes", "yes must be in quotes")] {
            let trigger = &triggers(&SAMPLE.replace("\"5\"", value))[0];
            assert_eq!(trigger.problems[0].message, shown);
            assert_eq!(trigger.metadata["lagThreshold"], value);
        }
        let trigger = &triggers(&SAMPLE.replace("\"5\"", "[a, b]"))[0];
        assert_eq!(trigger.problems[0].message, "must be one text, such as \"a,b\", not a list");
        let trigger = &triggers(&SAMPLE.replace("source: kafka", "lagThreshold: \"6\""))[0];
        assert_eq!((&*trigger.problems[0].key, &*trigger.problems[0].message), ("lagThreshold", "is there twice"));
    }
}
