//! Worlds on clusters with short periods, whose objectives are seconds.

use std::time::Duration;

use super::scenario::{Noise, Periods, Rebalance, Rises, Scenario, lines, steps};

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

/// Two steps up, and one down.
pub fn chain_steps() -> Scenario {
    let rates = [(0, 60.0), (120, 200.0), (240, 400.0), (360, 120.0), (480, 300.0), (600, 60.0)];
    Scenario { name: "chain, steps", rate: steps(840, &rates), noise: CALM, ..free_chain() }
}

/// Noise on a cluster with short periods.
pub fn chain_noisy() -> Scenario {
    let noise = Noise { deviation: 0.4, lasts: 30.0 };
    Scenario { name: "chain, noise", first: 6, rate: steps(900, &[(0, 250.0)]), noise, ..free_chain() }
}

/// An objective of half a minute, and pods that take a quarter.
pub fn chain_30() -> Scenario {
    let rate = steps(2400, &[(0, 100.0), (600, 600.0), (1500, 150.0)]);
    let periods = Periods { sampled: 10, synced: 15, polled: 15 };
    let base = Scenario { shares: super::scenario::even(16), noise: CALM, ..free_chain() };
    Scenario { name: "chain, 30 s", rate, start: (15.0, 3.0), objective: 30.0, periods, ..base }
}

/// Up in three minutes, and down in three.
pub fn chain_ramp() -> Scenario {
    let rate = lines(720, &[(0, 50.0), (120, 50.0), (300, 450.0), (420, 450.0), (600, 50.0)]);
    Scenario { name: "chain, ramp", rate, shares: super::scenario::even(24), noise: CALM, ..free_chain() }
}

/// What a demonstration has time for: three times a morning, a rush hour and an evening.
pub fn demo() -> Scenario {
    let cycle = [(0, 60.0), (20, 240.0), (110, 120.0), (140, 480.0), (146, 60.0)];
    let rates: Vec<_> = (0..3).flat_map(|turn| cycle.map(|(from, rate)| (170 * turn + from, rate))).collect();
    Scenario {
        capacity: 40.0,
        unlike: 0.02,
        noise: Noise { deviation: 0.02, lasts: 20.0 },
        start: (4.0, 0.5),
        rebalance: Rebalance::AllStop(1),
        commit: 1,
        first: 2,
        most: Some(24),
        window: Duration::from_secs(15),
        objective: 12.0,
        periods: Periods { sampled: 2, synced: 3, polled: 6 },
        ..Scenario::new("demo", 48, steps(510, &rates))
    }
}

const CALM: Noise = Noise { deviation: 0.1, lasts: 20.0 };
