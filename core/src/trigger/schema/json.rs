//! JSON Schema (2020-12) of a `ScaledObject` or `ScaledJob` whose external triggers are for this scaler.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::Dialect;
use super::super::dialect::KafkaDialect;
use super::super::keys::{KEYS, Key, Owner};
use super::super::security::sasl_words;
use super::super::values::PARTITIONS_IN_JSON;
use super::super::values::{Absence, Values};
use super::rules::{absent, is, needed, present, rules};
use super::{Reading, sources};

/// The spellings of true and false that Go accepts.
pub(super) const FLAG: &str = "1|t|T|TRUE|true|True|0|f|F|FALSE|false|False";
/// Kafka's rule for names of topics.
const TOPIC: &str = "[A-Za-z0-9._-]{1,249}";

/// The schema. It accepts what `validate` accepts, except that it does not check ranges of durations and numbers; and it requires values
/// without surrounding blanks, which KEDA trims.
#[must_use]
pub fn json_schema() -> Value {
    let of_keda = json!({"required": ["kind"], "properties": {"kind": {"enum": ["ScaledObject", "ScaledJob"]}}});
    let triggers = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/trigger"}});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ScaledObject or ScaledJob with triggers of keda-stream-scaler",
        "description": "Objects of other kinds, and triggers of other types than external and external-push, are left alone.",
        "type": "object",
        "if": of_keda,
        "then": {"required": ["spec"], "properties": {"spec": {
            "type": "object", "required": ["triggers"], "properties": {"triggers": triggers},
        }}},
        // as kubectl get -o yaml prints several objects
        "else": {
            "if": {"required": ["kind"], "properties": {"kind": {"pattern": "List$"}}},
            "then": {"properties": {"items": {"type": "array", "items": {"$ref": "#"}}}},
        },
        "$defs": {"trigger": trigger(), "metadata": metadata()},
    })
}

fn trigger() -> Value {
    let external = is("type", &["external", "external-push"]);
    let counting = is("scaleOn", &["catchUp", "writeUtilization"]);
    let counting = json!({"required": ["metadata"], "properties": {"metadata": counting}});
    let message = "catchUp and writeUtilization count replicas: leave metricType out";
    let average = json!({"enum": ["AverageValue"], "errorMessage": message});
    json!({
        "type": "object",
        "required": ["type", "metadata"],
        "properties": {
            "type": {"type": "string", "minLength": 1, "description": "external, or external-push to be woken at once"},
            "metadata": {"type": "object"},
            "metricType": {"type": "string", "description": "AverageValue where it is absent; Value for scaleOn age"},
        },
        "if": external,
        "then": {
            "properties": {"metadata": {"$ref": "#/$defs/metadata"}, "metricType": {"enum": ["AverageValue", "Value"]}},
            "if": counting,
            "then": {"properties": {"metricType": average}},
        },
    })
}

fn metadata() -> Value {
    let ours = || KEYS.iter().filter(|key| key.owner != Owner::Connection);
    let properties: Map<_, _> = ours().map(|key| (key.name.to_owned(), property(key))).collect();
    // a source or policy from the environment is unknown here
    let twins: Vec<_> = ours().map(|key| key.name).filter(|name| !matches!(*name, "source" | "scaleOn")).collect();
    let twin = json!({"type": "string", "pattern": r"\S",
        "description": "The environment variable of the scale target that holds the value"});
    let blocks = sources().map(|(source, dialect, readings)| source_block(source, dialect, &readings));
    let all: Vec<_> = blocks.chain(policy_blocks()).chain(rules()).collect();
    json!({
        "type": "object",
        "required": ["source", "scalerAddress"],
        "properties": properties,
        "patternProperties": {format!("^({})FromEnv$", twins.join("|")): twin},
        "additionalProperties": false,
        "allOf": all,
    })
}

/// The schema of a key that applies to every source that accepts it.
fn property(key: &Key) -> Value {
    let values = key.values.to_string();
    let values = if values.is_empty() { values } else { format!(". Values: {values}") };
    // keys that one source checks, and another does not, are in its block
    let mut schema = if key.owner == Owner::KafkaOnly { json!({}) } else { shape(key.values) };
    schema["type"] = "string".into();
    schema["description"] = format!("{}{values}", key.meaning).into();
    if let Absence::Value(default) = key.default {
        schema["default"] = default.into();
    }
    schema
}

fn shape(values: Values) -> Value {
    let whole = |pattern: &str, expected: &str| json!({"pattern": format!("^({pattern})$"), "errorMessage": format!("expected: {expected}")});
    match values {
        Values::Text(_) => json!({"pattern": r"\S", "errorMessage": "expected: a text that is not empty"}),
        Values::Form(expected, pattern) => whole(pattern, expected),
        Values::OneOf(words) | Values::OneOfSome(_, words) => json!({"enum": words}),
        Values::Flag => {
            let expected = "expected: true or false";
            json!({"pattern": format!("^({FLAG})$"), "examples": ["true", "false"], "errorMessage": expected})
        }
        Values::Integer => whole(r"-?(0|[1-9]\d{0,18})", "whole number"),
        Values::AtLeast(0) => whole(r"-?0|[1-9]\d{0,18}", "whole number of at least 0"),
        Values::AtLeast(_) => whole(r"[1-9]\d{0,18}", "whole number of at least 1"),
    }
}

/// The keys that a source rejects, requires, or reads in its own way.
fn source_block(source: &str, dialect: Dialect, readings: &[Reading]) -> Value {
    let words: Vec<_> = readings.iter().map(|reading| reading.scale_on).collect();
    let mut own = Map::from_iter([("scaleOn".to_owned(), json!({"enum": words}))]);
    if let Dialect::Kafka(kafka) = dialect {
        own.extend(of_kafka(kafka));
    }
    let mut refused: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut needed = Vec::new();
    for key in KEYS.iter().filter(|key| key.owner != Owner::Connection) {
        let taking = readings.iter().filter(|reading| reading.reader.refusal(key).is_none());
        let taking: Vec<_> = taking.map(|reading| reading.scale_on).collect();
        let refusal = readings.iter().find_map(|reading| reading.reader.refusal(key));
        if let (true, Some(refusal)) = (taking.is_empty(), refusal) {
            refused.entry(refusal).or_default().push(key.name);
        } else if let Some(presence) = needed_presence(key, dialect) {
            // the first policy is the default and needs no word
            needed.push(if taking.len() == readings.len() {
                presence
            } else {
                json!({"if": is("scaleOn", &taking), "then": presence})
            });
        }
    }
    let refused = refused.into_iter().map(|(refusal, keys)| absent(&keys, refusal));
    let all: Vec<_> = needed.into_iter().chain(refused).collect();
    json!({"if": is("source", &[source]), "then": {"properties": own, "allOf": all}})
}

/// The condition that a key, or the one that replaces it, is present.
fn needed_presence(key: &Key, dialect: Dialect) -> Option<Value> {
    match key.default {
        // `source` is always required
        Absence::Required if key.name != "source" => Some(needed(&[key.name])),
        // only AWS needs a region
        Absence::RequiredWithout(..)
            if (key.owner, matches!(dialect, Dialect::Kafka(_))) == (Owner::KafkaAndAws, true) =>
        {
            None
        }
        Absence::RequiredWithout(others, _) => Some(needed(&[&[key.name], others].concat())),
        _ => None,
    }
}

/// How one of the two Kafka sources reads keys that the other reads differently.
fn of_kafka(dialect: KafkaDialect) -> Map<String, Value> {
    let mechanisms: Vec<_> = sasl_words(dialect).collect();
    let sasl = ("sasl".to_owned(), json!({"enum": mechanisms}));
    match dialect {
        KafkaDialect::ApacheKafka => {
            let topics = json!({"pattern": format!("^[ ,]*{TOPIC}( *,[ ,]*{TOPIC})*[ ,]*$")});
            let partitions = json!({"pattern": format!("^({PARTITIONS_IN_JSON})$")});
            Map::from_iter([sasl, ("topic".to_owned(), topics), ("partitionLimitation".to_owned(), partitions)])
        }
        KafkaDialect::Kafka => {
            let topic = ("topic".to_owned(), json!({"pattern": format!("^{TOPIC}$")}));
            let checked = KEYS.iter().filter(|key| key.owner == Owner::KafkaOnly);
            let checked = checked.map(|key| (key.name.to_owned(), shape(key.values)));
            [sasl, topic].into_iter().chain(checked).collect()
        }
    }
}

/// Keys of some policies only, rejected where another policy is chosen.
fn policy_blocks() -> impl Iterator<Item = Value> {
    // by the policies that accept the keys, and whether one of these applies without `scaleOn`
    let mut blocks: BTreeMap<(Vec<&str>, &str), Vec<&str>> = BTreeMap::new();
    let readings: Vec<_> = sources().flat_map(|(_, _, readings)| readings).collect();
    for key in KEYS.iter().filter(|key| {
        matches!(
            key.owner,
            Owner::Lag
                | Owner::ShardCount
                | Owner::Age
                | Owner::Application
                | Owner::CatchUp
                | Owner::WriteUtilization
                | Owner::Utilization
        )
    }) {
        let taking = readings.iter().filter(|reading| reading.reader.refusal(key).is_none());
        let mut taking: Vec<_> = taking.map(|reading| reading.scale_on).collect();
        taking.sort_unstable();
        taking.dedup();
        let refusal = readings.iter().find_map(|reading| reading.reader.refusal(key));
        blocks.entry((taking, refusal.unwrap_or_default())).or_default().push(key.name);
    }
    let defaults: Vec<_> = sources().filter_map(|(_, _, readings)| Some(readings.first()?.scale_on)).collect();
    blocks.into_iter().map(move |((taking, refusal), keys)| {
        let mut taken = is("scaleOn", &taking);
        if taking.iter().any(|word| defaults.contains(word)) {
            taken = json!({"anyOf": [taken, {"not": present(&["scaleOn"])}]});
        }
        json!({"if": taken, "else": absent(&keys, refusal)})
    })
}
