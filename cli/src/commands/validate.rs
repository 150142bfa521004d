//! `validate`: reports every problem of every trigger and KinesisStream, with its line. Reads no source.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use super::Verdict;
use super::advice::{advice, contradiction, promise};

use super::output::{self, Format};
use crate::manifest::{self, Located, Manifest, Skipped, TriggerKind, TriggerText};
use crate::scaling::counted;
use crate::trigger::keys::is_near;
use crate::trigger::{About, Problem, Trigger, metric_name, metric_target};

/// The arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler validate scaledobject.yaml
  kustomize build . | keda-stream-scaler validate -o json -

Exit code 0: no problems, and with --strict no advice; 1: some; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Files with ScaledObjects, ScaledJobs or KinesisStreams; - is stdin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Exit with 1 for advice too
    #[arg(long)]
    strict: bool,
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
    /// The best that the promise allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    promise: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let (mut checked, mut skipped) = (Vec::new(), Skipped::default());
    for file in &arguments.files {
        let (text, shown) = (manifest::read_text(file)?, file.display().to_string());
        match Manifest::parse(&text) {
            Ok(manifest) => {
                checked.extend(of_manifest(&shown, &manifest)?);
                skipped.add(manifest.skipped);
            }
            Err(error) => {
                let problem = Located { line: error.line, key: String::new(), message: error.message };
                checked.push(Checked { problems: vec![problem], ..Checked::of(&shown, "the file") });
            }
        }
    }
    ensure!(!checked.is_empty(), "there is no ScaledObject, ScaledJob or KinesisStream{}", skipped.only());
    if !skipped.is_empty() {
        output::talk(&format!("not checked, because other tools do: {skipped}\n"));
    }
    match arguments.output {
        Format::Json => output::json(&checked)?,
        Format::Text => output::data(&text(&checked))?,
    }
    let good = |checked: &Checked| checked.problems.is_empty() && (checked.advice.is_empty() || !arguments.strict);
    let good = checked.iter().all(good);
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

/// Checks all objects of a file.
fn of_manifest(file: &str, manifest: &Manifest) -> anyhow::Result<Vec<Checked>> {
    let mut checked = Vec::new();
    for scaled in &manifest.scaled {
        if !scaled.problems.is_empty() {
            checked.push(Checked { problems: scaled.problems.clone(), ..Checked::of(file, &scaled.object) });
        }
        checked.extend(scaled.triggers.iter().map(|trigger| check(file, trigger)));
    }
    for stream in &manifest.streams {
        checked.push(Checked { problems: stream.problems()?, ..Checked::of(file, &stream.object) });
    }
    Ok(checked)
}

/// Checks a trigger for problems, and adds advice.
pub(super) fn check(file: &str, text: &TriggerText) -> Checked {
    let mut checked = Checked { trigger: Some(text.index), ..Checked::of(file, &text.object) };
    let mut problems = text.problems.clone();
    match &text.kind {
        TriggerKind::BuiltIn(name) if text.metadata.contains_key("scalerAddress") || is_external(name) => {
            let message = format!("{name} is no trigger with a scalerAddress: write external or external-push");
            problems.push(Problem { key: "type".to_owned(), message, about: About::Value });
        }
        TriggerKind::BuiltIn(name) => checked.skipped = Some(format!("KEDA's own trigger {name}")),
        TriggerKind::External => check_external(text, &mut checked, &mut problems),
    }
    let located = |Problem { key, message, .. }: Problem| Located { line: text.line_of(&key), key, message };
    checked.problems = problems.into_iter().map(located).collect();
    checked
}

/// Whether the type of a trigger is a misspelt one of an external scaler.
fn is_external(kind: &str) -> bool {
    ["external", "external-push"].iter().any(|external| is_near(kind, external))
}

fn check_external(text: &TriggerText, checked: &mut Checked, problems: &mut Vec<Problem>) {
    let unknown = text.environment_values();
    if unknown.is_empty() {
        checked.metric_name = Some(format!("s{}-{}", text.index, metric_name(&text.metadata)));
        checked.target = Some(metric_target(&text.metadata).get());
    }
    let problem = |key: &str, message: String| Problem { key: key.to_owned(), message, about: About::Value };
    match Trigger::parse(&text.metadata) {
        Ok(trigger) => {
            checked.advice = advice(text, &trigger);
            checked.promise = promise(text, &trigger);
            problems.extend(contradiction(text, &trigger).map(|(key, message)| problem(key, message)));
        }
        Err(error) => {
            // the form of a value is judged before its content
            let known = |found: &Problem| found.about == About::Key || !unknown.contains_key(&*found.key);
            let formed = |found: &Problem| !text.problems.iter().any(|problem| problem.key == found.key);
            problems.extend(error.problems.into_iter().filter(|found| known(found) && formed(found)));
        }
    }
    let unchecked = unknown.iter().map(|(key, variable)| {
        format!("the value of {key}, which KEDA takes from the workload's variable {variable}, is not checked")
    });
    checked.advice.extend(unchecked);
    problems.extend(address_problem(text).map(|message| problem("scalerAddress", message)));
    if text.metric_type == "Utilization" {
        let message = "Utilization is refused by KEDA for external triggers; leave metricType out".to_owned();
        problems.push(problem("metricType", message));
    }
}

/// Returns why KEDA could not find the scaler by `scalerAddress`.
fn address_problem(text: &TriggerText) -> Option<String> {
    let address = text.metadata.get("scalerAddress").map_or("", |address| address.trim());
    if address.is_empty() {
        return Some("is required by KEDA: the host and port of the scaler".to_owned());
    }
    let plain = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"))?;
    Some(format!("is a gRPC address, not a URL: write {}", plain.trim_end_matches('/')))
}

fn text(all: &[Checked]) -> String {
    let mut text = String::new();
    for checked in all {
        let (file, good) = (&checked.file, checked.problems.is_empty());
        let trigger = checked.trigger.map_or_else(String::new, |index| format!(", trigger {index}"));
        let verdict = match (&checked.skipped, &checked.metric_name, checked.target) {
            _ if !good => counted(checked.problems.len(), "problem"),
            (Some(why), ..) => format!("skipped, {why}"),
            (None, Some(name), Some(target)) => format!("good, metric {name} with target {target}"),
            _ if checked.trigger.is_none() => "good".to_owned(),
            _ => "no problems found; values from the environment were not checked".to_owned(),
        };
        // writing to a string cannot fail
        let _ = writeln!(text, "{file}: {}{trigger}: {verdict}", checked.object);
        for problem in &checked.problems {
            let colon = if problem.key.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "{file}:{}: {}{colon}{}", problem.line, problem.key, problem.message);
        }
        for advice in &checked.advice {
            let _ = writeln!(text, "{file}: advice: {advice}");
        }
        if let Some(promise) = &checked.promise {
            let _ = writeln!(text, "{file}: promise: {promise}");
        }
    }
    text
}
