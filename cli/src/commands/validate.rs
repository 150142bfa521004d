//! `validate`: reports every problem of every trigger and KinesisStream, with its line. Reads no source.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;

use super::Verdict;
use super::advice::{advice, contradiction, promise};
use super::manifest::{self, TriggerKind, TriggerText};
use super::output::{self, Format};
use super::stream_text;
use crate::scaling::counted;
use crate::trigger::{About, Problem, Trigger, metric_name, metric_target};

/// The arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler validate scaledobject.yaml
  kustomize build . | keda-stream-scaler validate -o json -

Exit code 0: everything is good; 1: something is not; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Files with ScaledObjects, ScaledJobs or KinesisStreams; - is stdin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checked {
    file: String,
    object: String,
    /// The index of the trigger; `None` for an object without triggers.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    pub(super) problems: Vec<Located>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) advice: Vec<String>,
    /// The best that the objective allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    promise: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Located {
    pub(super) line: u64,
    pub(super) key: String,
    pub(super) message: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let mut checked = Vec::new();
    for file in &arguments.files {
        let (text, shown) = (manifest::read_text(file)?, file.display().to_string());
        let triggers = manifest::parse(&text).with_context(|| format!("in {shown}"))?;
        let streams = stream_text::parse(&text).with_context(|| format!("in {shown}"))?;
        checked.extend(triggers.iter().map(|trigger| check(&shown, trigger)));
        for stream in streams {
            checked.push(Checked { problems: stream.problems()?, ..Checked::of(&shown, &stream.object) });
        }
    }
    ensure!(!checked.is_empty(), "there is no ScaledObject, ScaledJob or KinesisStream in what was given");
    match arguments.output {
        Format::Json => output::json(&checked)?,
        Format::Text => output::data(&text(&checked))?,
    }
    let good = checked.iter().all(|checked| checked.problems.is_empty());
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}

impl Checked {
    /// Creates a result without problems.
    fn of(file: &str, object: &str) -> Self {
        let (file, object) = (file.to_owned(), object.to_owned());
        let (problems, advice) = (Vec::new(), Vec::new());
        Self {
            file,
            object,
            trigger: None,
            metric_name: None,
            target: None,
            skipped: None,
            problems,
            advice,
            promise: None,
        }
    }
}

/// Checks a trigger for problems, and adds advice.
pub(super) fn check(file: &str, text: &TriggerText) -> Checked {
    let mut checked = Checked { trigger: Some(text.index), ..Checked::of(file, &text.object) };
    if let TriggerKind::BuiltIn(name) = &text.kind {
        checked.skipped = Some(format!("KEDA's own trigger {name}"));
        return checked;
    }
    let unknown = text.environment_values();
    if unknown.is_empty() {
        checked.metric_name = Some(format!("s{}-{}", text.index, metric_name(&text.metadata)));
        checked.target = Some(metric_target(&text.metadata).get());
    }
    match Trigger::parse(&text.metadata) {
        Ok(trigger) => {
            checked.advice = advice(text, &trigger);
            checked.promise = promise(text, &trigger);
            checked.problems.extend(contradiction(text, &trigger).map(|(key, message)| Located {
                line: text.line_of(""),
                key: key.to_owned(),
                message,
            }));
        }
        Err(error) => {
            let known = |problem: &Problem| problem.about == About::Key || !unknown.contains_key(&*problem.key);
            let located = error.problems.into_iter().filter(known).map(|problem| Located {
                line: text.line_of(&problem.key),
                key: problem.key,
                message: problem.message,
            });
            checked.problems = located.collect();
        }
    }
    let unchecked = unknown.iter().map(|(key, variable)| {
        format!("the value of {key}, which KEDA takes from the workload's variable {variable}, is not checked")
    });
    checked.advice.extend(unchecked);
    if text.metadata.get("scalerAddress").is_none_or(|address| address.trim().is_empty()) {
        let message = "is required by KEDA: the host and port of the scaler".to_owned();
        checked.problems.push(Located { line: text.line_of(""), key: "scalerAddress".into(), message });
    }
    if text.metric_type == "Utilization" {
        let message = "Utilization is refused by KEDA for external triggers; leave metricType out".to_owned();
        checked.problems.push(Located { line: text.line_of(""), key: "metricType".into(), message });
    }
    checked
}

fn text(all: &[Checked]) -> String {
    let mut text = String::new();
    for checked in all {
        let (file, good) = (&checked.file, checked.problems.is_empty());
        let trigger = checked.trigger.map_or_else(String::new, |index| format!(", trigger {index}"));
        let verdict = match (&checked.skipped, &checked.metric_name, checked.target) {
            (Some(why), ..) => format!("skipped, {why}"),
            _ if !good => counted(checked.problems.len(), "problem"),
            (None, Some(name), Some(target)) => format!("good, metric {name} with target {target}"),
            _ if checked.trigger.is_none() => "good".to_owned(),
            _ => "no problems found; values from the environment were not checked".to_owned(),
        };
        // writing to a string cannot fail
        let _ = writeln!(text, "{file}: {}{trigger}: {verdict}", checked.object);
        for problem in &checked.problems {
            let _ = writeln!(text, "{file}:{}: {}: {}", problem.line, problem.key, problem.message);
        }
        for advice in &checked.advice {
            let _ = writeln!(text, "{file}: advice: {advice}");
        }
        if let Some(promise) = &checked.promise {
            let _ = writeln!(text, "{file}: objective: {promise}");
        }
    }
    text
}
