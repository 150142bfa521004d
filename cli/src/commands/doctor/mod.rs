//! `doctor`: checks everything between a trigger and its value, layer by layer, and shows how to fix it.
//!
//! A failed check skips only the checks that need its result. The value is read as the service reads it; every check before it makes
//! its own call, once, with its own deadline.

mod aws;
mod brokers;
mod kafka;
mod leases;
mod network;
mod policy;
mod report;
mod scaler;

use std::path::PathBuf;
use std::slice;
use std::time::Duration;

use clap::{ArgGroup, Args};

use self::report::{Checkup, Detail, Finding, Live, Looked, Printed, StepName, said};
use super::output::{self, Format};
use super::{Verdict, read_connections, sampler};
use crate::keda::code_of;
use crate::manifest::{self, TriggerKind, TriggerText};
use crate::probe::{Probe, admit, connection};
use crate::scaling::{counted, decide};
use crate::telemetry::{LogFormat, init_log};
use crate::tenancy::Connections;
use crate::trigger::{SourceRef, Trigger};

/// The timeout of the value, which is read as `explain` reads it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of `doctor`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["file", "connection", "scaler"]).required(true).multiple(true), after_help = "Examples:
  keda-stream-scaler doctor scaledobject.yaml
  keda-stream-scaler doctor --connections connections.yaml --connection alice
  keda-stream-scaler doctor --print-policy scaledobject.yaml
  keda-stream-scaler doctor --scaler keda-stream-scaler.keda:50051 scaledobject.yaml

Run it where the scaler runs, in its pod for one: names, networks and identities are those of the place.
Exit code 0: nothing failed; 1: something did; 2: wrong usage.")]
pub(super) struct Arguments {
    /// A file with ScaledObjects or ScaledJobs; - is stdin
    file: Option<PathBuf>,
    /// Look at a connection by itself, without a trigger
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "scaler"])]
    connection: Option<String>,
    /// The scaler's connections file
    #[arg(long, env = "STREAM_SCALER_CONNECTIONS", value_name = "FILE")]
    connections: Option<PathBuf>,
    /// Print a least-privilege IAM policy for the triggers, and call nothing
    #[arg(long, requires = "file", conflicts_with = "scaler")]
    print_policy: bool,
    /// Print warnings and failures only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    scaler: scaler::ScalerArguments,
    /// Log filter of the scaler's own work, to stderr
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "off", value_name = "FILTER")]
    log: String,
    /// How to write the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    init_log(&arguments.log, LogFormat::Text, None).map_err(anyhow::Error::msg)?;
    let texts =
        arguments.file.as_ref().map(|file| manifest::read_all(slice::from_ref(file))).transpose()?.unwrap_or_default();
    let connections = read_connections(arguments.connections.as_deref())?;
    let rules = if arguments.connections.is_some() { Rules::OfTheScaler } else { Rules::Unknown };
    if arguments.print_policy {
        policy::print(&texts, &connections, arguments.output)?;
        return Ok(Verdict::Good);
    }
    let live = if arguments.output == Format::Json { Live::No } else { Live::on_stdout() };
    let detail = if arguments.quiet { Detail::Problems } else { Detail::Everything };
    let printed = Printed { live, detail };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let checkups = runtime.block_on(async {
        match (&arguments.scaler.scaler, &arguments.connection) {
            (Some(address), _) => of_scaler(&arguments.scaler, address, &texts, printed).await,
            (None, Some(name)) => of_connection(name, connections, printed).await,
            (None, None) => of_triggers(&texts, &connections, rules, printed).await,
        }
    })?;
    // a client of a cluster that does not answer must not keep the process alive
    runtime.shutdown_background();
    if arguments.output == Format::Json {
        output::json(&checkups)?;
    }
    let bad = checkups.iter().any(|checkup| checkup.verdict() == Verdict::Bad);
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

async fn of_scaler(
    arguments: &scaler::ScalerArguments,
    address: &str,
    texts: &[TriggerText],
    printed: Printed,
) -> anyhow::Result<Vec<Checkup>> {
    let mut checkup = Checkup::new(&format!("scaler at {address}"), None, printed)?;
    scaler::examine(&mut checkup, arguments, address, texts).await?;
    checkup.sum_up()?;
    Ok(vec![checkup])
}

async fn of_connection(name: &str, connections: Connections, printed: Printed) -> anyhow::Result<Vec<Checkup>> {
    let mut checkup = Checkup::new(&format!("connection {name}"), None, printed)?;
    let found = checkup.look(StepName::Rules, "", async {
        let probe = connection(connections, name).map_err(|error| Finding::of(&error))?;
        Ok((Finding::ok("no namespace is asked about"), probe))
    });
    if let Some(probe) = found.await? {
        examine(&mut checkup, &probe, None).await?;
    }
    checkup.sum_up()?;
    Ok(vec![checkup])
}

/// Whether the rules of the scaler are known.
#[derive(Clone, Copy)]
enum Rules {
    /// The connections file is given.
    OfTheScaler,
    /// It is not, so that everything is allowed, as for `serve --dev`.
    Unknown,
}

async fn of_triggers(
    texts: &[TriggerText],
    connections: &Connections,
    rules: Rules,
    printed: Printed,
) -> anyhow::Result<Vec<Checkup>> {
    let mut checkups = Vec::new();
    for text in texts {
        let mut checkup = Checkup::new(&text.object, Some(text.index), printed)?;
        of_trigger(&mut checkup, text, connections, rules).await?;
        checkup.sum_up()?;
        checkups.push(checkup);
    }
    Ok(checkups)
}

async fn of_trigger(
    checkup: &mut Checkup,
    text: &TriggerText,
    connections: &Connections,
    rules: Rules,
) -> anyhow::Result<()> {
    if let TriggerKind::BuiltIn(name) = &text.kind {
        return checkup.tell(StepName::Metadata, "", Finding::skipped(format!("KEDA's own trigger {name}")));
    }
    let Some(trigger) = checkup.look(StepName::Metadata, "", async { parsed(text) }).await? else {
        return checkup.skip(&[StepName::Rules, StepName::Value], "the metadata is wrong");
    };
    let admitted = checkup.look(StepName::Rules, "", async { admitted(connections, rules, text, &trigger) });
    let Some(probe) = admitted.await? else {
        return checkup.skip(&[StepName::Value], "the rules do not allow it");
    };
    if examine(checkup, &probe, Some(&trigger.source)).await? {
        checkup.look(StepName::Value, "", value(connections, text, &trigger)).await?;
        return Ok(());
    }
    checkup.skip(&[StepName::Value], "a step before has failed")
}

/// Runs every check between the rules and the value; returns whether the value can be read.
async fn examine(checkup: &mut Checkup, probe: &Probe, source: Option<&SourceRef>) -> anyhow::Result<bool> {
    match (probe, source) {
        (Probe::Kafka(probe), Some(SourceRef::Kafka(source))) => kafka::examine(checkup, probe, Some(source)).await,
        (Probe::Kafka(probe), _) => kafka::examine(checkup, probe, None).await,
        (Probe::Aws(probe), source) => aws::examine(checkup, probe, source).await,
    }
}

fn parsed(text: &TriggerText) -> Looked<Trigger> {
    match text.whole_trigger() {
        Ok(trigger) => Ok((Finding::ok(trigger.source.to_string()), trigger)),
        Err(error) => {
            let problems = error.problems.iter();
            let lines: Vec<_> = problems
                .map(|problem| format!("line {}: {}: {}", text.line_of(&problem.key), problem.key, problem.message))
                .collect();
            Err(Finding::failed(counted(lines.len(), "problem"), lines.join("\n")))
        }
    }
}

fn admitted(connections: &Connections, rules: Rules, text: &TriggerText, trigger: &Trigger) -> Looked<Probe> {
    let namespace = &text.namespace;
    let admitted = admit(connections.clone(), namespace, &trigger.source).map_err(|error| Finding::of(&error))?;
    let by = if admitted.allowed_by.is_empty() {
        "it names nothing that must be allowed".to_owned()
    } else {
        format!("by {}", admitted.allowed_by.join("; "))
    };
    let seen = format!("namespace {namespace}, {by}");
    let refusal = match rules {
        Rules::OfTheScaler => None,
        Rules::Unknown => refused_by_default(namespace, &trigger.source),
    };
    let finding = match refusal {
        None => Finding::ok(seen),
        Some(why) => Finding::warning(
            format!("{seen}; a scaler without rules of its own refuses it: {why}"),
            "on your own machine use serve --dev; otherwise pass the scaler's file with --connections",
        ),
    };
    Ok((finding, admitted.probe))
}

/// Returns why a scaler without a connections file refuses this source.
fn refused_by_default(namespace: &str, source: &SourceRef) -> Option<String> {
    match admit(Connections::default(), namespace, source) {
        Err(error) => Some(said(&error)),
        Ok(admitted) => match admitted.probe {
            Probe::Kafka(probe) => probe.refused_by_name().map(str::to_owned),
            Probe::Aws(_) => None,
        },
    }
}

/// Reads the source and makes the decision as the service does.
async fn value(connections: &Connections, text: &TriggerText, trigger: &Trigger) -> Looked<()> {
    let answer = sampler(connections.clone()).ask(text.namespace.as_str(), trigger, PATIENCE).await;
    let decided = answer.and_then(|answer| decide(&trigger.policy, &trigger.source, &answer.sample));
    match decided {
        Ok(decision) => {
            let activity = if decision.active { "active" } else { "not active" };
            let seen = format!("{}, target {}, {activity}; explain says why", decision.value, decision.target);
            Ok((Finding::ok(seen), ()))
        }
        Err(error) => {
            let seen = format!("KEDA gets {}: {}", code_of(&error), said(&error));
            Err(Finding { seen, ..Finding::of(&error) })
        }
    }
}
