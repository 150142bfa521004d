//! The chart's values, their schema and their table are one.

use std::fmt::Write as _;

use keda_stream_scaler::tenancy::connections_schema;
use serde_json::{Value, json};

use crate::support::manifests::{documents, files, helm, root};

const BEGIN: &str = "<!-- values -->\n";
const END: &str = "<!-- end of values -->";

/// A value with its comment in `values.yaml`.
struct Described {
    pointer: String,
    meaning: String,
}

/// Every value that has a comment of `# --`. What has none must be a group of such.
fn described(text: &str) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    let mut groups: Vec<(usize, String)> = Vec::new();
    let (mut meaning, mut within) = (None::<String>, None::<usize>);
    for line in text.lines() {
        let (indent, content) = (line.len() - line.trim_start().len(), line.trim());
        if within.is_some_and(|leaf| indent > leaf || content.starts_with("- ")) || content.is_empty() {
            continue;
        }
        within = None;
        if let Some(more) = content.strip_prefix('#') {
            let more = more.trim();
            match (more.strip_prefix("-- "), &mut meaning) {
                (Some(begin), _) => meaning = Some(begin.to_owned()),
                (None, Some(meaning)) => *meaning = format!("{meaning} {more}"),
                (None, None) => {}
            }
            continue;
        }
        let key = content.split(':').next().unwrap();
        groups.retain(|(of, _)| *of < indent);
        let above = groups.last().map_or("", |(_, pointer)| pointer);
        let pointer = format!("{above}/{key}");
        if let Some(meaning) = meaning.take() {
            all.push(Described { pointer, meaning });
            within = Some(indent);
        } else {
            assert_eq!(content, format!("{key}:"), "a value without a comment");
            groups.push((indent, pointer));
        }
    }
    all
}

fn values() -> (Vec<Described>, Value) {
    let text = std::fs::read_to_string(root().join("k8s/chart/values.yaml")).unwrap();
    (described(&text), documents(&text).remove(0))
}

#[test]
fn the_table_of_values_is_the_charts() {
    let (described, values) = values();
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for Described { pointer, meaning } in &described {
        let default = values.pointer(pointer).unwrap();
        // writing to a string cannot fail
        let _ = writeln!(table, "| `{}` | `{default}` | {meaning} |", pointer[1..].replace('/', "."));
    }
    let path = root().join("k8s/chart/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == fresh, "the chart's table is stale: run UPDATE_GENERATED=1 cargo test --test it manifests");
}

/// The schema with the description of each value, and with the schema of the connections file where the chart takes one.
fn with_generated_parts(mut schema: Value, described: &[Described]) -> Value {
    let mut connections = connections_schema();
    schema["$defs"] = connections["$defs"].take();
    schema["properties"]["connections"]["properties"]["config"] =
        json!({"type": "object", "additionalProperties": false, "properties": connections["properties"]});
    for Described { pointer, meaning } in described {
        let place = pointer.replace('/', "/properties/");
        if let Some(value) = schema.pointer_mut(&place) {
            value["description"] = meaning.as_str().into();
        }
    }
    schema
}

#[test]
fn the_schema_describes_each_value_and_the_connections_file() {
    let (described, _) = values();
    let path = root().join("k8s/chart/values.schema.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    let fresh = with_generated_parts(serde_json::from_str(&kept).unwrap(), &described);
    let fresh = serde_json::to_string_pretty(&fresh).unwrap() + "\n";
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(kept == fresh, "the chart's schema is stale: run UPDATE_GENERATED=1 cargo test --test it manifests");
    }
}

#[test]
fn the_schema_has_every_value_and_no_other() {
    let (described, values) = values();
    let schema = std::fs::read_to_string(root().join("k8s/chart/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    compare("", &schema, &values, &described);
}

/// Takes a value away; tells whether it was there.
fn remove(values: &mut Value, pointer: &str) -> bool {
    let (group, name) = pointer.rsplit_once('/').unwrap();
    values.pointer_mut(group).and_then(Value::as_object_mut).is_some_and(|group| group.remove(name).is_some())
}

#[test]
fn every_value_has_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.json");
    let render = |values: &Value| {
        std::fs::write(&path, values.to_string()).unwrap();
        helm(&["--values", path.to_str().unwrap()])
    };
    let (described, _) = values();
    let mut untried: Vec<_> = described.iter().map(|value| value.pointer.as_str()).collect();
    for path in files("k8s/chart/ci", "-values.yaml") {
        let all = documents(&std::fs::read_to_string(&path).unwrap()).remove(0);
        let rendered = render(&all);
        for Described { pointer, .. } in &described {
            let mut others = all.clone();
            if remove(&mut others, pointer) {
                assert!(render(&others) != rendered, "{pointer} of {} has no effect", path.display());
                untried.retain(|untried| untried != pointer);
            }
        }
    }
    assert!(untried.is_empty(), "no ci values file sets {untried:?}");
}

fn compare(pointer: &str, schema: &Value, values: &Value, described: &[Described]) {
    if described.iter().any(|value| value.pointer == pointer) {
        return;
    }
    let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{pointer}: a group has properties"));
    let open = pointer == "/global";
    assert_eq!(schema["additionalProperties"].is_null(), open, "{pointer}: refuses what it does not name");
    let values = values.as_object().unwrap();
    for (name, schema) in properties {
        let below = format!("{pointer}/{name}");
        // set by a chart around this one, never here
        if below == "/enabled" || schema["$ref"] == "#/definitions/probe" {
            continue;
        }
        let value = values.get(name).unwrap_or_else(|| panic!("{below} is in the schema only"));
        compare(&below, schema, value, described);
    }
    for name in values.keys() {
        assert!(properties.contains_key(name), "{pointer}/{name} is not in the schema");
    }
}
