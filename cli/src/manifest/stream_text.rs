//! KinesisStreams as people write them, validated as the API server and the controller validate them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Located, Node, names};
use crate::controller::{KinesisStreamSpec, definition};
use crate::trigger::keys::is_near;

/// The spec of one object, as written in the file.
pub(crate) struct StreamText {
    /// The kind, namespace and name, such as `KinesisStream shop/orders`.
    pub(crate) object: String,
    /// The line where the object begins.
    line: u64,
    /// The fields of the spec, each with its line.
    fields: BTreeMap<String, (u64, Value)>,
}

impl StreamText {
    pub(super) fn read(node: &Node) -> Self {
        let (namespace, name) = names(node);
        let fields = node.get("spec").map(Node::fields).unwrap_or_default();
        let field = |(name, node): (&str, &Node)| (name.to_owned(), (node.line, node.value().unwrap_or_default()));
        Self {
            object: format!("KinesisStream {namespace}/{name}"),
            line: node.get("kind").unwrap_or(node).line,
            fields: fields.into_iter().map(field).collect(),
        }
    }

    /// Returns everything that is wrong with the object.
    pub(crate) fn problems(&self) -> anyhow::Result<Vec<Located>> {
        let definition = definition()?;
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let wrong = |(name, (_, value)): (&String, &(u64, Value))| {
            let message = match schema["properties"].get(name) {
                None => Some(unknown(name, &schema["properties"])),
                Some(rule) => wrong_value(rule, value),
            };
            message.map(|message| self.located(name, message))
        };
        let mut problems: Vec<_> = self.fields.iter().filter_map(wrong).collect();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing = required.filter(|name| !self.fields.contains_key(*name));
        problems.extend(missing.map(|name| self.located(name, "is required".to_owned())));
        if problems.is_empty() {
            let values = self.fields.iter().map(|(name, (_, value))| (name.clone(), value.clone()));
            let spec: KinesisStreamSpec = serde_json::from_value(Value::Object(values.collect()))?;
            if spec.min_shards > spec.max_shards {
                let message = format!("must not be more than maxShards, which is {}", spec.max_shards);
                problems.push(self.located("minShards", message));
            }
            problems.extend(spec.problems().into_iter().map(|message| self.located("spec", message)));
        }
        Ok(problems)
    }

    fn located(&self, field: &str, message: String) -> Located {
        let line = self.fields.get(field).map_or(self.line, |(line, _)| *line);
        Located { line, key: field.to_owned(), message }
    }
}

fn unknown(name: &str, known: &Value) -> String {
    let near = known.as_object().into_iter().flatten().map(|(known, _)| known).find(|known| is_near(name, known));
    let hint = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
    format!("is not a known field{hint}")
}

/// Returns what a field must be, if its value is invalid.
fn wrong_value(rule: &Value, value: &Value) -> Option<String> {
    let allowed = rule["enum"].as_array();
    let (good, message) = match (rule["type"].as_str()?, allowed) {
        (_, Some(allowed)) => {
            let words: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
            (allowed.contains(value), format!("must be one of {}", words.join(", ")))
        }
        ("integer", _) => {
            let (least, most) = (rule["minimum"].as_f64()?, rule["maximum"].as_f64()?);
            let number = value.as_i64().is_some() && value.as_f64().is_some_and(|it| (least..=most).contains(&it));
            (number, format!("must be a whole number from {least} to {most}"))
        }
        ("boolean", _) => (value.is_boolean(), "must be true or false".to_owned()),
        ("array", _) => {
            let objects = value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
            (objects, "must be a list of objects".to_owned())
        }
        _ => (value.is_string(), "must be a text, in quotes where it looks like a number".to_owned()),
    };
    (!good).then_some(message)
}
