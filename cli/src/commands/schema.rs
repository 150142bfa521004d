//! `schema`: prints the schemas of triggers, of the connections file and of KinesisStream, for machines.

use clap::{Args, ValueEnum};

use super::Verdict;
use super::output;
use crate::tenancy::connections_schema;
use crate::trigger::schema::{json_schema, keda_schema};

/// The arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler schema > scaledobject.schema.json
  keda-stream-scaler schema --format keda | jq '.scalers[].type'
  keda-stream-scaler schema --connections > connections.schema.json
  keda-stream-scaler schema --crd | kubectl apply -f -

An editor with a YAML language server checks and completes a manifest that begins with
  # yaml-language-server: $schema=scaledobject.schema.json

Exit code 0: it was printed; 1: it could not be; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Format of the schema
    #[arg(long, value_enum, default_value = "json-schema", value_name = "FORMAT")]
    format: SchemaFormat,
    /// JSON Schema (2020-12) of the connections file
    #[arg(long, conflicts_with = "format")]
    connections: bool,
    /// The definition of the kind KinesisStream, as kubectl apply takes it
    #[arg(long, conflicts_with_all = ["format", "connections"])]
    crd: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaFormat {
    /// JSON Schema (2020-12) of a ScaledObject or ScaledJob, for editors and validators
    JsonSchema,
    /// The format in which KEDA publishes the parameters of its own triggers
    Keda,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    match arguments.format {
        _ if arguments.crd => output::json(&crate::controller::definition()?)?,
        _ if arguments.connections => output::json(&connections_schema())?,
        SchemaFormat::JsonSchema => output::json(&json_schema())?,
        SchemaFormat::Keda => output::json(&keda_schema())?,
    }
    Ok(Verdict::Good)
}
