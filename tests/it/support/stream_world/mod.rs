//! Days of writes to a stream, and what the law makes of them.

mod demand;

use keda_stream_scaler::resize::Bounds;
use keda_stream_scaler::resize::rehearsal::{Conditions, Rules, simulate as simulate_world};
use keda_stream_scaler::trigger::WriteUtilizationPolicy;

pub use self::demand::{Course, Demand, MINUTES};

/// What two days came to, per day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub throttled_seconds: f64,
    pub shard_hours: f64,
    pub calls: f64,
    pub refused: f64,
}

/// Four days of `demand`, of which the last two count.
pub fn simulate(demand: &Demand, conditions: Conditions) -> Outcome {
    let (bounds, policy) = (Bounds { min: 1, max: 10_000, calls_per_day: 10 }, WriteUtilizationPolicy::default());
    let rules = Rules { bounds: Some(&bounds), policy: &policy, conditions };
    let outcome =
        simulate_world(demand.first(), MINUTES, MINUTES / 2, &rules, |minute, shards| demand.put(minute, shards));
    Outcome {
        throttled_seconds: 60.0 * outcome.throttled_minutes / 2.0,
        shard_hours: outcome.shard_hours / 2.0,
        calls: f64::from(outcome.calls) / 2.0,
        refused: f64::from(outcome.refused) / 2.0,
    }
}
