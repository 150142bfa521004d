//! JSON Schema of the connections file.

use serde_json::{Value, json};

use crate::trigger::schema::{aws_parameters, kafka_parameters};

/// Returns the JSON Schema (2020-12) of the connections file. It accepts what `serve` accepts, except that it requires values without
/// surrounding blanks and checks keys that have no effect; and it cannot see the content of files that the connections file names.
#[must_use]
pub fn connections_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Connections file of keda-stream-scaler",
        "description": "Addresses and credentials by name, and which namespaces may use what",
        "type": "object",
        "properties": {
            "connections": {
                "description": "Named addresses and credentials",
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/connection"},
            },
            "metadata": {
                "description": "What triggers may name themselves; absent: any broker on another host, any stream, no role, no endpoint",
                "type": "array",
                "items": {"$ref": "#/$defs/metadataRule"},
            },
            "resize": {
                "description": "Which streams a namespace may resize, and up to how many shards",
                "type": "array",
                "items": {"$ref": "#/$defs/resizeRule"},
            },
        },
        "additionalProperties": false,
        "$defs": {
            "patterns": {"type": "array", "items": {"type": "string"}, "description": "Names in which * matches any run of characters"},
            "connection": connection(),
            "metadataRule": metadata_rule(),
            "resizeRule": resize_rule(),
        },
    })
}

fn patterns(description: &str) -> Value {
    json!({"$ref": "#/$defs/patterns", "description": description})
}

fn connection() -> Value {
    let mut kafka = kafka_parameters();
    kafka["description"] = "A Kafka cluster: addresses, TLS and login".into();
    let mut aws = aws_parameters();
    aws["description"] = "An AWS account: region and identity".into();
    json!({
        "type": "object",
        "required": ["namespaces"],
        "properties": {"namespaces": patterns("Namespaces whose triggers may use it; [] allows none"), "kafka": kafka, "aws": aws},
        "additionalProperties": false,
        "oneOf": [{"required": ["kafka"]}, {"required": ["aws"]}],
    })
}

fn metadata_rule() -> Value {
    json!({
        "type": "object",
        "required": ["namespaces"],
        "properties": {
            "namespaces": patterns("Namespaces to which the rule applies"),
            "bootstrapServers": patterns("Brokers that a trigger may name; [] by default"),
            "awsRoleArns": patterns("Roles that the scaler assumes for a trigger; [] by default"),
            "awsEndpoints": patterns("Endpoints that a trigger may name; [] by default"),
            "awsResources": patterns("Streams and tables that the scaler's own AWS identity reads; [\"*\"] by default"),
        },
        "additionalProperties": false,
    })
}

fn resize_rule() -> Value {
    json!({
        "type": "object",
        "required": ["namespaces", "streams", "maxShards"],
        "properties": {
            "namespaces": patterns("Namespaces whose KinesisStream objects may resize"),
            "streams": patterns("Names of the streams"),
            "maxShards": {
                "type": "integer", "minimum": 0, "maximum": u32::MAX,
                "description": "The highest spec.maxShards of an object; of several matching rules the greatest counts",
            },
        },
        "additionalProperties": false,
    })
}
