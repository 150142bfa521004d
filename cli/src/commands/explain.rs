//! `explain`: reads the source of each trigger once, with the same code as the service, and shows how each value is calculated.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::advice::{advice, contradiction};
use super::output::{self, Format};
use super::{Verdict, read_connections, sampler};
use crate::keda::code_of;
use crate::manifest::{self, ReadBy, TriggerKind, TriggerText};
use crate::sampler::{Answer, Rows, Sampler};
use crate::scaling::hpa::{Replicas, Target, Tolerance, replicas_for};
use crate::scaling::{Decision, decide};
use crate::source::Sources;
use crate::telemetry::{LogFormat, init_log};
use crate::tenancy::Connections;
use crate::trigger::{Policy, Trigger, metric_name};

/// The timeout of a reading, longer than the time that KEDA would wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler explain scaledobject.yaml
  keda-stream-scaler explain --connections connections.yaml -o json scaledobject.yaml

Exit code 0: every trigger has a value; 1: some have none; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Files with ScaledObjects or ScaledJobs; - is stdin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The scaler's connections file
    #[arg(long, env = "STREAM_SCALER_CONNECTIONS", value_name = "FILE")]
    connections: Option<PathBuf>,
    /// Log filter of the scaler's own work, to stderr
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "error", value_name = "FILTER")]
    log: String,
    /// How to write the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    object: String,
    trigger: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "outcome")]
pub(super) enum Outcome {
    Skipped {
        why: String,
    },
    /// The error that KEDA would get.
    Failed {
        code: &'static str,
        message: String,
    },
    Valued {
        metric_name: String,
        source: String,
        #[serde(flatten)]
        rows: Rows,
        decision: Decision,
        /// The steps of the decision as printed by the command.
        steps_in_words: Vec<String>,
        replicas: WantedReplicas,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        advice: Vec<String>,
    },
}

/// The replicas that KEDA and the HPA derive from the value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WantedReplicas {
    wanted: u64,
    pub(super) in_words: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    init_log(&arguments.log, LogFormat::Text, None).map_err(anyhow::Error::msg)?;
    let triggers = manifest::read_all(&arguments.files)?;
    let connections = read_connections(arguments.connections.as_deref())?;
    let outcomes = outcomes(triggers.iter(), connections)?;
    let explained = triggers.iter().zip(outcomes);
    let explained: Vec<_> = explained
        .map(|(text, outcome)| Explained { object: text.object.clone(), trigger: text.index, outcome })
        .collect();
    match arguments.output {
        Format::Json => output::json(&explained)?,
        Format::Text => output::data(&in_words(&explained))?,
    }
    let failed = explained.iter().any(|explained| matches!(explained.outcome, Outcome::Failed { .. }));
    Ok(if failed { Verdict::Bad } else { Verdict::Good })
}

/// Reads the source of each trigger once, and returns the outcomes.
pub(super) fn outcomes<'a>(
    triggers: impl Iterator<Item = &'a TriggerText>,
    connections: Connections,
) -> anyhow::Result<Vec<Outcome>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let sampler = sampler(connections);
        let mut outcomes = Vec::new();
        for text in triggers {
            outcomes.push(explain(&sampler, text).await);
        }
        outcomes
    }))
}

async fn explain(sampler: &Sampler<Sources>, text: &TriggerText) -> Outcome {
    if let TriggerKind::BuiltIn(name) = &text.kind {
        return Outcome::Skipped { why: format!("KEDA's own trigger {name}") };
    }
    let trigger = match text.whole_trigger() {
        Ok(trigger) => trigger,
        Err(error) => return Outcome::Failed { code: "INVALID_ARGUMENT", message: error.to_string() },
    };
    match sampler.ask(text.namespace.as_str(), &trigger, PATIENCE).await {
        Ok(answer) => valued(text, &trigger, &answer),
        Err(error) => Outcome::Failed { code: code_of(&error), message: error.chain() },
    }
}

fn valued(text: &TriggerText, trigger: &Trigger, answer: &Answer) -> Outcome {
    let sample = &answer.sample;
    match decide(&trigger.policy, &trigger.source, sample) {
        Err(error) => Outcome::Failed { code: code_of(&error), message: error.chain() },
        Ok(decision) => Outcome::Valued {
            metric_name: format!("s{}-{}", text.index, metric_name(&text.metadata)),
            source: trigger.source.to_string(),
            rows: Rows::of(sample),
            steps_in_words: decision.steps.iter().map(ToString::to_string).collect(),
            replicas: WantedReplicas::new(text, trigger, &decision),
            advice: contradiction(text, trigger)
                .map(|(_, advice)| advice)
                .into_iter()
                .chain(advice(text, trigger))
                .collect(),
            decision,
        },
    }
}

impl WantedReplicas {
    /// The jobs of a ScaledJob, as KEDA's default strategy starts them: it reads the value itself, without an HPA.
    fn jobs(text: &TriggerText, decision: &Decision) -> Self {
        let most = text.scaling.max_replicas;
        let wanted = if text.metric_type == "Value" || !decision.active { 0 } else { decision.replicas().min(most) };
        let in_words = if text.metric_type == "Value" {
            "with metricType Value KEDA starts no jobs".to_owned()
        } else if !decision.active {
            "not active: KEDA starts no jobs".to_owned()
        } else {
            format!("KEDA starts jobs until {wanted} are running (maxReplicaCount {most})")
        };
        Self { wanted, in_words }
    }

    fn new(text: &TriggerText, trigger: &Trigger, decision: &Decision) -> Self {
        let noun = if matches!(trigger.policy, Policy::WriteUtilization(_)) { "shard" } else { "replica" };
        if text.read_by == ReadBy::Keda {
            return Self::jobs(text, decision);
        }
        if text.metric_type == "Value" {
            let in_words = "with metricType Value the HPA multiplies the ready replicas by value / target".to_owned();
            return Self { wanted: decision.replicas(), in_words };
        }
        let wanted = decision.replicas();
        let most = text.scaling.max_replicas;
        let in_words = if !decision.active {
            "not active: KEDA goes to minReplicaCount, or to zero after the cool-down".to_owned()
        } else if wanted > most {
            format!("the HPA wants {wanted} {noun}s, maxReplicaCount allows {most}")
        } else {
            let (least, most) = kept(decision);
            let wanted = wanted.max(1);
            let kept = if least < most {
                format!("; no change while there are {least} to {most} (HPA tolerance)")
            } else {
                String::new()
            };
            format!("the HPA wants {wanted} {noun}{}{kept}", if wanted == 1 { "" } else { "s" })
        };
        Self { wanted: wanted.min(most), in_words }
    }
}

/// Returns the range of replica counts that the HPA leaves unchanged: within its tolerance, 10 % by default.
fn kept(decision: &Decision) -> (u32, u32) {
    let (value, target) = (decision.value.get(), Target::AverageValue(decision.target.get()));
    let kept = |now: &u32| replicas_for(value, target, Replicas::settled(*now), Tolerance::default()) == *now;
    let wanted = u32::try_from(decision.replicas()).unwrap_or(u32::MAX).max(1);
    // with a tolerance of 10 %, all unchanged counts lie between half and double the wanted count
    let least = (wanted / 2..=wanted).find(kept).unwrap_or(wanted);
    (least.max(1), (wanted..=wanted.saturating_mul(2)).take_while(kept).last().unwrap_or(wanted))
}

fn in_words(all: &[Explained]) -> String {
    let mut text = String::new();
    for Explained { object, trigger, outcome } in all {
        // writing to a string cannot fail
        let _ = writeln!(text, "{object}, trigger {trigger}");
        let _ = match outcome {
            Outcome::Skipped { why } => writeln!(text, "  skipped: {why}"),
            Outcome::Failed { code, message } => writeln!(text, "  KEDA gets an error: {code}\n  {message}"),
            Outcome::Valued { metric_name, source, rows, decision, steps_in_words, replicas, advice } => {
                let _ = writeln!(text, "  source     {source}");
                match rows {
                    Rows::Partitions { partitions } => partitions.iter().for_each(|row| line(&mut text, row)),
                    Rows::Shards { shards, workers } => {
                        for row in shards {
                            line(&mut text, row);
                        }
                        for row in workers {
                            line(&mut text, row);
                        }
                    }
                }
                for step in steps_in_words {
                    let _ = writeln!(text, "  because    {step}");
                }
                let Decision { value, target, active, .. } = decision;
                let _ = writeln!(text, "  metric     {metric_name}: value {value}, target {target}, active {active}");
                for advice in advice {
                    let _ = writeln!(text, "  advice     {advice}");
                }
                writeln!(text, "  replicas   {}", replicas.in_words)
            }
        };
    }
    text
}

fn line(text: &mut String, row: &impl fmt::Display) {
    // writing to a string cannot fail
    let _ = writeln!(text, "  {row}");
}
