//! The report of a migration, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::super::explain::{Outcome as Explained, outcomes};
use super::connection::Need;
use super::plan::{Remark, RemarkKind};
use crate::manifest::{Skipped, TriggerKind, TriggerText};
use crate::tenancy::Connections;

/// The results for one file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    file: String,
    pub(super) manifest: String,
    pub(super) triggers: Vec<Migrated>,
    /// The connections file that the scaler's operator must add, if any.
    pub(super) connections: Option<String>,
    #[serde(skip)]
    pub(super) needs: Vec<Need>,
    /// What else was in the file.
    #[serde(skip)]
    skipped: Skipped,
}

/// The result for one built-in trigger.
#[derive(Serialize)]
pub(super) struct Migrated {
    pub(super) object: String,
    pub(super) trigger: usize,
    line: u64,
    from: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// The triggers to compare, if requested.
    #[serde(skip)]
    pub(super) pair: Option<Pair>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub(super) enum Outcome {
    Migrated {
        remarks: Vec<Remark>,
        advice: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        comparison: Option<Box<Comparison>>,
    },
    /// The trigger cannot be migrated.
    Unchanged { why: String },
}

/// The values of the old and the new trigger.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    pub(super) built_in: Explained,
    pub(super) migrated: Explained,
}

/// The new trigger, and one that returns the built-in's value.
pub(super) struct Pair {
    pub(super) built_in: TriggerText,
    pub(super) migrated: TriggerText,
}

impl Report {
    pub(super) const fn new(file: String, skipped: Skipped) -> Self {
        Self { file, manifest: String::new(), triggers: Vec::new(), connections: None, needs: Vec::new(), skipped }
    }

    pub(super) fn has_failures(&self) -> bool {
        self.triggers.iter().any(|trigger| match &trigger.outcome {
            Outcome::Unchanged { .. } => true,
            Outcome::Migrated { comparison, .. } => {
                comparison.as_ref().is_some_and(|comparison| comparison.has_failed())
            }
        })
    }

    pub(super) fn loses(&self) -> bool {
        self.triggers.iter().any(|trigger| match &trigger.outcome {
            Outcome::Migrated { remarks, .. } => remarks.iter().any(|remark| remark.kind == RemarkKind::Lost),
            Outcome::Unchanged { .. } => false,
        })
    }
}

impl Migrated {
    pub(super) fn new(text: &TriggerText, outcome: Outcome, pair: Option<Pair>) -> Self {
        let from = match &text.kind {
            TriggerKind::BuiltIn(name) => name.clone(),
            TriggerKind::External => "external".into(),
        };
        Self { object: text.object.clone(), trigger: text.index, line: text.line_of(""), from, outcome, pair }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        for Migrated { object, trigger, line, from, outcome, .. } in &self.triggers {
            match outcome {
                Outcome::Unchanged { why } => {
                    writeln!(f, "{file}:{line}: {object}, trigger {trigger}: {from} stays as it is: {why}")?;
                }
                Outcome::Migrated { remarks, advice, comparison } => {
                    writeln!(f, "{file}:{line}: {object}, trigger {trigger}: {from} migrated")?;
                    for Remark { line, kind, message } in remarks {
                        let kind = if *kind == RemarkKind::Lost { "lost" } else { "note" };
                        writeln!(f, "{file}:{line}: {kind}: {message}")?;
                    }
                    for advice in advice {
                        writeln!(f, "{file}: advice: {advice}")?;
                    }
                    if let Some(comparison) = comparison {
                        comparison.fmt(f)?;
                    }
                }
            }
        }
        if self.triggers.is_empty() {
            writeln!(f, "{file}: no built-in trigger that this scaler can take over{}", self.skipped.only())?;
        } else if !self.skipped.is_empty() {
            writeln!(f, "{file}: left as they are: {}", self.skipped)?;
        }
        if let Some(connections) = &self.connections {
            writeln!(f, "\nadd to the connections file of keda-stream-scaler:\n{connections}")?;
        }
        Ok(())
    }
}

impl Comparison {
    /// Returns whether the new trigger has no value.
    pub(super) const fn has_failed(&self) -> bool {
        matches!(self.migrated, Explained::Failed { .. })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in [("built-in", &self.built_in), ("migrated", &self.migrated)] {
            match outcome {
                Explained::Valued { decision, replicas, .. } => {
                    let (value, target) = (decision.value, decision.target);
                    writeln!(f, "  {name}   value {value}, target {target}: {}", replicas.in_words)?;
                }
                Explained::Failed { code, message } => writeln!(f, "  {name}   KEDA gets an error: {code}: {message}")?,
                Explained::Skipped { why } => writeln!(f, "  {name}   skipped: {why}")?,
            }
        }
        Ok(())
    }
}

/// Reads the sources of all migrated triggers and adds their values to the report.
pub(super) fn compare(report: &mut Report, connections: Connections) -> anyhow::Result<()> {
    let pairs = report.triggers.iter().filter_map(|trigger| trigger.pair.as_ref());
    let texts: Vec<_> = pairs.flat_map(|pair| [&pair.built_in, &pair.migrated]).collect();
    let mut read = outcomes(texts.into_iter(), connections)?.into_iter();
    for trigger in report.triggers.iter_mut().filter(|trigger| trigger.pair.is_some()) {
        if let (Outcome::Migrated { comparison, .. }, Some(built_in), Some(migrated)) =
            (&mut trigger.outcome, read.next(), read.next())
        {
            *comparison = Some(Box::new(Comparison { built_in, migrated }));
        }
    }
    Ok(())
}
