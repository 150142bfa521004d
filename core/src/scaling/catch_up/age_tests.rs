//! The law where only ages are known, and where the unit changes.

use super::tests::{EVERY, at};
use super::*;
use crate::lag::PartitionId;
use crate::lag::flow::{AgeFlow, AgeReading, Owners, Split, ThroughputFlow, ThroughputReading, ThroughputRow};

#[test]
fn ages_alone_ask_for_as_many_more_as_they_must_become_faster() {
    let (policy, mut memory, mut flow, mut last) = (CatchUpPolicy::default(), Memory::default(), None, None);
    for step in 0..12_u32 {
        let now = at(step * EVERY);
        // half the speed of the stream: in ten seconds the age grows by five
        let age = 100.0 + 5.0 * f64::from(step);
        let rows = (0..8).map(|number| (Split::Partition("t".into(), PartitionId(number)), age));
        let reading = AgeReading { rows: rows.collect(), owners: Owners::even(2, 8) };
        let next = AgeFlow::fold(flow.as_ref(), reading, now);
        let (new, decision) = advance(&policy, &memory, &Flow::Ages(next.clone()));
        (memory, flow, last) = (new, Some(next), decision.ok());
    }
    // (1 + 150 / 300) / 0.5 for each of two is six, and eight is the next count that helps
    assert_eq!(last.expect("a decision").value.ceil(), 8);
}

/// A KCL worker that has just started shows no throughput: its first readings are ages, as shares of consumers.
#[test]
fn what_was_counted_in_another_unit_is_forgotten() {
    let place = |number| Split::Partition("t".into(), PartitionId(number));
    let (policy, mut memory, owners) = (CatchUpPolicy::default(), Memory::default(), Owners::even(1, 2));
    let mut last = None;
    let mut judge = |flow: &Flow| {
        let (new, decision) = advance(&policy, &memory, flow);
        (memory, last) = (new, decision.ok());
    };
    let mut ages = None;
    for step in 0..3_u32 {
        let reading = AgeReading { rows: vec![(place(0), 1.0), (place(1), 1.0)], owners: owners.clone() };
        ages = Some(AgeFlow::fold(ages.as_ref(), reading, at(step * EVERY)));
        judge(&Flow::Ages(ages.clone().expect("a flow")));
    }
    let mut kilobytes = None;
    for step in 3..9_u32 {
        let row = |number| ThroughputRow { place: place(number), age: 1.0, kilobytes_per_second: 3.0 };
        let reading = ThroughputReading { rows: vec![row(0), row(1)], owners: owners.clone() };
        kilobytes = Some(ThroughputFlow::fold(kilobytes.as_ref(), reading, at(step * EVERY)));
        judge(&Flow::Throughput(kilobytes.clone().expect("a flow")));
    }
    assert!(memory.arrivals.level() < 7.0, "two shards of 3 kB/s: {:?} {last:?}", memory.arrivals);
}
