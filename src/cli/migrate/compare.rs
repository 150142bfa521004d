//! `--compare`: the number of the built-in trigger beside that of the new one, each from a reading of its own.

use std::fmt;

use serde::Serialize;

use super::super::explain::{Outcome as Explained, outcomes};
use super::super::manifest::TriggerText;
use super::report::{Outcome, Report};
use crate::source::Connections;

/// Old beside new.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    built_in: Explained,
    migrated: Explained,
}

/// A trigger as it is to be, and one that gives the built-in's number.
pub(super) struct Pair {
    pub(super) built_in: TriggerText,
    pub(super) migrated: TriggerText,
}

/// Reads the sources of all migrated triggers and adds what they say to the report.
pub(super) fn compare(report: &mut Report, connections: Connections) -> anyhow::Result<()> {
    let pairs = report.triggers.iter().filter_map(|trigger| trigger.pair.as_ref());
    let texts: Vec<_> = pairs.flat_map(|pair| [&pair.built_in, &pair.migrated]).collect();
    let mut told = outcomes(texts.into_iter(), connections)?.into_iter();
    for trigger in report.triggers.iter_mut().filter(|trigger| trigger.pair.is_some()) {
        if let (Outcome::Migrated { comparison, .. }, Some(built_in), Some(migrated)) =
            (&mut trigger.outcome, told.next(), told.next())
        {
            *comparison = Some(Box::new(Comparison { built_in, migrated }));
        }
    }
    Ok(())
}

impl Comparison {
    /// Whether the new trigger has no value.
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
