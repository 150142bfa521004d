//! `resize --rehearse`: runs the sizing law over days of recorded writes.

use std::fmt::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::Arguments;
use super::once::{bounds, control};
use crate::lag::Minute;
use crate::resize::rehearsal::{Row, Sizing, rehearse};
use crate::trigger::WriteUtilizationPolicy;

const DAY: Duration = Duration::from_secs(86_400);
/// The allowed range: two days to learn habits and one that counts, up to the fifteen days for which `CloudWatch` keeps minutes.
const DAYS: (Duration, Duration) = (Duration::from_secs(3 * 86_400), Duration::from_secs(15 * 86_400));

/// The result of a rehearsal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rehearsal {
    stream: String,
    days: f64,
    rows: Vec<Shown>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    way: String,
    throttled_minutes: Option<f64>,
    shard_hours: Option<f64>,
    calls: u32,
    dollars: f64,
}

pub(super) fn run(arguments: &Arguments, span: Duration) -> anyhow::Result<Rehearsal> {
    ensure!((DAYS.0..=DAYS.1).contains(&span), "--rehearse must be from 3 to 15 days, such as 14d");
    let (control, bounds) = (control(arguments)?, bounds(arguments)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = usize::try_from(span.as_secs() / 60).context("--rehearse")?;
    let (open, minutes) = runtime.block_on(control.history(count))?;
    let minutes: Vec<Minute> = minutes.into_iter().map(Option::unwrap_or_default).collect();
    let rows = rehearse(&minutes, open, &bounds, &WriteUtilizationPolicy::default());
    let days = (span - 2 * DAY).as_secs_f64() / DAY.as_secs_f64();
    Ok(Rehearsal { stream: control.to_string(), days, rows: rows.iter().map(Shown::of).collect() })
}

impl Shown {
    fn of(row: &Row) -> Self {
        let way = match row.way {
            Sizing::AsItIs(shards) => format!("as it is, {shards} shards"),
            Sizing::BestFixed(shards) => format!("the best fixed count, {shards} shards"),
            Sizing::Resized => "resized".to_owned(),
            Sizing::OnDemand => "on demand".to_owned(),
        };
        let Row { throttled_minutes, shard_hours, calls, dollars, .. } = *row;
        Self { way, throttled_minutes, shard_hours, calls, dollars }
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {:.1} days after two that were learnt from", self.stream, self.days)?;
        writeln!(f, "{:<34} {:>18} {:>12} {:>6} {:>9}", "", "throttled minutes", "shard-hours", "calls", "dollars")?;
        for row in &self.rows {
            let mut line = format!("{:<34}", row.way);
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
            let (throttled, hours) = (number(row.throttled_minutes), number(row.shard_hours));
            write!(line, " {throttled:>18} {hours:>12} {:>6} {:>9.2}", row.calls, row.dollars)?;
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
