//! Worlds that try one ability each.

use std::time::Duration;

use keda_stream_scaler::lag::flow::count;

use super::random::Random;
use super::scenario::{Noise, Rebalance, Scenario, lines, one_hot, steps, weighted};

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

/// A world by lot: loads of up to seven tenths of what all partitions' consumers can do, in steps or in lines, shared out unevenly.
pub fn random(number: u64) -> Scenario {
    let mut random = Random::new(number);
    let mut pick = |of: &[f64]| of[random.below(of.len())];
    let (places, capacity) = (pick(&[4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0]), pick(&[20.0, 50.0, 100.0, 250.0]));
    let commit = pick(&[5.0, 5.0, 5.0, 10.0, 30.0]);
    let mut between = |least: f64, most: f64| least + (most - least) * count(random.below(1001)) / 1000.0;
    let all = 0.7 * places * capacity;
    let points: Vec<_> = (0..7).map(|part| (1100 * part, all * between(0.03, 1.0))).collect();
    let rate = if between(0.0, 1.0) < 0.5 { steps(7200, &points) } else { lines(7200, &points) };
    let uneven = if between(0.0, 1.0) < 0.7 { 0.2 } else { 0.6 };
    let partitions = whole(places);
    let shares = weighted(&(0..partitions).map(|_| between(1.0 - uneven, 1.0 + uneven)).collect::<Vec<_>>());
    // no partition is too much for one consumer
    let most = 0.8 * capacity / rate.iter().copied().fold(0.0, f64::max);
    let shares = weighted(&shares.into_iter().map(|share| share.min(most)).collect::<Vec<_>>());
    let noise = Noise { deviation: between(0.05, 0.4), lasts: between(5.0, 60.0) };
    Scenario {
        first: u32::try_from(whole(between(1.0, places / 2.0))).unwrap(),
        capacity,
        unlike: between(0.0, 0.15),
        start: (between(15.0, 90.0), 5.0),
        rebalance: Rebalance::AllStop(whole(between(3.0, 20.0))),
        commit: whole(commit),
        shares,
        noise,
        ..Scenario::new("random", partitions, rate)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
fn whole(number: f64) -> usize {
    number as usize
}
