//! The kind KinesisStream: a stream whose shards can be scaled like the replicas of a Deployment.

use std::collections::BTreeMap;

use kube::{CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name of the controller's finalizer: until it is removed, a deleted object keeps its tag on the stream.
pub(super) const FINALIZER: &str = "keda-stream-scaler.io/claim";
/// The key of the selector. No pod has this label; the HPA only requires a selector that is not empty.
pub(super) const SELECTOR_KEY: &str = "keda-stream-scaler.io/kinesis-stream";

/// The stream, the bounds of its shard count, and the consumers that a lower count waits for.
#[expect(clippy::duplicated_attributes, reason = "each column has a name and a type")]
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "keda-stream-scaler.io",
    version = "v1alpha1",
    kind = "KinesisStream",
    plural = "kinesisstreams",
    namespaced,
    status = "KinesisStreamStatus",
    derive = "PartialEq",
    doc = "A provisioned Kinesis data stream whose shards are set through /scale.",
    scale(
        spec_replicas_path = ".spec.shards",
        status_replicas_path = ".status.shards",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Shards", type_ = "integer", json_path = ".status.shards"),
    printcolumn(name = "Wanted", type_ = "integer", json_path = ".status.wanted"),
    printcolumn(name = "Calls left", type_ = "integer", json_path = ".status.callsLeft"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.why"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.minShards <= self.maxShards", "message": "minShards must not be more than maxShards"},
    {"rule": "self.streamName == oldSelf.streamName", "message": "streamName cannot be changed: create another object"},
    {"rule": "has(self.awsRegion) == has(oldSelf.awsRegion) && (!has(self.awsRegion) || self.awsRegion == oldSelf.awsRegion)",
     "message": "awsRegion cannot be changed: create another object"}
]))]
pub struct KinesisStreamSpec {
    /// The name of the stream.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_.-]{1,128}$"))]
    pub stream_name: String,
    /// Its AWS region; that of the connection where one is named.
    pub aws_region: Option<String>,
    /// A named connection of the connections file, as in a trigger.
    pub connection: Option<String>,
    /// The role to assume, as in a trigger.
    pub aws_role_arn: Option<String>,
    /// The external ID that the role's owner requires, as in a trigger.
    pub aws_external_id: Option<String>,
    /// The most shards that the stream may have.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_shards: u32,
    /// The fewest shards that it may have.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_shards: u32,
    /// How often the stream may be resized in any 24 hours, by others included. AWS allows ten calls.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub calls_per_day: u32,
    /// Only report the calls that would be made, without making them.
    #[serde(default)]
    pub dry_run: bool,
    /// The applications whose consumers a lower count waits for: applicationName, and the other keys of scaleOn: age. Without one, the
    /// latest reader of the stream counts.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub consumers: Vec<BTreeMap<String, String>>,
    /// A lower count waits while one of them is later than this.
    #[serde(default = "five_minutes")]
    pub max_consumer_age: String,
    /// Whether a tag of the stream names the object that resizes it.
    #[serde(default)]
    pub claim: Claim,
    /// The number of shards requested through /scale; without it, the controller sets it to the number of open shards.
    #[schemars(range(min = 1, max = 10_000))]
    pub shards: Option<u32>,
}

/// Whether a tag of the stream names the object that resizes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Claim {
    /// A tag of the stream names the object.
    #[default]
    Tag,
    /// The stream gets no tag, because its tags are managed elsewhere.
    None,
}

/// The state of the stream, and the changes that were made.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KinesisStreamStatus {
    /// The generation of the object that this status describes.
    pub observed_generation: Option<i64>,
    /// The number of open shards.
    pub shards: Option<u32>,
    /// A selector for the HPA; no pod has the label.
    pub selector: Option<String>,
    /// The number of shards requested through /scale.
    pub wanted: Option<u32>,
    /// The target of the call in progress, or of the next one.
    pub target: Option<u32>,
    /// The number of calls that are left within 24 hours.
    pub calls_left: Option<u32>,
    /// The reason for the current state.
    pub why: Option<String>,
    /// The conditions Ready, Resizing and AtTarget.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The newest 20 changes, the newest first.
    #[serde(default)]
    pub actions: Vec<ActionEntry>,
}

/// A condition, with the fields that Kubernetes defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type: Ready, Resizing or AtTarget.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status: True, False or Unknown.
    pub status: String,
    /// The reason as one word.
    pub reason: String,
    /// The explanation: why, until when, and what would help.
    pub message: String,
    /// When the status changed last.
    pub last_transition_time: String,
}

/// A change of the number of shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionEntry {
    /// When the call was made, or the change was first seen.
    pub time: String,
    /// The number of shards before.
    pub from: u32,
    /// The number of shards requested by the call, or found after it.
    pub to: u32,
    /// The reason for the change.
    pub why: String,
    /// `controller`, or `elsewhere` if someone else resized the stream.
    pub by: String,
    /// The outcome: `called`, `refused`, `failed` or `seen`.
    pub outcome: String,
}

const fn one() -> u32 {
    1
}

const fn ten() -> u32 {
    10
}

fn five_minutes() -> String {
    "5m".to_owned()
}

/// Returns the definition of the kind, for `kubectl apply`.
///
/// # Errors
/// Never fails with its own schema.
pub fn definition() -> serde_json::Result<Value> {
    let mut definition = serde_json::to_value(KinesisStream::crd())?;
    plain_integers(&mut definition);
    Ok(definition)
}

/// Removes integer formats, because API servers warn about formats that they do not know.
fn plain_integers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(|format| format == "uint32") {
                fields.insert("format".to_owned(), "int32".into());
                fields.entry("minimum").or_insert_with(|| 0.into());
            }
            fields.values_mut().for_each(plain_integers);
        }
        Value::Array(values) => values.iter_mut().for_each(plain_integers),
        _ => {}
    }
}
