//! One overloaded consumer where the capacity of all is sufficient.

use super::*;

/// Two hot partitions that an assignor gives to one consumer exceed its capacity, and four consumers cover the total.
#[test]
fn uneven_shares_get_one_step_more_and_are_not_gone_back_to_until_less_arrives() {
    let mut group = Group::new(12, 4);
    group.policy.capacity_per_consumer = Decimal::parse("100");
    (group.weights[0], group.weights[1]) = (18.0, 18.0);
    group.run(320, 3.0, 100.0);
    assert_eq!((group.value(), group.rule()), (6.0, Rule::Uneven));
    group.consumers = 6;
    group.run(60, 3.0, 100.0);
    assert_eq!((group.value(), group.rule()), (12.0, Rule::Uneven), "both are still together");
    group.consumers = 12;
    group.run(900, 3.0, 100.0);
    assert_eq!((group.value(), group.rule()), (12.0, Rule::NotBackTo));
    group.run(300, 1.0, 100.0);
    assert!(group.value() < 6.0 && group.rule() == Rule::Enough, "{:?}", group.last);
}

#[test]
fn only_a_partition_that_exceeds_a_consumer_is_a_hot_one() {
    let mut group = Group::new(8, 4);
    group.policy.capacity_per_consumer = Decimal::parse("100");
    (group.weights[0], group.weights[1]) = (50.0, 50.0);
    group.run(300, 3.0, 100.0);
    assert_eq!((group.value(), group.rule()), (4.0, Rule::HotPartition));
}

#[test]
fn an_overload_that_other_consumers_cannot_share_is_no_hot_partition() {
    let mut group = Group::new(8, 4);
    group.policy.capacity_per_consumer = Decimal::parse("100");
    group.weights.fill(0.02);
    (group.weights[0], group.weights[1]) = (1.8, 1.6);
    group.run(30, 30.0, 100.0);
    assert_eq!((group.value(), group.rule()), (4.0, Rule::ShortOverload), "102 records/s of 100");
    group.weights[1] = 0.02;
    group.run(300, 30.0, 100.0).run(180, 30.0, 0.0).run(20, 30.0, 100.0);
    assert_eq!((group.value(), group.rule()), (4.0, Rule::SinglePartition));
}

#[test]
fn partitions_that_have_no_consumer_are_not_hot() {
    let mut group = Group::new(8, 2);
    group.policy.capacity_per_consumer = Decimal::parse("100");
    group.run(300, 3.0, 100.0);
    group.unowned = 1;
    group.run(300, 3.0, 100.0);
    assert_eq!((group.value(), group.rule()), (2.0, Rule::Unowned));
}
