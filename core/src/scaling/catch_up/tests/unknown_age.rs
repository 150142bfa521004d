//! The age of records that were unread before the first reading.

use super::*;

/// Records that were there before the first reading had an age of 0 s for as long as nothing arrived, and the promise counted as kept.
#[test]
fn the_age_of_a_backlog_that_nothing_is_added_to_is_unknown_and_not_zero() {
    let age_now = |group: &Group| {
        let steps = &group.last.as_ref().expect("a reading").as_ref().expect("a decision").steps;
        let forecast = steps.iter().find_map(|step| match step {
            Step::CatchUp(CatchUpStep::Forecast { oldest_seconds, age_seconds, .. }) => {
                Some((*oldest_seconds, *age_seconds))
            }
            _ => None,
        });
        forecast.expect("a forecast")
    };
    let mut group = Group::new(2, 1);
    group.policy.capacity_per_consumer = Decimal::parse("50");
    group.end = vec![10_000.0; 2];
    group.run(60, 0.0, 50.0);
    assert_eq!(age_now(&group), (None, None));
    group.run(60, 1.0, 50.0);
    let (now, _) = age_now(&group);
    assert!(now.is_some_and(|age| age.get() > 60.0), "{now:?}");

    let mut caught_up = Group::new(2, 1);
    caught_up.policy.capacity_per_consumer = Decimal::parse("50");
    caught_up.run(60, 0.0, 50.0);
    let (now, later) = age_now(&caught_up);
    assert_eq!([now, later].map(|age| age.map(Quantity::get)), [Some(0.0); 2], "nothing is unread");
}
