//! Simulates days of writes under the law, and compares its cost with a fixed count and with on-demand mode.
//!
//! Assumptions: the fullest shard receives 15 % more than the mean; a reshard takes one minute plus six seconds per shard of the
//! difference; rejected records are not retried. Prices are those of us-east-1: $0.015 per shard-hour; on demand $0.04 per hour and $0.08
//! per GB. PUT payload units and reads are excluded on all sides.

mod world;

use crate::lag::Minute;
use crate::trigger::WriteUtilizationPolicy;

pub use self::world::{Conditions, Outcome, Put, Rules, next_target, simulate};
use super::{Bounds, ceil};

/// The load of the fullest shard relative to the mean.
const SKEW: f64 = 1.15;
/// The first two days, in which the law learns habits, do not count for any row.
const LEARNT: usize = 2 * 1440;
const USUAL: Conditions = Conditions { delay: 2, slowness: 1.0 };
const SHARD_HOUR: f64 = 0.015;
const ON_DEMAND_HOUR: f64 = 0.04;
const ON_DEMAND_GB: f64 = 0.08;
const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// The billed minimum size of a record in on-demand mode, in bytes.
const SMALLEST: f64 = 1024.0;

/// One way to size the stream, and its result.
#[derive(Clone, Debug)]
pub struct Row {
    /// The way of sizing the stream.
    pub way: Sizing,
    /// Minutes in which records were rejected; unknown in on-demand mode.
    pub throttled_minutes: Option<f64>,
    /// Shard-hours; none in on-demand mode.
    pub shard_hours: Option<f64>,
    /// The number of calls of `UpdateShardCount`.
    pub calls: u32,
    /// The cost in US dollars.
    pub dollars: f64,
}

/// A way of sizing a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// The present count stays unchanged.
    AsItIs(u32),
    /// A fixed count with as many shards as the busiest minute needs.
    BestFixed(u32),
    /// The law resizes the stream.
    Resized,
    /// AWS sizes the stream in on-demand mode.
    OnDemand,
}

/// Simulates `minutes`, the newest last, on a stream that has `open` shards; the first two days do not count.
#[must_use]
pub fn rehearse(minutes: &[Minute], open: u32, bounds: &Bounds, policy: &WriteUtilizationPolicy) -> Vec<Row> {
    let counted = LEARNT.min(minutes.len());
    let put =
        |minute: usize, shards: f64| minutes.get(minute).copied().map_or_else(Put::default, |one| put(one, shards));
    let busiest = minutes.iter().skip(counted).map(demand).fold(0.0, f64::max);
    let best = ceil(SKEW * busiest).max(1);
    let first =
        ceil(minutes.first().map_or(0.0, demand) / policy.target_utilization.get()).clamp(bounds.min, bounds.max);
    let ways = [
        (Sizing::AsItIs(open), open, None),
        (Sizing::BestFixed(best), best, None),
        (Sizing::Resized, first, Some(bounds)),
    ];
    let rows = ways.into_iter().map(|(way, first, bounds)| {
        let rules = Rules { bounds, policy, conditions: USUAL };
        let outcome = simulate(first, minutes.len(), counted, &rules, put);
        Row {
            way,
            throttled_minutes: Some(outcome.throttled_minutes),
            shard_hours: Some(outcome.shard_hours),
            calls: outcome.calls,
            dollars: outcome.shard_hours * SHARD_HOUR,
        }
    });
    rows.chain([on_demand(minutes.get(counted..).unwrap_or_default())]).collect()
}

fn on_demand(minutes: &[Minute]) -> Row {
    let gigabytes: f64 = minutes.iter().map(|minute| minute.bytes.max(SMALLEST * minute.records) / GB).sum();
    let hours = minutes.iter().map(|_| 1.0 / 60.0).sum::<f64>();
    let dollars = ON_DEMAND_HOUR * hours + ON_DEMAND_GB * gigabytes;
    Row { way: Sizing::OnDemand, throttled_minutes: None, shard_hours: None, calls: 0, dollars }
}

/// The shards that all records of a minute fill, including rejected records.
fn demand(minute: &Minute) -> f64 {
    let all = if minute.records > 0.0 { (minute.records + minute.throttled) / minute.records } else { 1.0 };
    minute.shards() * all
}

/// Writes a minute's records to that many shards.
fn put(minute: Minute, shards: f64) -> Put {
    let (wanted, room) = (demand(&minute), shards / SKEW);
    let all = minute.records + minute.throttled;
    let part = if wanted > room { room / wanted } else { 1.0 };
    let scale = if minute.records > 0.0 { part * all / minute.records } else { 1.0 };
    let accepted =
        Minute { bytes: minute.bytes * scale, records: minute.records * scale, throttled: all * (1.0 - part) };
    Put { minute: accepted, throttled: f64::from(u8::from(wanted > room)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 64, calls_per_day: 10 };

    fn shards(filled: f64) -> Minute {
        Minute { bytes: 0.0, records: 60_000.0 * filled, throttled: 0.0 }
    }

    /// Writes that fill ten shards for nine hours of each day, and one shard for the rest.
    fn days(count: usize) -> Vec<Minute> {
        (0..count * 1440)
            .map(|minute| shards(if (600..1140).contains(&(minute % 1440)) { 10.0 } else { 1.0 }))
            .collect()
    }

    #[test]
    fn a_day_with_a_peak_is_cheaper_resized_than_at_its_best_fixed_count_and_on_demand() {
        let rows = rehearse(&days(6), 20, &BOUNDS, &WriteUtilizationPolicy::default());
        let [as_it_is, fixed, resized, on_demand] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((as_it_is.way, fixed.way), (Sizing::AsItIs(20), Sizing::BestFixed(12)));
        assert!((as_it_is.shard_hours.unwrap() - 20.0 * 96.0).abs() < 1.0, "{as_it_is:?}");
        assert!(as_it_is.throttled_minutes == Some(0.0) && fixed.throttled_minutes == Some(0.0), "{rows:?}");
        assert!(resized.throttled_minutes.unwrap() < 5.0 && resized.calls <= 40, "{resized:?}");
        assert!(resized.dollars < as_it_is.dollars && resized.dollars < on_demand.dollars, "{rows:?}");
        assert_eq!(on_demand.shard_hours, None);
    }

    #[test]
    fn what_was_rejected_was_needed_as_well() {
        let minute = Minute { throttled: 60_000.0, ..shards(1.0) };
        assert!((demand(&minute) - 2.0).abs() < 1e-9);
        let put = put(minute, 1.15);
        assert!((put.minute.shards() - 1.0).abs() < 1e-9 && put.throttled > 0.5, "{put:?}");
        assert!((put.minute.throttled - 60_000.0).abs() < 1e-6, "{put:?}");
    }
}
