//! JSON Schema of the parameters of a connection. The keywords are those that draft 7 and 2020-12 have in common.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::keys::{CONNECTION_LISTS, ConnectionKind, KEYS, Key};
use super::super::values::EXTENSIONS;
use super::super::values::{Absence, Values};
use super::json::FLAG;
use super::rules::{all, any_of, is, when};

/// The ending of a key that names a file with the value.
const FILE: &str = "File";
const KEY: [&str; 2] = ["awsAccessKeyID", "awsSecretAccessKey"];
const KEY_AND_TOKEN: [&str; 3] = ["awsAccessKeyID", "awsSecretAccessKey", "awsSessionToken"];

/// Returns the schema of the keys under `kafka`. It does not see the content of files that the keys name.
#[must_use]
pub fn kafka_parameters() -> Value {
    parameters(ConnectionKind::Kafka, "bootstrapServers", kafka_rules())
}

/// Returns the schema of the keys under `aws`. It does not see the content of files that the keys name.
#[must_use]
pub fn aws_parameters() -> Value {
    parameters(ConnectionKind::Aws, "awsRegion", aws_rules())
}

fn parameters(kind: ConnectionKind, required: &str, mut rules: Vec<Value>) -> Value {
    let mut properties = Map::new();
    for key in KEYS.iter().filter(|key| kind.has(key)) {
        properties.insert(key.name.to_owned(), property(key));
        let file = json!({"type": "string", "pattern": r"\S", "description": format!("Name of the file that contains {}", key.name)});
        properties.insert(format!("{}{FILE}", key.name), file);
        let both = json!({"required": [key.name, format!("{}{FILE}", key.name)]});
        rules.push(json!({"not": both}));
    }
    rules.push(present(&[required]));
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "allOf": rules,
    })
}

fn property(key: &Key) -> Value {
    let scalar = json!(["string", "boolean", "integer"]);
    let (mut schema, words) = match key.values {
        Values::OneOf(words) | Values::OneOfSome(_, words) => (json!({"enum": words}), Some(words.join(", "))),
        Values::Flag => {
            let text = json!({"type": "string", "pattern": format!("^({FLAG})$")});
            (json!({"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, text]}), None)
        }
        Values::Form(_, pattern) => (json!({"type": "string", "pattern": format!("^({pattern})$")}), None),
        Values::Text(_) | Values::Integer | Values::AtLeast(_) => (json!({"type": scalar, "pattern": r"\S"}), None),
    };
    if CONNECTION_LISTS.contains(&key.name) {
        schema = json!({"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]});
    }
    let mut description = key.meaning.to_owned();
    if let Some(words) = words {
        // writing to a string cannot fail
        let _ = write!(description, ". Values: {words}");
    }
    schema["description"] = description.into();
    if let Absence::Value(default) = key.default {
        schema["default"] = default.into();
    }
    schema
}

/// One of the keys is present, by itself or as a file.
fn present(keys: &[&str]) -> Value {
    any_of(keys, FILE)
}

fn every(keys: &[&str]) -> Value {
    all(&keys.iter().map(|key| present(&[key])).collect::<Vec<_>>())
}

fn absent(keys: &[&str]) -> Value {
    json!({"not": present(keys)})
}

fn kafka_rules() -> Vec<Value> {
    let own_token = json!({"not": is("saslTokenProvider", &["aws_msk_iam"])});
    let msk = json!({"anyOf": [
        is("sasl", &["aws_msk_iam"]),
        all(&[is("sasl", &["oauthbearer"]), is("saslTokenProvider", &["aws_msk_iam"])]),
    ]});
    let encrypted = json!({"anyOf": [is("tls", &["enable"]), {"required": ["tlsFile"]}]});
    let extensions = json!({"properties": {"oauthExtensions": {"pattern": format!("^({EXTENSIONS})$")}}});
    let static_key = json!({"anyOf": [present(&["awsRoleArn"]), absent(&KEY_AND_TOKEN), every(&KEY)]});
    vec![
        when(present(&["password"]), present(&["sasl"])),
        when(is("tls", &["enable"]), json!({"anyOf": [absent(&["cert", "key"]), every(&["cert", "key"])]})),
        when(is("sasl", &["plaintext", "scram_sha256", "scram_sha512"]), every(&["username", "password"])),
        when(
            all(&[is("sasl", &["oauthbearer"]), own_token]),
            all(&[every(&["username", "password", "oauthTokenEndpointUri"]), extensions]),
        ),
        when(msk, all(&[encrypted, present(&["awsRegion"]), static_key])),
        when(
            is("sasl", &["gssapi"]),
            all(&[
                every(&["username", "realm", "kerberosConfig"]),
                json!({"oneOf": [present(&["password"]), present(&["keytab"])]}),
            ]),
        ),
    ]
}

fn aws_rules() -> Vec<Value> {
    vec![
        when(present(&["awsExternalId"]), present(&["awsRoleArn"])),
        when(present(&["awsRoleArn"]), absent(&KEY_AND_TOKEN)),
        when(present(&KEY_AND_TOKEN), every(&KEY)),
    ]
}
