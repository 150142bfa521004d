//! Rows that KCL's workers write about themselves, next to the leases. No reading needs them, so an invalid one is skipped.

use std::sync::Arc;

use super::rows::{first_text, text};
use super::{Attribute, Row, Timestamp};
use crate::trigger::StoreLayout;

/// KCL's word for a row that a worker writes about itself.
pub const WORKER: &str = "WORKER_METRIC_STATS";
/// The attributes that are read from these rows: the write time in seconds, the samples, and the maximum of each.
pub const WORKER_ATTRIBUTES: [&str; 3] = [WRITTEN, SAMPLES, RANGES];

const WRITTEN: &str = "lut";
const SAMPLES: &str = "sts";
const RANGES: &str = "opr";
const CPU: &str = "C";

/// A worker of an application, as it describes itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// The worker's name, which is the owner in its leases.
    pub id: Arc<str>,
    /// When the worker last wrote the row; the row of a dead worker stays in the table for a while.
    pub written: Option<Timestamp>,
    /// Its last measurements of CPU in percent, the newest last; empty where the worker does not measure.
    pub cpu_percent: Vec<f64>,
    /// The CPU use in percent above which the worker gets no more work.
    pub most_cpu_percent: Option<f64>,
}

/// Extracts the workers from the rows of a table, ordered by name.
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
        // a failed measurement is written as -1
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
