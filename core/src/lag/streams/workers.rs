//! Rows that KCL's workers write of themselves, beside the leases. No reading needs them, so an odd one is passed over.

use std::sync::Arc;

use super::rows::{first_text, text};
use super::{Attribute, Row, Timestamp};
use crate::trigger::StoreLayout;

/// KCL's word for a row that a worker writes of itself.
pub const WORKER: &str = "WORKER_METRIC_STATS";
/// What is read of such a row: when it was written, in seconds, the samples, and the greatest that each may be.
pub const WORKER_ATTRIBUTES: [&str; 3] = [WRITTEN, SAMPLES, RANGES];

const WRITTEN: &str = "lut";
const SAMPLES: &str = "sts";
const RANGES: &str = "opr";
const CPU: &str = "C";

/// A worker of an application, as it describes itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Its name, which is that of the leases' owner.
    pub id: Arc<str>,
    /// When it said so last; one that is gone stays in the table for a while.
    pub written: Option<Timestamp>,
    /// Its last measurements of CPU in percent, the newest last; none where it does not measure.
    pub cpu_percent: Vec<f64>,
    /// It is given no more work above this.
    pub most_cpu_percent: Option<f64>,
}

/// The workers among the rows of a table, ordered by name.
#[must_use]
pub fn workers_of(rows: &[Row], layout: &StoreLayout) -> Vec<Worker> {
    let Some(kind) = &layout.kind else { return Vec::new() };
    let rows = rows.iter().filter(|row| text(row, kind) == Some(WORKER));
    let mut workers: Vec<_> = rows.filter_map(|row| worker(row, layout)).collect();
    workers.sort_by(|one, other| one.id.cmp(&other.id));
    workers
}

fn worker(row: &Row, layout: &StoreLayout) -> Option<Worker> {
    let seconds: Option<u64> = text(row, WRITTEN).and_then(|seconds| seconds.parse().ok());
    Some(Worker {
        id: first_text(row, &layout.shard)?.into(),
        written: seconds.and_then(|seconds| seconds.checked_mul(1000)).map(Timestamp::from_unix_ms),
        // a measurement that failed is written as -1
        cpu_percent: numbers(row, SAMPLES, CPU).filter(|percent| *percent >= 0.0).collect(),
        most_cpu_percent: numbers(row, RANGES, CPU).next().filter(|percent| *percent > 0.0),
    })
}

fn numbers<'a>(row: &'a Row, attribute: &str, of: &str) -> impl Iterator<Item = f64> + 'a {
    let texts = match row.get(attribute) {
        Some(Attribute::Lists(lists)) => lists.get(of),
        _ => None,
    };
    texts.into_iter().flatten().filter_map(|text| text.parse().ok()).filter(|number: &f64| number.is_finite())
}
