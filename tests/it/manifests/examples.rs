//! The examples are what they say, and would be served.

use std::collections::HashMap;
use std::path::Path;

use keda_stream_scaler::lag::Observe as _;
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use serde_json::Value;

use crate::support::manifests::{documents, files, root};
use crate::support::process::{Ended, run};

/// Namespace and metadata of every external trigger.
fn triggers(objects: &[Value]) -> Vec<(String, HashMap<String, String>)> {
    let scaled = objects.iter().filter(|object| matches!(object["kind"].as_str(), Some("ScaledObject" | "ScaledJob")));
    let all = scaled.flat_map(|object| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        let triggers = object["spec"]["triggers"].as_array().unwrap().iter();
        let external = triggers.filter(|trigger| trigger["type"].as_str().unwrap().starts_with("external"));
        external.map(move |trigger| (namespace.clone(), serde_json::from_value(trigger["metadata"].clone()).unwrap()))
    });
    all.collect()
}

fn read(path: &Path) -> Vec<Value> {
    documents(&std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn validate_finds_every_example_good_and_has_no_advice() {
    for path in files("k8s/examples", ".yaml") {
        let objects = read(&path);
        if triggers(&objects).is_empty() {
            continue;
        }
        let Ended { code, stdout, stderr } = run(&["validate", path.to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(!stdout.contains("advice"), "{stdout}");
    }
}

#[test]
fn the_connections_of_an_example_admit_its_triggers_and_nobody_elses() {
    let mut restricted = 0;
    for path in files("k8s/examples", ".yaml") {
        let objects = read(&path);
        let secret = objects.iter().find(|object| object["kind"] == "Secret");
        let folder = tempfile::tempdir().unwrap();
        let connections = secret.map_or_else(Connections::default, |secret| {
            for (name, text) in secret["stringData"].as_object().unwrap() {
                std::fs::write(folder.path().join(name), text.as_str().unwrap()).unwrap();
            }
            Connections::read(&folder.path().join("connections.yaml")).unwrap()
        });
        let sources = Sources::new(connections, UpstreamMetrics::default());
        for (namespace, metadata) in triggers(&objects) {
            let trigger = Trigger::parse(&metadata).unwrap();
            sources.admit(&namespace, &trigger.source).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
            if secret.is_some() {
                assert!(sources.admit("a-stranger", &trigger.source).is_err(), "{}", path.display());
                restricted += 1;
            }
        }
    }
    assert!(restricted >= 7, "{restricted}");
}

#[test]
fn the_index_names_every_example_with_its_sources_and_policies() {
    let index = std::fs::read_to_string(root().join("k8s/examples/README.md")).unwrap();
    let mut combinations = Vec::new();
    for path in files("k8s/examples", ".yaml") {
        let triggers = triggers(&read(&path));
        let name = path.file_name().unwrap().to_str().unwrap();
        let row = index.lines().find(|line| line.starts_with(&format!("| [{name}]({name})"))).expect(name);
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for (_, metadata) in triggers {
            let source = metadata["source"].clone();
            let default = if source.ends_with("kafka") { "lag" } else { "shardCount" };
            let policy = metadata.get("scaleOn").map_or(default, String::as_str).to_owned();
            assert!(cells[2].contains(&format!("`{source}`")) && cells[3].contains(&format!("`{policy}`")), "{row}");
            combinations.push((source, policy));
        }
    }
    assert_eq!(index.matches("\n| [").count(), files("k8s/examples", ".yaml").len(), "a row for each file");
    combinations.sort();
    combinations.dedup();
    assert_eq!(combinations.len(), 11, "each source with each policy that it has: {combinations:?}");
}
