//! `--compare`: shows the built-in trigger's value beside the new one's, each from its own reading.

use super::super::explain::outcomes;
use super::report::{Comparison, Outcome, Report};
use crate::tenancy::Connections;

/// Reads the sources of all migrated triggers and adds their values to the report.
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
