//! The table of keys for machines: as JSON Schema for editors, and in KEDA's format for the parameters of its own triggers.

mod connection;
mod json;
mod rules;

use serde::Serialize;

pub use self::connection::{aws_parameters, kafka_parameters};
pub use self::json::json_schema;
use super::dialect::AwsDialect;
use super::keys::{KEYS, Key, Owner, Reader};
use super::security::sasl_words;
use super::values::{Absence, Values};
use super::{AWS_SCALE_ON, Dialect, KAFKA_SCALE_ON, SOURCES, ScaleOn};

/// One way to read metadata: the values of `source` and `scaleOn`, and the reader for them.
struct Reading {
    scale_on: &'static str,
    reader: Reader,
}

/// Each source with the ways to read it; the first is the one without `scaleOn`.
fn sources() -> impl Iterator<Item = (&'static str, Dialect, Vec<Reading>)> {
    SOURCES.iter().map(|(source, dialect)| {
        let reading = |(scale_on, policy): &(&'static str, ScaleOn)| {
            let reader = match dialect {
                Dialect::Kafka(_) => Reader::Kafka(*policy),
                Dialect::Aws(stream) => Reader::Aws(*stream, *policy),
            };
            Reading { scale_on, reader }
        };
        let words = match dialect {
            Dialect::Kafka(_) => KAFKA_SCALE_ON,
            Dialect::Aws(_) => AWS_SCALE_ON,
        };
        let taken = |(_, policy): &&(&str, ScaleOn)| {
            *policy != ScaleOn::WriteUtilization || *dialect == Dialect::Aws(AwsDialect::Kinesis)
        };
        (*source, *dialect, words.iter().filter(taken).map(reading).collect())
    })
}

/// Every source with its parameters.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KedaSchema {
    keda_version: &'static str,
    schema_version: u8,
    scalers: Vec<Scaler>,
}

#[derive(Debug, Serialize)]
struct Scaler {
    r#type: &'static str,
    parameters: Vec<Parameter>,
}

/// False and empty fields are omitted, as KEDA does.
#[expect(clippy::struct_excessive_bools, reason = "the format is KEDA's")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameter {
    name: &'static str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_value: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    metadata_variable_readable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    env_variable_readable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trigger_authentication_variable_readable: bool,
}

/// The schema: an entry for each word of `source`.
#[must_use]
pub fn keda_schema() -> KedaSchema {
    let scalers = sources().map(|(source, dialect, readings)| Scaler {
        r#type: source,
        parameters: KEYS.iter().filter_map(|key| parameter(key, dialect, &readings)).collect(),
    });
    // the version whose parameters the four sources follow, and that of the format
    KedaSchema { keda_version: "2.21", schema_version: 1, scalers: scalers.collect() }
}

fn parameter(key: &Key, dialect: Dialect, readings: &[Reading]) -> Option<Parameter> {
    let taken = readings.iter().any(|reading| reading.reader.refusal(key).is_none());
    if !taken || key.owner == Owner::Connection {
        return None;
    }
    // KEDA takes these from a TriggerAuthentication only
    let certificate = matches!(key.name, "caCert" | "tlsClientCert" | "tlsClientKey");
    let required = key.name == "scalerAddress" || key.default == Absence::Required;
    let default = match key.default {
        Absence::Value(value) => Some(value),
        Absence::Nothing | Absence::Depends(_) | Absence::Required | Absence::RequiredWithout(..) => None,
    };
    let allowed_value = match (key.name, key.values, dialect) {
        ("sasl", _, Dialect::Kafka(kafka)) => sasl_words(kafka).collect(),
        ("scaleOn", ..) => readings.iter().map(|reading| reading.scale_on).collect(),
        (_, Values::OneOf(words), _) => words.to_vec(),
        _ => Vec::new(),
    };
    Some(Parameter {
        name: key.name,
        r#type: "string",
        optional: !required && default.is_none(),
        default,
        allowed_value,
        metadata_variable_readable: !certificate,
        // KEDA resolves any key of an external trigger with this suffix, except its own
        env_variable_readable: key.owner != Owner::Keda,
        trigger_authentication_variable_readable: certificate,
    })
}
