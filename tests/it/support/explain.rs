//! `explain` of one trigger, in an environment of its own.

use serde_json::{Value, json};

use super::process::run_in;

/// What `explain` says of a trigger in the namespace shop.
pub async fn explain(environment: &[(&str, &str)], connections: &Value, metadata: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let metadata: serde_json::Map<_, _> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let object = json!({
        "kind": "ScaledObject", "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"triggers": [{"type": "external", "metadata": metadata}]},
    });
    // JSON is YAML
    let path = |name: &str, text: &Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (object, connections) = (path("object.yaml", &object), path("connections.yaml", connections));
    let ended = run_in(environment, &["explain", "-o", "json", "--connections", &connections, &object]).await;
    let explained: Value = serde_json::from_str(&ended.stdout).expect(&ended.stderr);
    explained[0].clone()
}

/// The code and the message of a trigger without a value.
#[track_caller]
pub fn failure(explained: &Value) -> (&str, &str) {
    assert_eq!(explained["outcome"], "failed", "{explained}");
    (explained["code"].as_str().unwrap(), explained["message"].as_str().unwrap())
}
