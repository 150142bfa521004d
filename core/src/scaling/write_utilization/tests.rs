//! Each rule on a stream of ten shards, unless a row specifies otherwise.

use std::time::Duration;

use super::*;
use crate::lag::Minute;
use crate::lag::streams::Change;

const FINE: u32 = 180;
const TWO_DAYS: u32 = 2880;
const FIVE: u32 = 5;

/// Writes that fill `shards(ago)` shards in the minute that ended `ago` minutes before now, with the share `rejected(ago)` of
/// additional rejected records.
fn writes(shards: impl Fn(u32) -> f64, rejected: impl Fn(u32) -> f64) -> Writes {
    let minute = |ago: u32| {
        let records = 60_000.0 * shards(ago);
        Minute { bytes: 0.0, records, throttled: records * rejected(ago) / (1.0 - rejected(ago)) }
    };
    let mean = |first: u32| {
        let minutes = (first..first + FIVE).map(minute);
        let sum = minutes
            .fold((0.0, 0.0), |(records, throttled), minute| (records + minute.records, throttled + minute.throttled));
        Minute { bytes: 0.0, records: sum.0 / f64::from(FIVE), throttled: sum.1 / f64::from(FIVE) }
    };
    Writes {
        until: Timestamp::from_unix_ms(1_800_000_000_000),
        minutes: (0..FINE).rev().map(|ago| Some(minute(ago))).collect(),
        before: (0..(TWO_DAYS - FINE) / FIVE).rev().map(|index| Some(mean(FINE + index * FIVE))).collect(),
    }
}

fn even(open: u32) -> StreamCapacity {
    StreamCapacity { open, widest: 1.0 / f64::from(open), changes: Some(Vec::new()) }
}

/// A raise that began this many minutes ago and took three minutes.
fn raised(minutes_ago: u64, from: u32, to: u32) -> StreamCapacity {
    let at = |minutes| Timestamp::from_unix_ms(1_800_000_000_000).minus(Duration::from_secs(60 * minutes));
    let change = Change { at: at(minutes_ago), done: at(minutes_ago.saturating_sub(3)), from, to };
    StreamCapacity { changes: Some(vec![change]), ..even(to) }
}

fn judge(writes: &Writes, shards: &StreamCapacity) -> (u32, ShardRule) {
    let need = shards_needed(&WriteUtilizationPolicy::default(), writes, shards).expect("known writes");
    (need.wanted, need.rule)
}

#[test]
fn each_rule_counts_as_the_table_says() {
    let none = |_: u32| 0.0;
    let before = |minutes: u32, one: f64, other: f64| move |ago: u32| if ago < minutes { one } else { other };
    // a day ago, from this time on for an hour
    let habit = |days: &'static [u32]| {
        move |ago: u32| {
            if days.iter().any(|day| (day * 1440 - 60..day * 1440).contains(&ago)) { 9.0 } else { 5.0 }
        }
    };
    let rising = |ago: u32| 7.0 - f64::from((ago / 5).min(3));
    let rows: Vec<(&str, Writes, StreamCapacity, (u32, ShardRule))> = vec![
        ("half full", writes(|_| 5.0, none), even(10), (10, ShardRule::NoChange)),
        ("above scaleUpUtilization", writes(before(5, 8.0, 5.0), none), even(10), (14, ShardRule::Up)),
        (
            "one full minute is no load",
            writes(|ago| if ago == 1 { 11.0 } else { 5.0 }, none),
            even(10),
            (10, ShardRule::NoChange),
        ),
        ("risen three times", writes(rising, none), even(10), (17, ShardRule::Up)),
        ("risen once", writes(before(5, 7.0, 4.5), none), even(10), (10, ShardRule::NoChange)),
        ("due on both days", writes(habit(&[1, 2]), none), even(10), (15, ShardRule::Up)),
        (
            "due on both days, and more of it after the hour",
            writes(
                |ago| match ago % 1440 {
                    1375..1380 => 12.0,
                    1380..1390 => 9.0,
                    _ => 5.0,
                },
                none,
            ),
            even(10),
            (20, ShardRule::Up),
        ),
        ("due on one day", writes(habit(&[1]), none), even(10), (10, ShardRule::NoChange)),
        ("full", writes(before(5, 8.0, 5.0), before(5, 0.3, 0.0)), even(10), (20, ShardRule::Full)),
        ("bursts", writes(|_| 5.0, before(5, 0.01, 0.0)), even(10), (13, ShardRule::Bursts)),
        ("a rejected record or two", writes(|_| 5.0, before(5, 0.0005, 0.0)), even(10), (10, ShardRule::NoChange)),
        (
            "bursts, a quarter more did help",
            writes(|_| 5.0, before(125, 0.01, 0.05)),
            raised(120, 8, 10),
            (10, ShardRule::NoChange),
        ),
        ("a hot key may fall", writes(|_| 2.0, |_| 0.05), raised(120, 8, 10), (4, ShardRule::Down)),
        (
            "rejected before the raise was complete",
            writes(|_| 5.0, |ago| if ago >= 2 { 0.3 } else { 0.0 }),
            raised(5, 5, 10),
            (10, ShardRule::NoChange),
        ),
        ("too many for two hours", writes(|_| 2.0, none), even(10), (4, ShardRule::Down)),
        ("too many, but not for two hours", writes(before(115, 2.0, 6.0), none), even(10), (10, ShardRule::NoChange)),
        ("too many, and it saves little", writes(|_| 4.2, none), even(10), (10, ShardRule::NoChange)),
        (
            "too many, and more is due in two and a half hours",
            writes(|ago| if (1290..1310).contains(&(ago % 1440)) { 9.0 } else { 2.0 }, none),
            even(10),
            (10, ShardRule::NoChange),
        ),
        (
            "too many, but some were rejected",
            writes(|_| 2.0, |ago| if ago == 60 { 0.2 } else { 0.0 }),
            even(10),
            (10, ShardRule::NoChange),
        ),
        (
            "uneven ranges fill up early",
            writes(|_| 2.5, none),
            StreamCapacity { widest: 1.0 / 3.0, ..even(6) },
            (9, ShardRule::Up),
        ),
    ];
    for (name, writes, shards, expected) in rows {
        assert_eq!(judge(&writes, &shards), expected, "{name}");
    }
}

#[test]
fn bursts_raise_no_count_whose_changes_are_unknown() {
    let unknown = StreamCapacity { changes: None, ..even(10) };
    let bursts = writes(|_| 5.0, |ago| if ago < 5 { 0.01 } else { 0.0 });
    assert_eq!(judge(&bursts, &unknown), (10, ShardRule::NoChange), "once per day cannot be kept");
}

#[test]
fn a_stream_without_writes_has_no_points_and_needs_one_shard() {
    let nothing = Writes { minutes: vec![None; 180], before: vec![None; 540], ..writes(|_| 0.0, |_| 0.0) };
    assert_eq!(judge(&nothing, &even(10)), (1, ShardRule::Down));
    let new = Writes { minutes: Vec::new(), before: Vec::new(), ..nothing };
    assert_eq!(judge(&new, &even(1)), (1, ShardRule::NoChange));
}

#[test]
fn a_hole_beside_a_busy_minute_is_unknown_until_it_is_old() {
    let policy = WriteUtilizationPolicy::default();
    let with_hole = |ago: usize, shards: f64| {
        let mut writes = writes(|_| shards, |_| 0.0);
        let index = writes.minutes.len() - 1 - ago;
        writes.minutes[index] = None;
        shards_needed(&policy, &writes, &even(10))
    };
    let at = |ago: u64| Timestamp::from_unix_ms(1_800_000_000_000).minus(Duration::from_secs(60 * ago));
    assert_eq!(with_hole(30, 5.0), Err(UnknownWrites::Hole(at(30))));
    assert_eq!(with_hole(0, 5.0), Err(UnknownWrites::Hole(at(0))));
    assert!(with_hole(30, 0.5).is_ok(), "little was written: that is an idle minute");
    assert!(with_hole(125, 5.0).is_ok(), "it is older than scaleDownAfter");
    let mut old = writes(|_| 5.0, |_| 0.0);
    let index = old.before.len() - 1;
    old.before[index] = None;
    assert!(shards_needed(&policy, &old, &even(10)).is_ok());
    let patient = WriteUtilizationPolicy { scale_down_after: Duration::from_secs(6 * 3600), ..policy.clone() };
    assert_eq!(shards_needed(&patient, &old, &even(10)), Err(UnknownWrites::Hole(at(180))));
    let none = StreamCapacity { open: 0, widest: 0.0, changes: Some(Vec::new()) };
    assert_eq!(shards_needed(&policy, &writes(|_| 5.0, |_| 0.0), &none), Err(UnknownWrites::NoShards));
}

#[test]
fn minutes_that_cloudwatch_does_not_show_yet_are_neither_idle_nor_a_hole() {
    let (policy, late) = (WriteUtilizationPolicy::default(), Duration::from_secs(300));
    let without_newest = |count: usize| {
        let mut writes = writes(|_| 8.0, |_| 0.0);
        writes.minutes.iter_mut().rev().take(count).for_each(|point| *point = None);
        let writes = writes.without_late_minutes(late);
        shards_needed(&policy, &writes, &even(10)).map(|need| need.rule)
    };
    assert_eq!(without_newest(5), Ok(ShardRule::Up), "as the last minute that is known");
    assert!(matches!(without_newest(6), Err(UnknownWrites::Hole(_))), "{:?}", without_newest(6));
    let idle = Writes { minutes: vec![None; 180], ..writes(|_| 0.0, |_| 0.0) };
    assert_eq!(idle.clone().without_late_minutes(late), idle);
}

#[test]
fn the_steps_say_what_decided() {
    let need = shards_needed(&WriteUtilizationPolicy::default(), &writes(|_| 8.0, |_| 0.0), &even(10));
    let steps: Vec<_> = need.expect("known writes").steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps[0], "writes fill 8.00 shards, 80 % of the capacity; 10 are open");
    assert_eq!(steps.last().map(String::as_str), Some("14 shards: the need is above scaleUpUtilization"));
}
