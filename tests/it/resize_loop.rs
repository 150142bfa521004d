//! The need and the plan of a Kinesis stream in simulated worlds, as a closed loop.

use keda_stream_scaler::resize::rehearsal::Conditions;

use crate::support::stream_world::{Course, Demand, Outcome, simulate};

const USUAL: Conditions = Conditions { delay: 2, slowness: 1.0 };

/// The sum over all courses but the hot key, which no count of shards helps.
fn sum(conditions: Conditions) -> Outcome {
    let mut sum = Outcome::default();
    for course in Course::ALL.into_iter().filter(|course| *course != Course::HotKey) {
        let outcome = simulate(&Demand::new(course, 1), conditions);
        println!("{course:?}: {outcome:.1?}");
        sum.throttled_seconds += outcome.throttled_seconds;
        sum.shard_hours += outcome.shard_hours;
        sum.calls += outcome.calls;
        sum.refused += outcome.refused;
    }
    println!("all: {sum:.1?}");
    sum
}

#[test]
fn seven_courses_of_writes_are_met_for_less_than_a_count_by_hand() {
    let sum = sum(USUAL);
    // sized by hand for the peak they pay some 5,100 shard-hours per day
    assert!(sum.throttled_seconds <= 950.0 && sum.shard_hours <= 3200.0 && sum.calls <= 29.0, "{sum:?}");
    assert!(sum.refused < 0.5, "{sum:?}");
}

#[test]
fn a_late_cloudwatch_and_slow_reshards_lead_to_no_call_that_is_refused() {
    for conditions in [Conditions { delay: 5, ..USUAL }, Conditions { slowness: 5.0, ..USUAL }] {
        let sum = sum(conditions);
        // the rule of alarms that double at 75 % is throttled for some 1,800 s per day
        assert!(sum.refused < 0.5 && sum.throttled_seconds <= 1829.0, "{conditions:?}: {sum:?}");
    }
}

#[test]
fn a_hot_key_gets_a_quarter_more_once_and_not_without_end() {
    let outcome = simulate(&Demand::new(Course::HotKey, 1), USUAL);
    assert!(outcome.shard_hours <= 265.0 && outcome.calls <= 1.5 && outcome.refused < 0.5, "{outcome:?}");
}
