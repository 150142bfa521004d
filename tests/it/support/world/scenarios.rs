//! What has happened to somebody.

use std::time::Duration;

use super::scenario::{Crowding, Noise, Periods, Rebalance, Rises, Scenario, lines, one_hot, steps, weighted};

const HOUR: usize = 3600;

pub fn constant() -> Scenario {
    Scenario::new("constant", 16, steps(HOUR, &[(0, 500.0)]))
}

/// Four times as much for half an hour.
pub fn step() -> Scenario {
    Scenario { first: 3, ..Scenario::new("step", 16, steps(HOUR + 600, &[(0, 200.0), (900, 900.0), (2700, 200.0)])) }
}

pub fn ramp() -> Scenario {
    let rate = lines(HOUR + 600, &[(0, 100.0), (1200, 1100.0), (1800, 1100.0), (3000, 100.0)]);
    Scenario { first: 2, ..Scenario::new("ramp", 24, rate) }
}

/// Two minutes of six times as much, four times.
pub fn spikes() -> Scenario {
    let spike = |begin| [(begin, 1200.0), (begin + 120, 200.0)];
    let rates = [[(0, 200.0); 2], spike(600), spike(1500), spike(2400), spike(3300)].concat();
    Scenario { first: 3, ..Scenario::new("spikes", 24, steps(4200, &rates)) }
}

/// Half an hour of arrivals and more is unread at the beginning.
pub fn backlog() -> Scenario {
    Scenario { backlog: 540_000.0, ..Scenario::new("backlog", 24, steps(4200, &[(0, 300.0)])) }
}

/// Nearly a quarter of all records is in one partition, and one consumer can do those if it does little else.
pub fn hot() -> Scenario {
    let rate = steps(4200, &[(0, 150.0), (900, 300.0), (3000, 150.0)]);
    Scenario { first: 3, unlike: 0.0, shares: one_hot(16, 4.5), ..Scenario::new("hot partition", 16, rate) }
}

/// Half of all records is in one partition, for a time more than one consumer can do.
pub fn hopeless() -> Scenario {
    let rate = steps(HOUR, &[(0, 150.0), (900, 280.0), (2400, 150.0)]);
    let scenario = Scenario::new("hopeless partition", 16, rate);
    Scenario { first: 3, shares: one_hot(16, 15.0), hopeless: Some(3), ..scenario }
}

/// A record that kills whoever reads it; half an hour later less arrives, and it is still there.
pub fn stuck() -> Scenario {
    let scenario = Scenario::new("stuck partition", 16, steps(4200, &[(0, 400.0), (1800, 150.0)]));
    Scenario { first: 6, stuck: Some((5, 600..4200)), hopeless: Some(5), ..scenario }
}

/// Nothing for half an hour.
pub fn pause() -> Scenario {
    let rate = steps(4200, &[(0, 400.0), (900, 0.0), (2700, 400.0)]);
    Scenario { first: 6, least: 0, ..Scenario::new("pause", 16, rate) }
}

/// A database that takes less than what arrives for half an hour.
pub fn downstream() -> Scenario {
    let scenario = Scenario::new("downstream limit", 24, steps(4800, &[(0, 500.0)]));
    Scenario { first: 7, downstream: Some((900..2700, 450.0)), ..scenario }
}

/// A database that takes less than what arrives, and partitions enough to add consumers for long.
pub fn useless_consumers() -> Scenario {
    let scenario = Scenario::new("useless consumers", 48, steps(3000, &[(0, 500.0)]));
    Scenario { first: 7, downstream: Some((600..2400, 400.0)), ..scenario }
}

/// Every consumer is half as fast for half an hour.
pub fn slowdown() -> Scenario {
    Scenario {
        first: 7,
        slow: Some((900..2700, 0.5)),
        ..Scenario::new("slow consumers", 24, steps(4800, &[(0, 500.0)]))
    }
}

pub fn noisy() -> Scenario {
    let noise = Noise { deviation: 0.6, lasts: 60.0 };
    Scenario { first: 8, noise, ..Scenario::new("noise", 24, steps(HOUR, &[(0, 600.0)])) }
}

/// Consumers need two minutes to start, and half a minute to share the partitions.
pub fn slow_start() -> Scenario {
    Scenario { name: "slow start", start: (120.0, 15.0), rebalance: Rebalance::AllStop(30), ..step() }
}

/// Commits a minute apart.
pub fn rare_commits() -> Scenario {
    Scenario { name: "rare commits", commit: 60, ..step() }
}

/// Eleven consumers where some have three partitions and two is what they can do: an HPA takes twelve for eleven.
pub fn one_short() -> Scenario {
    Scenario { first: 11, unlike: 0.0, ..Scenario::new("one short", 24, steps(HOUR, &[(0, 920.0)])) }
}

/// Ten times as much for three minutes, on a cluster with short periods, whose consumers start in seconds and give partitions on in two phases.
pub fn chain() -> Scenario {
    Scenario {
        capacity: 50.0,
        unlike: 0.03,
        noise: Noise { deviation: 0.0, lasts: 20.0 },
        start: (4.0, 1.0),
        rebalance: Rebalance::MovedAreUnowned(4),
        commit: 1,
        window: Duration::from_secs(60),
        rises: Rises::ByDefaultPolicies,
        objective: 10.0,
        periods: Periods { sampled: 5, synced: 5, polled: 5 },
        ..Scenario::new("chain", 12, steps(440, &[(0, 40.0), (60, 400.0), (240, 40.0)]))
    }
}

/// The same with an HPA that adds all replicas at once, and takes them back after 15 s.
pub fn free_chain() -> Scenario {
    Scenario { name: "free chain", window: Duration::from_secs(15), rises: Rises::AtOnce, ..chain() }
}

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

/// The first third of the partitions is busier than one consumer can do, although there are enough consumers for the sum.
pub fn neighbours() -> Scenario {
    let shares = weighted(&[29.0, 29.0, 29.0, 29.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
    Scenario { first: 3, shares, unlike: 0.0, ..Scenario::new("neighbours", 12, steps(4200, &[(0, 196.0)])) }
}

/// The two hottest partitions are neighbours, and isolating them takes four times the consumers that the sum needs.
pub fn hot_pair() -> Scenario {
    let shares = weighted(&[60.0, 60.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
    Scenario { first: 6, shares, ..Scenario::new("hot pair", 12, steps(HOUR, &[(0, 220.0)])) }
}

/// A backlog under an HPA that takes consumers away after a minute.
pub fn short_window() -> Scenario {
    Scenario { name: "short window", window: Duration::from_secs(60), ..backlog() }
}
