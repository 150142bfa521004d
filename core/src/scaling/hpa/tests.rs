//! Worked examples of the HPA's rules.

use super::*;

const PLAIN: Pace = Pace::Plain { down_window: DOWNSCALE_STABILIZATION };
const BEHAVIOR: Pace =
    Pace::Behavior { scale_up: ScaleUp::Default, up_window: Duration::ZERO, down_window: DOWNSCALE_STABILIZATION };
const EAGER: Tolerance = Tolerance { up: 0.0, down: 0.1 };

fn moment(seconds: u64) -> Moment {
    Moment::after_epoch(Duration::from_secs(seconds))
}

fn rules(target: Target, max_replicas: u32, tolerance: Tolerance, pace: Pace) -> Rules {
    Rules { target, min_replicas: 1, max_replicas, tolerance, pace }
}

fn consumers(pace: Pace) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler::new(rules(Target::AverageValue(1.0), 1000, Tolerance::default(), pace))
}

/// One sync of an HPA whose history is too old to matter.
fn one(rules: Rules, value: f64, replicas: u32) -> u32 {
    let mut hpa = HorizontalPodAutoscaler::new(rules);
    hpa.recommendations.push((moment(0), 0));
    hpa.sync(moment(10_000), Some(value), Replicas::settled(replicas))
}

#[test]
fn an_average_value_is_the_replicas_it_asks_for_outside_of_the_tolerance() {
    let examples = [
        (4, 7.0, 7),
        (3, 3.2, 3),
        (3, 3.4, 4),
        (10, 11.0, 10),
        (10, 11.001, 12),
        (10, 9.0, 10),
        (10, 8.9, 9),
        (11, 12.0, 11),
        (11, 12.11, 13),
        (5, 0.0, 1),
    ];
    for (replicas, value, expected) in examples {
        let rules = rules(Target::AverageValue(1.0), 1000, Tolerance::default(), PLAIN);
        assert_eq!(one(rules, value, replicas), expected, "{value} at {replicas}");
    }
}

#[test]
fn the_last_replica_is_out_of_reach_within_the_tolerance() {
    // 64 partitions, a threshold of 3000, and a lag that is capped at 64 times that
    let lag = 64.0 * 3000.0;
    let reached = |tolerance| one(rules(Target::AverageValue(3000.0), 64, tolerance, PLAIN), lag, 63);
    assert_eq!((reached(Tolerance::default()), reached(EAGER)), (63, 64));
}

#[test]
fn replicas_rise_by_steps() {
    let mut steps = vec![1];
    let mut hpa = consumers(PLAIN);
    for sync in 0..5 {
        steps.push(hpa.sync(moment(15 * sync), Some(40.0), Replicas::settled(steps[steps.len() - 1])));
    }
    assert_eq!(steps, [1, 4, 8, 16, 32, 40]);
    let mut steps = vec![1];
    let mut hpa = consumers(BEHAVIOR);
    for sync in 0..4 {
        steps.push(hpa.sync(moment(15 * sync), Some(40.0), Replicas::settled(steps[steps.len() - 1])));
    }
    assert_eq!(steps, [1, 5, 10, 20, 40]);
}

#[test]
fn a_policy_of_pods_lets_so_many_rise_in_a_period() {
    let pods = |pods| Pace::Behavior {
        scale_up: ScaleUp::Pods(pods),
        up_window: Duration::ZERO,
        down_window: DOWNSCALE_STABILIZATION,
    };
    assert_eq!(consumers(pods(40)).sync(moment(0), Some(40.0), Replicas::settled(1)), 40);
    let mut hpa = consumers(pods(3));
    for (at, replicas) in [(0, 4), (5, 4), (15, 7)] {
        assert_eq!(hpa.sync(moment(at), Some(40.0), Replicas::settled(if at == 0 { 1 } else { 4 })), replicas);
    }
}

#[test]
fn a_behavior_counts_what_was_added_and_taken_in_its_period() {
    let mut hpa = consumers(BEHAVIOR);
    assert_eq!(hpa.sync(moment(0), Some(40.0), Replicas::settled(8)), 16);
    assert_eq!(hpa.sync(moment(5), Some(40.0), Replicas::settled(16)), 16);
    assert_eq!(hpa.sync(moment(15), Some(40.0), Replicas::settled(16)), 32);
    let mut hpa = HorizontalPodAutoscaler { taken: vec![(moment(0), 6)], ..consumers(BEHAVIOR) };
    assert_eq!(hpa.sync(moment(5), Some(40.0), Replicas::settled(2)), 16);
}

#[test]
fn a_value_multiplies_the_pods_that_are_ready() {
    let wanted = |replicas| replicas_for(300.0, Target::Value(30.0), replicas, Tolerance::default());
    assert_eq!(wanted(Replicas::settled(3)), 30);
    assert_eq!(wanted(Replicas { spec: 6, status: 6, ready: 3 }), 30, "pods that start do not compound");
    assert_eq!(wanted(Replicas::settled(6)), 60, "the value has not moved, and the answer has doubled");
    assert_eq!(wanted(Replicas::settled(0)), 10);
    assert_eq!(replicas_for(32.9, Target::Value(30.0), Replicas::settled(6), Tolerance::default()), 6);
    assert_eq!(one(rules(Target::Value(30.0), 100, Tolerance::default(), PLAIN), 300.0, 3), 6);
}

#[test]
fn replicas_fall_to_the_highest_recommendation_of_the_window() {
    let mut hpa = consumers(PLAIN);
    let settled = Replicas::settled(10);
    assert_eq!(hpa.sync(moment(0), Some(10.0), settled), 10);
    for sync in 1..=20 {
        assert_eq!(hpa.sync(moment(15 * sync), Some(2.0), settled), 10, "after {} s", 15 * sync);
    }
    assert_eq!(hpa.sync(moment(301), Some(2.0), settled), 2);
    let mut hpa = consumers(BEHAVIOR);
    assert_eq!(hpa.sync(moment(0), Some(10.0), settled), 10);
    assert_eq!(hpa.sync(moment(299), Some(2.0), settled), 10);
    assert_eq!(hpa.sync(moment(300), Some(2.0), settled), 2);
}

#[test]
fn a_window_for_rising_waits_for_the_lowest() {
    let window = Duration::from_secs(60);
    let mut hpa = consumers(Pace::Behavior { scale_up: ScaleUp::Default, up_window: window, down_window: window });
    let settled = Replicas::settled(10);
    for sync in 0..4 {
        assert_eq!(hpa.sync(moment(15 * sync), Some(if sync == 0 { 10.0 } else { 14.0 }), settled), 10);
    }
    assert_eq!(hpa.sync(moment(60), Some(14.0), settled), 14);
}

#[test]
fn an_error_changes_nothing_and_is_not_remembered() {
    let mut hpa = consumers(PLAIN);
    assert_eq!(hpa.sync(moment(0), Some(10.0), Replicas::settled(10)), 10);
    let before = hpa.clone();
    assert_eq!(hpa.sync(moment(15), None, Replicas::settled(10)), 10);
    assert_eq!(hpa, before);
}

#[test]
fn the_first_recommendation_is_what_there_is() {
    assert_eq!(consumers(PLAIN).sync(moment(0), Some(2.0), Replicas::settled(10)), 10);
}

#[test]
fn replicas_stay_within_the_limits_whatever_the_value() {
    let bounded = Rules { min_replicas: 2, ..rules(Target::AverageValue(1.0), 8, Tolerance::default(), PLAIN) };
    assert_eq!(one(bounded, 40.0, 6), 8);
    assert_eq!(one(bounded, 0.0, 6), 2);
    let mut hpa = HorizontalPodAutoscaler::new(bounded);
    assert_eq!(hpa.sync(moment(0), None, Replicas::settled(20)), 8);
    assert_eq!(hpa.sync(moment(0), None, Replicas::settled(1)), 2);
}

#[test]
fn an_hpa_does_nothing_at_zero_replicas() {
    assert_eq!(one(rules(Target::AverageValue(1.0), 1000, Tolerance::default(), PLAIN), 40.0, 0), 0);
}

#[test]
fn what_is_no_number_is_zero() {
    for (number, expected) in
        [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (-3.0, 0.0), (2.0004, 2000.0), (2.0006, 2001.0), (0.0625, 62.0)]
    {
        assert_eq!(thousandths(number).to_bits(), f64::to_bits(expected), "{number}");
    }
    assert_eq!(replicas_for(f64::NAN, Target::AverageValue(1.0), Replicas::settled(5), Tolerance::default()), 0);
}
