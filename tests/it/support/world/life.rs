//! Worlds as they are found in production.

use std::f64::consts::PI;

use keda_stream_scaler::lag::flow::count;

use super::scenario::{Crowding, Noise, Scenario, steps, weighted};

/// Records that take ten seconds each.
pub fn slow_records() -> Scenario {
    let rate = steps(7200, &[(0, 0.3), (2400, 1.2), (4800, 0.5)]);
    let noise = Noise { deviation: 0.05, lasts: 20.0 };
    let scenario = Scenario::new("slow records", 20, rate);
    Scenario { capacity: 0.1, commit: 10, first: 5, noise, objective: 180.0, ..scenario }
}

/// A database that all consumers share: the more there are, the slower is each.
pub fn shared_database() -> Scenario {
    let rate = steps(7200, &[(0, 300.0), (1800, 800.0), (5400, 300.0)]);
    let crowding = Crowding { contention: 0.02, crosstalk: 0.0005 };
    Scenario { first: 4, crowding, ..Scenario::new("shared database", 32, rate) }
}

/// Everything of a day comes within two minutes of the night.
pub fn nightly() -> Scenario {
    let rate = steps(7200, &[(0, 40.0), (1800, 8333.0), (1920, 40.0)]);
    Scenario { objective: 900.0, most: Some(24), ..Scenario::new("nightly batch", 24, rate) }
}

/// Two hundred partitions, some a hundred times as busy as others.
pub fn skewed() -> Scenario {
    // the quantiles of a log-normal distribution, in an order that mixes them
    let quantile = |number: usize| {
        let share = count((number * 77) % 200 + 1) / 201.0;
        ((share / (1.0 - share)).ln() / 1.702).exp().min(4.0)
    };
    let shares = weighted(&(0..200).map(quantile).collect::<Vec<_>>());
    let rate = steps(7200, &[(0, 2500.0), (2400, 5000.0), (4800, 2500.0)]);
    Scenario { first: 32, shares, ..Scenario::new("skewed partitions", 200, rate) }
}

/// Two minutes of ten times as much, every half hour.
pub fn cron() -> Scenario {
    let turns: Vec<_> = (0..5).flat_map(|turn| [(1800 * turn, 150.0), (1800 * turn + 1680, 1500.0)]).collect();
    Scenario { first: 2, ..Scenario::new("cron", 32, steps(9000, &turns)) }
}

/// A week of hours: five working days, and two that are not.
pub fn weekdays() -> Scenario {
    let day = |factor: f64| {
        (0..3600).map(move |second| {
            let hour = ((count(second) / 3600.0 - 0.25) / 0.5).clamp(0.0, 1.0);
            60.0 + 900.0 * factor * (PI * hour).sin().max(0.0).powf(0.7)
        })
    };
    let rate = [1.0, 0.95, 1.05, 1.0, 0.9, 0.3, 0.25].into_iter().flat_map(day).collect();
    Scenario::new("weekdays", 32, rate)
}
