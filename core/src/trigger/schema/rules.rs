//! The rules between keys, where a schema can express them, and the helpers that build them.

use serde_json::{Map, Value, json};

const KAFKA: &[&str] = &["kafka", "apache-kafka"];
const AWS: &[&str] = &["aws-kinesis-stream", "aws-dynamodb-streams"];
const TRUE: &[&str] = &["1", "t", "T", "TRUE", "true", "True"];
const FALSE: &[&str] = &["0", "f", "F", "FALSE", "false", "False"];

/// The key is present with one of these values.
pub(super) fn is(key: &str, values: &[&str]) -> Value {
    json!({"required": [key], "properties": {key: {"enum": values}}})
}

/// One of the keys is present, by itself or from the environment.
pub(super) fn present(keys: &[&str]) -> Value {
    any_of(keys, "FromEnv")
}

/// One of the keys must be present, by itself or from the environment; editors show which.
pub(super) fn needed(keys: &[&str]) -> Value {
    let mut schema = present(keys);
    if let Value::Object(schema) = &mut schema {
        schema.insert("errorMessage".to_owned(), format!("{} is missing", keys.join(" or ")).into());
    }
    schema
}

/// One of the keys is present, with or without this ending.
pub(super) fn any_of(keys: &[&str], ending: &str) -> Value {
    let names = keys.iter().flat_map(|key| [(*key).to_owned(), format!("{key}{ending}")]);
    let any: Vec<_> = names.map(|name| json!({"required": [name]})).collect();
    json!({"anyOf": any})
}

/// None of the keys is present; editors show the reason.
pub(super) fn absent(keys: &[&str], reason: &str) -> Value {
    let pattern = format!("^({})(FromEnv)?$", keys.join("|"));
    json!({"patternProperties": {pattern: {"not": {}, "errorMessage": reason}}})
}

/// The rules that involve more than one key.
pub(super) fn rules() -> impl Iterator<Item = Value> {
    connection().into_iter().chain(identity()).chain(application()).chain(caps())
}

pub(super) fn all(parts: &[Value]) -> Value {
    json!({"allOf": parts})
}

pub(super) fn when(condition: Value, then: Value) -> Value {
    Map::from_iter([("if".to_owned(), condition), ("then".to_owned(), then)]).into()
}

fn unless(condition: Value, then: Value) -> Value {
    Map::from_iter([("if".to_owned(), condition), ("else".to_owned(), then)]).into()
}

fn connection() -> Vec<Value> {
    let one_stream = "cannot be given together with streamARN";
    let named = || present(&["connection"]);
    let of_connection =
        ["awsEndpoint", "awsRoleArn", "awsExternalId", "awsAccessKeyID", "awsSecretAccessKey", "awsSessionToken"];
    let needs_secrets = "needs credentials, which only a connection has; name one with the key connection";
    vec![
        when(all(&[is("source", AWS), named()]), absent(&of_connection, "belongs in the connection")),
        when(
            is("source", KAFKA),
            unless(named(), json!({"properties": {"sasl": {"enum": ["none"], "errorMessage": needs_secrets}}})),
        ),
        when(present(&["streamARN"]), absent(&["streamName"], one_stream)),
        when(
            is("compat", &["strict"]),
            json!({"properties": {"scaleOn": {"enum": ["lag", "shardCount"],
                "errorMessage": "compat strict is for lag and shardCount: KEDA has no other"}}}),
        ),
    ]
}

fn identity() -> Vec<Value> {
    let key = ["awsAccessKeyID", "awsSecretAccessKey"];
    vec![
        when(present(&["awsExternalId"]), present(&["awsRoleArn"])),
        when(present(&["awsRoleArn"]), absent(&key, "cannot be given together with awsRoleArn")),
        when(
            present(&["awsAccessKeyID", "awsSecretAccessKey", "awsSessionToken"]),
            all(&key.map(|part| present(&[part]))),
        ),
    ]
}

fn application() -> Vec<Value> {
    let custom = [
        "shardAttribute",
        "shardPattern",
        "checkpointAttribute",
        "ownerAttribute",
        "finishedAttribute",
        "filterAttribute",
        "filterValue",
    ];
    let with = |store: &str, keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| present(&[key])).collect();
        when(is("checkpointStore", &[store]), all(&keys))
    };
    let filter = ["filterAttribute", "filterValue"];
    let table_of_application = |length: &str| {
        json!({"properties": {"applicationName": {"pattern": format!("^[a-zA-Z0-9_.-]{{{length}}}$"),
            "errorMessage": "names no DynamoDB table; name the table in leaseTable"}}})
    };
    let not_of_application = ["harlow", "spring", "redpanda-connect", "kinsumer"];
    let named = json!({"anyOf": [present(&["leaseTable"]), is("checkpointStore", &not_of_application)]});
    vec![
        unless(named, table_of_application("3,255")),
        when(is("checkpointStore", &["kinsumer"]), unless(present(&["leaseTable"]), table_of_application("1,243"))),
        with("harlow", &["applicationName", "leaseTable"]),
        with("spring", &["applicationName"]),
        with("redpanda-connect", &["leaseTable"]),
        with("custom", &["shardAttribute", "checkpointAttribute"]),
        when(present(&filter), all(&filter.map(|part| present(&[part])))),
        when(
            json!({"required": ["shardPattern"], "properties": {"shardPattern": {"pattern": r"\{application\}"}}}),
            present(&["applicationName"]),
        ),
        unless(is("checkpointStore", &["custom"]), absent(&custom, "is for checkpointStore custom only")),
        when(is("initialPosition", &["AT_TIMESTAMP"]), present(&["initialTimestamp"])),
        unless(
            is("initialPosition", &["AT_TIMESTAMP"]),
            absent(&["initialTimestamp"], "is for initialPosition AT_TIMESTAMP only"),
        ),
        when(
            is("ageFrom", &["sequenceNumber"]),
            json!({"properties": {"source": {"not": {"const": "aws-dynamodb-streams"}}, "scaleOn": {"not": {"const": "catchUp"}}}}),
        ),
    ]
}

fn caps() -> Vec<Value> {
    let topic = || present(&["topic"]);
    let not_set = |key: &str| json!({"properties": {key: {"not": {"enum": TRUE}}}});
    let kafka = |flag: &str, values| all(&[is("source", &["kafka"]), is(flag, values)]);
    vec![
        when(
            is("groupType", &["share"]),
            all(&[
                not_set("limitToPartitionsWithLag"),
                not_set("ensureEvenDistributionOfPartitions"),
                json!({"properties": {"compat": {"not": {"const": "strict"}}}}),
            ]),
        ),
        when(is("limitToPartitionsWithLag", TRUE), all(&[topic(), not_set("allowIdleConsumers")])),
        when(kafka("ensureEvenDistributionOfPartitions", TRUE), all(&[topic(), not_set("limitToPartitionsWithLag")])),
        when(kafka("fullMetadata", FALSE), topic()),
    ]
}
