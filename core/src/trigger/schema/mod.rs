//! The table of keys for machines: as JSON Schema for editors, and in KEDA's format for the parameters of its own triggers.

mod connection;
mod json;
mod keda;
mod rules;

use super::dialect::AwsDialect;
use super::keys::Reader;
use super::{AWS_SCALE_ON, Dialect, KAFKA_SCALE_ON, SOURCES, ScaleOn};

pub use self::connection::{aws_parameters, kafka_parameters};
pub use self::json::json_schema;
pub use self::keda::keda_schema;

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
