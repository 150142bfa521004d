//! The law where only ages are known, and where the unit changes.

use super::tests::{EVERY, at};
use super::*;
use crate::lag::PartitionId;
use crate::lag::flow::{AgeFlow, AgeReading, Owners, Split, ThroughputFlow, ThroughputReading, ThroughputRow};
use crate::trigger::Decimal;

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

/// The age of the oldest record in the forecast of a decision, in seconds.
fn forecast(decision: &Decision) -> Option<f64> {
    decision.steps.iter().find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Forecast { oldest_seconds, .. }) => {
            oldest_seconds.as_ref().map(|oldest| oldest.get())
        }
        _ => None,
    })
}

/// A shard is read at a tenth of its former throughput, and its checkpoints come late: what is unread by the rates has other ages.
#[test]
fn the_forecast_begins_with_the_ages_that_were_measured() {
    let place = |number| Split::Partition("t".into(), PartitionId(number));
    let owners = Owners::even(2, 2);
    let policy = CatchUpPolicy { capacity_per_consumer: Decimal::parse("500"), ..CatchUpPolicy::default() };
    let (mut memory, mut of_ages) = (Memory::default(), Memory::default());
    let (mut kilobytes, mut ages, mut shows) = (None, None, 0);
    for step in 0..30_u32 {
        let now = at(step * EVERY);
        let rate = if step < 15 { 300.0 } else { 30.0 };
        let oldest = [f64::from(step % 4) * f64::from(EVERY) + 2.0, 1.0];
        let row = |number, age| ThroughputRow { place: place(number), age, kilobytes_per_second: rate };
        let reading = ThroughputReading { rows: vec![row(0, oldest[0]), row(1, oldest[1])], owners: owners.clone() };
        let flow = ThroughputFlow::fold(kilobytes.as_ref(), reading, now);
        let (new, decision) = advance(&policy, &memory, &Flow::Throughput(flow.clone()));
        (memory, kilobytes) = (new, Some(flow));
        let shown = forecast(&decision.expect("a decision"));
        assert!(shown.is_none_or(|shown| (shown - oldest[0]).abs() < 1e-9), "{step}: {shown:?} for {oldest:?}");
        shows += usize::from(shown.is_some());

        let rows = vec![(place(0), oldest[0]), (place(1), oldest[1])];
        let flow = AgeFlow::fold(ages.as_ref(), AgeReading { rows, owners: owners.clone() }, now);
        let (new, decision) = advance(&policy, &of_ages, &Flow::Ages(flow.clone()));
        (of_ages, ages) = (new, Some(flow));
        let shown = forecast(&decision.expect("a decision"));
        assert!(shown.is_none_or(|shown| (shown - oldest[0]).abs() < 1e-9), "{step}: {shown:?} for {oldest:?}");
    }
    assert!(shows > 20, "{shows} forecasts");
}
