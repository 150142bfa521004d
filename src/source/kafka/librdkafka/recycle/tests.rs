use std::time::Duration;

use tokio::time::Instant;

use super::{Health, Reason};
use crate::source::kafka::transport::GroupId;

const SECOND: Duration = Duration::from_secs(1);

fn groups(number: usize) -> Vec<GroupId> {
    (0..number).map(|index| GroupId::from(format!("g{index}"))).collect()
}

#[test]
fn a_group_has_at_most_two_requests_outstanding() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let group = &groups(1)[0];
    let first = health.open(group, false, now).unwrap();
    assert!(health.open(group, false, now).is_some());
    assert!(health.open(group, false, now).is_none());
    health.close(first);
    assert!(health.open(group, false, now).is_some());
}

#[test]
fn only_three_suspects_are_asked_in_a_round_and_the_others_go_on() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(20);
    for group in &all[..10] {
        health.open(group, false, now).unwrap();
    }
    let canaries = health.round(&all, now + 6 * SECOND);
    assert_eq!(canaries.len(), 3);
    let asked = all.iter().filter(|group| health.open(group, canaries.contains(*group), now + 6 * SECOND).is_some());
    assert_eq!(asked.count(), 13);
}

#[test]
fn canaries_take_turns() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(6);
    for group in &all {
        health.open(group, false, now).unwrap();
    }
    let first = health.round(&all, now + 6 * SECOND);
    for group in &first {
        health.open(group, true, now + 6 * SECOND).unwrap();
    }
    assert!(health.round(&all, now + 7 * SECOND).is_disjoint(&first));
}

#[test]
fn when_a_canary_answers_all_groups_are_asked_again() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(10);
    for group in all.iter().chain(&all) {
        health.open(group, false, now).unwrap();
    }
    let later = now + 20 * SECOND;
    let canary = health.round(&all, later).into_iter().next().unwrap();
    let request = health.open(&canary, true, later).unwrap();
    health.close(request);
    assert!(health.round(&all, later).is_empty());
    assert!(all.iter().all(|group| health.open(group, false, later).is_some()));
}

#[test]
fn a_single_stuck_group_is_probed_every_fifteen_seconds() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(1);
    health.open(&all[0], false, now).unwrap();
    health.open(&all[0], false, now).unwrap();
    assert!(health.round(&all, now + 14 * SECOND).is_empty());
    assert_eq!(health.round(&all, now + 15 * SECOND).len(), 1);
}

#[test]
fn a_tenth_of_the_groups_stuck_is_a_reason_and_less_is_not() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(100);
    for group in &all[..9] {
        health.open(group, false, now).unwrap();
    }
    health.round(&all, now);
    assert_eq!(health.due(now + 5 * SECOND), None);
    health.open(&all[9], false, now).unwrap();
    assert_eq!(health.due(now + 4 * SECOND), None);
    assert_eq!(health.due(now + 5 * SECOND), Some(Reason::Stuck));
}

#[test]
fn two_hundred_stuck_are_a_reason_among_any_number_of_groups() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(10_000);
    health.round(&all, now);
    for group in &all[..200] {
        health.open(group, false, now).unwrap();
    }
    assert_eq!(health.due(now + 5 * SECOND), Some(Reason::Stuck));
}

#[test]
fn pauses_between_replacements_grow_from_fifteen_seconds_to_two_minutes() {
    let mut now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(1);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let began = now;
        health.round(&all, now);
        health.open(&all[0], true, now).unwrap();
        while health.due(now).is_none() {
            now += SECOND;
        }
        health.recycled(now);
        pauses.push((now - began).as_secs());
    }
    assert_eq!(pauses, [5, 15, 30, 60, 120, 120]);
}

#[test]
fn a_quiet_time_makes_the_pause_short_again() {
    let now = Instant::now();
    let mut health = Health::new(now);
    health.recycled(now);
    health.recycled(now + 15 * SECOND);
    let later = now + 600 * SECOND;
    health.recycled(later);
    let all = groups(1);
    health.round(&all, later);
    health.open(&all[0], false, later).unwrap();
    assert_eq!(health.due(later + 14 * SECOND), None);
    assert_eq!(health.due(later + 15 * SECOND), Some(Reason::Stuck));
}

#[test]
fn three_times_the_wrong_coordinator_in_a_row_is_a_reason() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let group = &groups(1)[0];
    let request = health.open(group, false, now).unwrap();
    health.close(request);
    for moved in [true, true, false, true, true] {
        health.moved(group, moved);
        assert_eq!(health.due(now), None);
    }
    health.moved(group, true);
    assert_eq!(health.due(now), Some(Reason::MovedCoordinator));
    health.recycled(now);
    assert_eq!(health.due(now + 600 * SECOND), None);
}

#[test]
fn a_client_is_replaced_after_a_day() {
    let now = Instant::now();
    let health = Health::new(now);
    assert_eq!(health.due(now + 86_399 * SECOND), None);
    assert_eq!(health.due(now + 86_400 * SECOND), Some(Reason::Age));
}

#[test]
fn a_late_answer_to_the_client_before_changes_nothing() {
    let now = Instant::now();
    let mut health = Health::new(now);
    let all = groups(1);
    let late = health.open(&all[0], false, now).unwrap();
    health.round(&all, now + 6 * SECOND);
    health.recycled(now + 6 * SECOND);
    health.close(late);
    assert_eq!(health.round(&all, now + 6 * SECOND).len(), 1, "the group is still a suspect");
    assert_eq!(health.outstanding(), 0);
}
