//! What the catch-up law costs: time for a reading of a large group, and memory for each of its partitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::lag::{
    CommittedOffset, GroupObservation, Member, MemberIndex, Members, Moment, Observation, Offset, PartitionId,
    PartitionObservation, TopicObservation, Watermarks,
};
use keda_stream_scaler::scaling::{Sample, decide};
use keda_stream_scaler::trigger::{CatchUpPolicy, Policy, Trigger};

use tokio::time::Instant;

use crate::process::Usage;
use crate::table::{Goal, Table};

const PARTITIONS: u32 = 10_000;
const CONSUMERS: u32 = 200;
/// Enough for everything that is remembered to be as long as it gets.
const READINGS: u32 = 40;
/// Sources that are held at once to weigh them.
const SOURCES: u32 = 20;

pub fn measure(table: &mut Table) {
    let trigger = trigger();
    let Policy::CatchUp(policy) = &trigger.policy else { unreachable!() };
    let before = Usage::of("self").resident_mib;
    let held: Vec<_> = (0..SOURCES).map(|_| remembered(&trigger, policy)).collect();
    let bytes = (Usage::of("self").resident_mib - before) * f64::from(1 << 20) / f64::from(SOURCES * PARTITIONS);
    drop(held);
    table.add("what is remembered of a partition", bytes, "bytes", Goal::Below(256.0));
    let mut took = Vec::new();
    let mut sample = None;
    for number in 0..READINGS {
        let observation = observation(number);
        let begun = Instant::now();
        let next = read(&trigger, policy, sample.as_ref(), observation, number);
        decide(&trigger.policy, &trigger.source, &next).unwrap();
        took.push(begun.elapsed());
        sample = Some(next);
    }
    took.sort_unstable();
    let median = took[took.len() / 2].as_secs_f64() * 1000.0;
    table.add("a sample and its decision, 10,000 partitions, 200 consumers", median, "ms", Goal::Below(2.0));
}

fn trigger() -> Trigger {
    let metadata = [
        ("source", "kafka"),
        ("scaleOn", "catchUp"),
        ("bootstrapServers", "b:9092"),
        ("consumerGroup", "g"),
        ("topic", "orders"),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Trigger::parse(&metadata).unwrap()
}

fn read(
    trigger: &Trigger,
    policy: &CatchUpPolicy,
    past: Option<&Sample>,
    observation: Observation,
    number: u32,
) -> Sample {
    let now = Moment::after_epoch(Duration::from_secs(10) * number);
    Sample::after(past, &trigger.source, observation, std::slice::from_ref(policy), now)
}

/// A source after many readings, without what was read last.
fn remembered(trigger: &Trigger, policy: &CatchUpPolicy) -> Sample {
    let mut sample = None;
    for number in 0..READINGS {
        sample = Some(read(trigger, policy, sample.as_ref(), observation(number), number));
    }
    let mut sample = sample.unwrap();
    sample.observation = Observation::Kafka(GroupObservation::default());
    sample
}

/// What arrives is more than what is done in every second consumer's partitions.
fn observation(reading: u32) -> Observation {
    let partitions = (0..PARTITIONS).map(|number| {
        let end = u64::from(reading) * u64::from(100 + number % 7);
        let owner = number / (PARTITIONS / CONSUMERS);
        let done = if owner.is_multiple_of(2) { end } else { u64::from(reading) * 60 };
        PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::At(Offset(done)),
            watermarks: Watermarks { start: Offset(0), end: Offset(end + 50) },
            owner: Some(MemberIndex(owner)),
        }
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "orders".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    let name = |number: u32| -> Arc<str> { format!("consumer-{number}-5f0f6b8e-8f0e-4c54-9f6e-8d1c7b1f4a10").into() };
    let members = (0..CONSUMERS).map(|number| Member { id: name(number), client_id: name(number) });
    let members = Members::Settled(members.collect());
    Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
}
