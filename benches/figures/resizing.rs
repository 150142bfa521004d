//! What a need and a plan of shards cost, and what comes of them in simulated days. No clock but for the cost.

use keda_stream_scaler::resize::rehearsal::Conditions;
use tokio::time::Instant;

use crate::stream_world::{Course, Demand, MINUTES, Outcome, simulate};
use crate::table::{Goal, Table};

const USUAL: Conditions = Conditions { delay: 2, slowness: 1.0 };
const SEEDS: u64 = 3;

pub fn measure(table: &mut Table) {
    let demand = Demand::new(Course::Diurnal, 1);
    let begun = Instant::now();
    simulate(&demand, USUAL);
    let decisions = f64::from(u32::try_from(MINUTES).unwrap());
    let each = begun.elapsed().as_secs_f64() * 1000.0 / decisions;
    table.add("a need and a plan of shards for one stream", each, "ms", Goal::Below(1.0));
    let mut sum = Outcome::default();
    for course in Course::ALL.into_iter().filter(|course| *course != Course::HotKey) {
        for outcome in (0..SEEDS).map(|seed| simulate(&Demand::new(course, seed), USUAL)) {
            sum.throttled_seconds += outcome.throttled_seconds;
            sum.shard_hours += outcome.shard_hours;
            sum.calls += outcome.calls;
            sum.refused += outcome.refused;
        }
    }
    let mean = |sum: f64| sum / f64::from(u32::try_from(SEEDS).unwrap());
    let name = "seven courses of writes, per day";
    table.add(format!("{name}: throttled"), mean(sum.throttled_seconds), "s", Goal::Below(950.0));
    table.add(format!("{name}: shard-hours"), mean(sum.shard_hours), "", Goal::Below(3050.0));
    table.add(format!("{name}: calls"), mean(sum.calls), "", Goal::Below(27.0));
    table.add(format!("{name}: calls refused"), mean(sum.refused), "", Goal::Equals(0.0));
}
