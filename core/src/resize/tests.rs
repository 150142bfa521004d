//! Each reason in a table, and the invariants that hold for any state.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::lag::Minute;
use crate::lag::streams::{Change, StreamCapacity, Timestamp};

const BOUNDS: Bounds = Bounds { min: 2, max: 64, calls_per_day: 10 };

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000)
}

fn minutes_ago(minutes: u64) -> Timestamp {
    now().minus(Duration::from_secs(60 * minutes))
}

/// Three hours of writes that fill `shards` shards, after two days that fill `peak`.
fn writes(shards: f64, peak: f64) -> Writes {
    let minute = |shards: f64| Some(Minute { bytes: 0.0, records: 60_000.0 * shards, throttled: 0.0 });
    Writes { until: now(), minutes: vec![minute(shards); 180], before: vec![minute(peak); 540] }
}

fn stream(open: u32) -> StreamReading {
    let capacity = StreamCapacity { open, widest: 1.0 / f64::from(open), changes: Some(Vec::new()) };
    StreamReading { at: now(), state: StreamState::Ready, capacity, retention: DAY }
}

fn change(minutes: u64, from: u32, to: u32) -> Change {
    Change { at: minutes_ago(minutes), done: minutes_ago(minutes), from, to }
}

fn no_consumers() -> Consumers {
    Consumers { all: Vec::new(), max_age: Duration::from_secs(300) }
}

fn planned_with(wanted: u32, stream: &StreamReading, calls: &Calls, consumers: &Consumers, writes: &Writes) -> Plan {
    let policy = &WriteUtilizationPolicy::default();
    Situation { stream, free: None, bounds: &BOUNDS, calls, consumers, writes, policy }.plan(wanted)
}

fn planned(wanted: u32, stream: &StreamReading, changes: &[Change], writes: &Writes) -> Plan {
    planned_with(wanted, stream, &Calls::new(now(), changes, &[], None), &no_consumers(), writes)
}

fn call(target: u32, limited_by: Option<Reason>) -> Plan {
    Plan::Call { target, limited_by }
}

#[test]
fn each_reason_is_given_where_the_table_says() {
    let in_hours = |hours: u64, from: u64| minutes_ago(from).plus(Duration::from_secs(3600 * hours));
    let ten: Vec<_> = (0..10).map(|number| change(1400 - number, 8, 16)).collect();
    let spent = |count: usize| &ten[..count];
    let state = |state| StreamReading { state, ..stream(8) };
    let idle = writes(0.5, 1.0);
    let raised_with_free = |free| {
        let (policy, calls) = (&WriteUtilizationPolicy::default(), &Calls::new(now(), &[], &[], None));
        let (stream, consumers, writes) = (&stream(8), &no_consumers(), &idle);
        Situation { stream, free: Some(free), bounds: &BOUNDS, calls, consumers, writes, policy }.plan(16)
    };
    let rows = [
        ("as wanted", planned(8, &stream(8), &[], &idle), Plan::Nothing),
        ("on demand", planned(16, &state(StreamState::OnDemand), &[], &idle), Plan::Wait(Reason::NotApplicable)),
        ("updating", planned(16, &state(StreamState::Updating), &[], &idle), Plan::Wait(Reason::Updating)),
        ("at the maximum", planned(70, &stream(64), &[], &idle), Plan::Wait(Reason::AboveMax { wanted: 70, max: 64 })),
        (
            "to the maximum",
            planned(70, &stream(40), &[], &idle),
            call(64, Some(Reason::AboveMax { wanted: 70, max: 64 })),
        ),
        ("the maximum itself", planned(64, &stream(40), &[], &idle), call(64, None)),
        ("the minimum itself", planned(2, &stream(4), &[], &idle), call(2, None)),
        ("at the minimum", planned(1, &stream(2), &[], &idle), Plan::Wait(Reason::BelowMin { wanted: 1, min: 2 })),
        ("up at once", planned(12, &stream(8), &[], &idle), call(12, None)),
        ("up to a cheap quarter", planned(11, &stream(8), &[], &idle), call(12, None)),
        ("a quarter would cost too much", planned(17, &stream(16), &[], &idle), call(17, None)),
        ("far up", planned(40, &stream(8), &[], &idle), call(16, Some(Reason::Step))),
        ("up with few calls", planned(9, &stream(8), spent(8), &idle), call(16, None)),
        (
            "up without a call",
            planned(9, &stream(8), &ten, &idle),
            Plan::Wait(Reason::Budget { until: in_hours(24, 1400) }),
        ),
        ("up to the account's quota", raised_with_free(3), call(11, Some(Reason::AccountQuota))),
        ("over the account's quota", raised_with_free(0), Plan::Wait(Reason::AccountQuota)),
        ("down", planned(4, &stream(8), &[], &idle), call(4, None)),
        ("far down", planned(2, &stream(9), &[], &idle), call(5, Some(Reason::Step))),
        (
            "below what is written",
            planned(2, &stream(8), &[], &writes(5.0, 5.0)),
            Plan::Wait(Reason::BelowUse { least: 7 }),
        ),
        ("exactly what is written", planned(7, &stream(12), &[], &writes(5.0, 5.0)), call(7, None)),
        (
            "all of it is written",
            planned(2, &stream(8), &[], &writes(7.0, 7.0)),
            Plan::Wait(Reason::BelowUse { least: 10 }),
        ),
        (
            "an hour after a change",
            planned(4, &stream(8), &[change(59, 16, 8)], &idle),
            Plan::Wait(Reason::Resting { until: in_hours(1, 59) }),
        ),
        ("after an hour", planned(4, &stream(8), &[change(60, 16, 8)], &idle), call(4, None)),
        (
            "two hours after a raise",
            planned(4, &stream(8), &[change(119, 4, 8)], &idle),
            Plan::Wait(Reason::Resting { until: in_hours(2, 119) }),
        ),
        ("after two hours", planned(4, &stream(8), &[change(120, 4, 8)], &idle), call(4, None)),
        (
            "longer after a lower count that was undone",
            planned(4, &stream(8), &[change(400, 8, 4), change(239, 4, 8)], &idle),
            Plan::Wait(Reason::Resting { until: in_hours(4, 239) }),
        ),
        (
            "the way back must be payable",
            planned(2, &stream(16), spent(7), &writes(0.5, 39.0)),
            Plan::Wait(Reason::Budget { until: minutes_ago(1400).plus(DAY) }),
        ),
        (
            "two calls stay",
            planned(4, &stream(8), spent(8), &idle),
            Plan::Wait(Reason::Budget { until: minutes_ago(1400).plus(DAY) }),
        ),
    ];
    for (name, planned, expected) in rows {
        assert_eq!(planned, expected, "{name}");
    }
}

#[test]
fn after_a_lower_count_that_was_undone_the_peak_of_a_longer_time_must_fit() {
    let undone = [change(700, 8, 4), change(500, 4, 8)];
    // the wait is now four hours: in the fourth, 3.6 shards were filled
    let recent = writes(0.5, 3.6);
    assert_eq!(planned(4, &stream(8), &undone, &recent), Plan::Wait(Reason::RecentPeak { least: 6 }));
    assert_eq!(planned(4, &stream(8), &undone[..1], &recent), call(4, None), "nothing was undone");
}

#[test]
fn a_lower_count_is_undone_only_by_a_raise_within_six_hours_and_equal_counts_are_neither() {
    let calls = |changes: &[Change]| Calls::new(now(), changes, &[], None);
    let undone = [
        ("just within", [change(700, 8, 4), change(341, 4, 8)], 1),
        ("six hours later", [change(700, 8, 4), change(340, 4, 8)], 0),
        ("an equal count first", [change(700, 8, 8), change(600, 8, 9)], 0),
        ("an equal count then", [change(700, 8, 4), change(600, 4, 4)], 0),
    ];
    for (name, changes, expected) in undone {
        assert_eq!(calls(&changes).undone(), expected, "{name}");
    }
    assert_eq!(calls(&[change(100, 4, 8), change(50, 8, 8)]).last_raise(), Some(minutes_ago(100)));
}

/// Without this rule, each run of a stateless command would be the first of the day.
#[test]
fn a_lower_count_waits_where_neither_the_stream_nor_the_calls_show_the_last_changes() {
    let mut unknown = stream(8);
    unknown.capacity.changes = None;
    let idle = writes(0.5, 1.0);
    assert_eq!(planned(4, &unknown, &[], &idle), Plan::Wait(Reason::ChangesUnknown));
    assert_eq!(planned(4, &unknown, &[change(600, 16, 8)], &idle), call(4, None), "own calls are known");
    assert_eq!(planned(12, &unknown, &[], &idle), call(12, None), "producers do not wait");
}

#[test]
fn a_lower_count_waits_for_consumers_and_a_raise_does_not() {
    let progress = |age, reads_closed_shards| Ok(Progress { age: Duration::from_secs(age), reads_closed_shards });
    let rows = [
        (progress(300, false), Duration::from_secs(86_400), None),
        (
            progress(301, false),
            Duration::from_secs(86_400),
            Some(Unready::Behind { age: Duration::from_secs(301), most: Duration::from_secs(300) }),
        ),
        (
            progress(200, false),
            Duration::from_secs(360),
            Some(Unready::Behind { age: Duration::from_secs(200), most: Duration::from_secs(180) }),
        ),
        (progress(0, true), Duration::from_secs(86_400), Some(Unready::GenerationUnread)),
        (Err("denied".to_owned()), Duration::from_secs(86_400), Some(Unready::Unreadable("denied".to_owned()))),
    ];
    for (progress, retention, unready) in rows {
        let late = Consumer { application: "billing".to_owned(), progress: progress.clone() };
        let fine = Consumer {
            application: "audit".to_owned(),
            progress: Ok(Progress { age: Duration::ZERO, reads_closed_shards: false }),
        };
        let consumers = Consumers { all: vec![fine, late], max_age: Duration::from_secs(300) };
        let stream = StreamReading { retention, ..stream(8) };
        let none = Calls::new(now(), &[], &[], None);
        let reason = unready.map(|unready| Reason::Consumer { application: "billing".to_owned(), unready });
        let expected = reason.map_or_else(|| call(4, None), Plan::Wait);
        assert_eq!(planned_with(4, &stream, &none, &consumers, &writes(0.5, 1.0)), expected, "{progress:?}");
        assert_eq!(planned_with(12, &stream, &none, &consumers, &writes(0.5, 1.0)), call(12, None), "{progress:?}");
    }
}

#[test]
fn a_change_that_both_the_calls_and_the_stream_show_counts_once() {
    let made = [change(100, 4, 8)];
    let shown = [change(98, 4, 8), change(500, 2, 4), change(1500, 1, 2)];
    let calls = Calls::new(now(), &made, &shown, None);
    assert_eq!(calls.left(10), 8, "one is ours, one is of another hand, one is older than a day");
    assert_eq!(calls.last(), Some((minutes_ago(100), By::Us)));
}

#[test]
fn a_change_by_another_hand_stands_for_an_hour_unless_more_is_needed() {
    let calls = Calls::new(now(), &[], &[change(20, 16, 8)], None);
    let until = minutes_ago(20).plus(REST);
    let (no_consumers, idle) = (no_consumers(), writes(0.5, 1.0));
    assert_eq!(
        planned_with(4, &stream(8), &calls, &no_consumers, &idle),
        Plan::Wait(Reason::ChangedElsewhere { until })
    );
    assert_eq!(planned_with(12, &stream(8), &calls, &no_consumers, &idle), call(12, None));
}

#[test]
fn a_refusal_of_the_service_spends_the_budget_for_an_hour_whatever_was_counted() {
    let refused = |minutes| Calls::new(now(), &[], &[], Some(minutes_ago(minutes)));
    let (no_consumers, idle) = (no_consumers(), writes(0.5, 1.0));
    let until = minutes_ago(59).plus(REST);
    assert_eq!(planned_with(12, &stream(8), &refused(59), &no_consumers, &idle), Plan::Wait(Reason::Budget { until }));
    assert_eq!(planned_with(12, &stream(8), &refused(60), &no_consumers, &idle), call(12, None));
}

fn worlds() -> impl Strategy<Value = (u32, StreamReading, Option<u32>, Bounds, Vec<Change>, Writes)> {
    let changes = prop::collection::vec((0_u64..1500, 1_u32..100, 1_u32..100), 0..14);
    let changes = changes.prop_map(|all| all.into_iter().map(|(at, from, to)| change(at, from, to)).collect());
    let state =
        prop_oneof![8 => Just(StreamState::Ready), 1 => Just(StreamState::Updating), 1 => Just(StreamState::OnDemand)];
    let stream = (state, 1_u32..100).prop_map(|(state, open)| StreamReading { state, ..stream(open) });
    let free = prop::option::of(0_u32..50);
    let bounds = (1_u32..20, 0_u32..100, 3_u32..20).prop_map(|(min, more, calls_per_day)| Bounds {
        min,
        max: min + more,
        calls_per_day,
    });
    let writes = (0.0..80.0_f64, 0.0..80.0_f64).prop_map(|(shards, peak)| writes(shards, peak));
    (1_u32..200, stream, free, bounds, changes, writes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_call_leaves_the_bounds_the_service_or_the_budget((wanted, stream, free, bounds, changes, writes) in worlds()) {
        let (calls, consumers) = (Calls::new(now(), &changes, &[], None), no_consumers());
        let policy = &WriteUtilizationPolicy::default();
        let open = stream.capacity.open;
        let situation = Situation { stream: &stream, free, bounds: &bounds, calls: &calls, consumers: &consumers, writes: &writes, policy };
        if let Plan::Call { target, .. } = situation.plan(wanted) {
            prop_assert_eq!(stream.state, StreamState::Ready);
            prop_assert!(target <= 2 * open && target >= open.div_ceil(2) && target != open);
            prop_assert!(calls.left(bounds.calls_per_day) >= 1);
            if target > open {
                prop_assert!(target <= bounds.max && wanted.max(bounds.min) > open);
                prop_assert!(free.is_none_or(|free| target <= open + free));
            } else {
                prop_assert!(target >= bounds.min && target >= wanted.min(bounds.max));
                prop_assert!(calls.left(bounds.calls_per_day) > RESERVE);
                prop_assert!(f64::from(target) * 0.75 + 1e-6 >= writes.peak(Duration::from_secs(180), Duration::ZERO).unwrap());
                let top = ceil(writes.peak(DAY, Duration::ZERO).unwrap() / 0.6).min(bounds.max);
                prop_assert!(calls.left(bounds.calls_per_day) > doublings(target, top));
            }
        }
    }
}
