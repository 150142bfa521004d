//! `migrate`: converts KEDA's built-in triggers into triggers of this scaler, by editing the text of the manifest.

mod built_in;
mod connection;
mod edit;
mod plan;
mod report;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use self::built_in::{BuiltIn, ScaleOn};
use self::connection::{Authentication, Need};
use self::edit::{Changes, obstacle};
use self::plan::{MetricType, Plan, Requirements};
use self::report::{Migrated, Outcome, Pair, Report};
use super::output::{self, Format};
use super::{Verdict, read_connections, validate};
use crate::manifest::{self, Documents, Manifest, Node, ScaledText, TriggerKind, TriggerText};
use crate::telemetry::{LogFormat, init_log};

/// The arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler migrate scaledobject.yaml > migrated.yaml
  keda-stream-scaler migrate --check -o json scaledobject.yaml
  keda-stream-scaler migrate --compare --connections connections.yaml scaledobject.yaml > migrated.yaml
  kustomize build . | keda-stream-scaler migrate --scale-on age --application-name orders -

The manifest goes to stdout; what changes, what is lost and what the connections file needs go to stderr. Comments and
everything outside the triggers stay as they are.

Exit code 0: every built-in trigger that this scaler knows is migrated; 1: some cannot be, or with --check something would be
lost, or with --compare one has no value; 2: wrong usage.")]
pub(super) struct Arguments {
    /// File with ScaledObjects or ScaledJobs; - is stdin
    file: PathBuf,
    /// Where KEDA finds this scaler
    #[arg(long, default_value = "keda-stream-scaler.keda:50051", value_name = "ADDRESS")]
    scaler_address: String,
    /// What the value is to count [default: what the built-in trigger counts]
    #[arg(long, value_enum, value_name = "POLICY", requires_if("age", "application_name"))]
    scale_on: Option<ScaleOn>,
    /// The application whose checkpoints count, for age and catchUp of streams
    #[arg(long, value_name = "NAME")]
    application_name: Option<String>,
    /// Write no manifest; exit with 1 if anything would be lost
    #[arg(long)]
    check: bool,
    /// Read the sources once, and show the built-in's value and replicas beside the new ones
    #[arg(long)]
    compare: bool,
    /// The scaler's connections file, for --compare
    #[arg(long, env = "STREAM_SCALER_CONNECTIONS", value_name = "FILE")]
    connections: Option<PathBuf>,
    /// How to write the result: the manifest, or a report with the manifest in it
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let text = manifest::read_text(&arguments.file)?;
    let wishes = Requirements {
        scaler_address: &arguments.scaler_address,
        scale_on: arguments.scale_on,
        application_name: arguments.application_name.as_deref(),
    };
    let mut report = migrate(&arguments.file, &text, &wishes)?;
    if arguments.compare {
        init_log("error", LogFormat::Text, None).map_err(anyhow::Error::msg)?;
        report::compare(&mut report, read_connections(arguments.connections.as_deref())?)?;
    }
    match arguments.output {
        Format::Json => output::json(&report)?,
        Format::Text => {
            output::talk(&report.to_string());
            if !arguments.check {
                output::data(&report.manifest)?;
            }
        }
    }
    let bad = report.has_failures() || (arguments.check && report.loses());
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

fn migrate(file: &Path, text: &str, wishes: &Requirements<'_>) -> anyhow::Result<Report> {
    let said = || format!("in {}", file.display());
    let documents = Documents::read(text).with_context(said)?;
    let manifest = Manifest::of(&documents);
    let skipped = manifest.skipped.without(&["TriggerAuthentication", "ClusterTriggerAuthentication"]);
    let mut report = Report::new(file.display().to_string(), skipped);
    let mut changes = Changes::default();
    let mut expected: Vec<_> = manifest.scaled.into_iter().flat_map(|scaled| scaled.triggers).collect();
    for (trigger, (node, sharing)) in expected.iter_mut().zip(triggers(&documents)) {
        if BuiltIn::of(trigger).is_none() {
            continue;
        }
        let change = match sharing {
            Sharing::Aliased => Err(SHARED.to_owned()),
            Sharing::Own => change(file, trigger, node, &documents, wishes, &mut report.needs),
        };
        let (outcome, pair) = match change {
            Ok(Change { plan, advice, pair }) => {
                changes.trigger(text, node, &plan);
                (Outcome::Migrated { remarks: plan.remarks, advice, comparison: None }, Some(pair))
            }
            Err(why) => (Outcome::Unchanged { why }, None),
        };
        let migrated = pair.as_ref().map(|pair| pair.migrated.clone());
        report.triggers.push(Migrated::new(trigger, outcome, pair));
        if let Some(migrated) = migrated {
            *trigger = migrated;
        }
    }
    report.manifest = changes.apply(text);
    verify(&report.manifest, &expected).with_context(said)?;
    report.connections = (!report.needs.is_empty()).then(|| connection::connections_file(&report.needs));
    Ok(report)
}

const SHARED: &str = "an alias names the triggers it is one of: a change would change other places too; write them out";

/// Whether the list that a trigger is in stands in other places too.
#[derive(Clone, Copy)]
enum Sharing {
    Own,
    Aliased,
}

/// Returns the triggers of all objects, in the order of [`Manifest::scaled`].
fn triggers(documents: &Documents) -> impl Iterator<Item = (&Node, Sharing)> {
    let scaled = manifest::objects(documents).into_iter().filter(|object| ScaledText::is_one(object));
    scaled.flat_map(|object| {
        let spec = object.get("spec");
        let list = spec.and_then(|spec| spec.get("triggers"));
        let aliased = |node: &Node| node.is_alias() || documents.is_named(node);
        let shared = aliased(object) || spec.is_some_and(aliased) || list.is_some_and(aliased);
        let sharing = if shared { Sharing::Aliased } else { Sharing::Own };
        list.map_or(&[][..], Node::items).iter().map(move |node| (node, sharing))
    })
}

/// A trigger that can be changed, with its plan.
struct Change {
    plan: Plan,
    advice: Vec<String>,
    pair: Pair,
}

/// Plans the change of a trigger and checks its result, or returns why it cannot be changed.
fn change(
    file: &Path,
    trigger: &TriggerText,
    node: &Node,
    documents: &Documents,
    wishes: &Requirements<'_>,
    needs: &mut Vec<Need>,
) -> Result<Change, String> {
    let authentication = Authentication::of(node, documents, &trigger.namespace);
    let mut plan = plan::plan(trigger, wishes, authentication.as_ref())?;
    if let Some(obstacle) = obstacle(node, &plan.dropped, documents) {
        return Err(obstacle);
    }
    let checked = validate::check(&file.display().to_string(), &after(trigger, &plan));
    if !checked.problems.is_empty() {
        let problems = checked.problems.iter();
        let problems: Vec<_> = problems.map(|one| format!("line {}: {}: {}", one.line, one.key, one.message)).collect();
        return Err(problems.join("; "));
    }
    // the built-in's value is that of its own policy
    let mut built_in = plan::plan(trigger, &Requirements { scale_on: None, ..*wishes }, authentication.as_ref())?;
    built_in.added.push(("compat", "strict".to_owned()));
    if let Some(need) = plan.need.take() {
        let name = connection::place(needs, need);
        plan.name_connection(&name);
        built_in.name_connection(&name);
    }
    let pair = Pair { built_in: after(trigger, &built_in), migrated: after(trigger, &plan) };
    Ok(Change { plan, advice: checked.advice, pair })
}

/// Returns the trigger after the change.
fn after(trigger: &TriggerText, plan: &Plan) -> TriggerText {
    let mut after = trigger.clone();
    after.kind = TriggerKind::External;
    after.metadata = plan.metadata(&trigger.metadata);
    match plan.metric_type {
        MetricType::Stays => {}
        MetricType::BecomesValue => "Value".clone_into(&mut after.metric_type),
        MetricType::Goes => "AverageValue".clone_into(&mut after.metric_type),
    }
    after
}

/// Parses the new text and checks that every trigger is as planned.
fn verify(manifest: &str, expected: &[TriggerText]) -> anyhow::Result<()> {
    let written = Manifest::parse(manifest).context("the changed text is no manifest any more; nothing was written")?;
    let written: Vec<_> = written.scaled.into_iter().flat_map(|scaled| scaled.triggers).collect();
    let same = |(one, other): (&TriggerText, &TriggerText)| {
        (&one.kind, &one.metadata, &one.metric_type, &one.object)
            == (&other.kind, &other.metadata, &other.metric_type, &other.object)
    };
    let good = written.len() == expected.len() && written.iter().zip(expected).all(same);
    anyhow::ensure!(good, "the changed text does not say what it should; nothing was written");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_say_what_was_planned_is_never_written() {
        let text = "kind: ScaledObject\nspec:\n  triggers:\n  - type: external\n    metadata: {source: kafka}\n";
        let planned = Manifest::parse(text).expect("good YAML").scaled.remove(0).triggers;
        verify(text, &planned).expect("the same");
        for other in [text.replace("kafka", "kafkaa"), text.replace("external", "cpu"), "kind: x\n".into(), "{".into()]
        {
            let error = verify(&other, &planned).expect_err("something else").to_string();
            assert!(error.ends_with("nothing was written"), "{error}");
        }
    }
}
