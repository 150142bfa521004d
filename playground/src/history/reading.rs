//! Simulated groups and applications as a reading of the scaler shows them.

use std::time::Duration;

use keda_stream_scaler::lag::streams::{
    AgeBasis, Backlog, Checkpoint, Lease, SequenceNumber, ShardId, ShardReport, ShardState, Survey, Timestamp,
};
use keda_stream_scaler::lag::{
    ApplicationObservation, Checkpoints, CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation,
    Offset, PartitionId, PartitionObservation, TopicId, TopicObservation, Watermarks,
};

use super::super::TOPIC;
use super::super::kinesis::{Lease as SimulatedLease, Leases, id};
use super::Logs;

/// An age above this is read from the stream; a lower one is the time since the last processed record arrived, in whole seconds.
const EXACT_ABOVE: Duration = Duration::from_secs(10);

/// Returns the reading of a group: the commit, the end and the owner of each partition.
pub(super) fn of_group(
    places: impl Iterator<Item = (usize, usize, Option<usize>)>,
    members: usize,
    stopped: bool,
) -> anyhow::Result<Observation> {
    let partition = |(number, (committed, end, owner)): (usize, (usize, usize, Option<usize>))| {
        anyhow::Ok(PartitionObservation {
            partition: PartitionId(u32::try_from(number)?),
            committed: CommittedOffset::At(Offset(u64::try_from(committed)?)),
            watermarks: Watermarks { start: Offset(0), end: Offset(u64::try_from(end)?) },
            owner: owner.map(u32::try_from).transpose()?.map(MemberIndex),
        })
    };
    let partitions = places.enumerate().map(partition).collect::<Result<Vec<_>, _>>()?;
    let members = if stopped {
        Members::Rebalancing(members)
    } else {
        let member = |member: usize| Member { id: format!("simulated-{member}").into(), client_id: "pod".into() };
        Members::Settled((0..members).map(member).collect())
    };
    let topic = TopicObservation {
        name: TOPIC.into(),
        id: Some(TopicId(1)),
        partition_count: u32::try_from(partitions.len())?,
        partitions,
    };
    Ok(Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() }))
}

/// Returns the reading of a KCL application: the age of each shard by its checkpoint, and its lease.
pub(super) fn of_application(leases: &Leases, logs: &Logs, now: Duration) -> Observation {
    let report = |(shard, (lease, log)): (usize, (&SimulatedLease, &Vec<f64>))| {
        let shard = ShardId::new(&id(shard));
        let arrived = |counter: u64| log.get(usize::try_from(counter).ok()?).copied();
        let since = |time: f64| Duration::from_secs_f64((now.as_secs_f64() - time).max(0.0));
        let processed = lease.checkpoint.checked_sub(1).and_then(arrived).map(|time| since(time.floor()));
        let backlog = match (processed, arrived(lease.checkpoint)) {
            (Some(age), _) if age <= EXACT_ABOVE => Backlog::Unread { age, basis: AgeBasis::SequenceNumber },
            (_, Some(time)) => Backlog::Unread { age: since(time), basis: AgeBasis::Record },
            (_, None) => Backlog::CaughtUp,
        };
        let number = SequenceNumber::parse(&lease.checkpoint.to_string());
        let lease = Lease {
            shard: shard.clone(),
            checkpoint: number.map_or(Checkpoint::TrimHorizon, Checkpoint::After),
            sub_sequence: None,
            parents: Vec::new(),
            owner: lease.owner.map(|worker| format!("simulated-{worker}").into()),
            counter: Some(lease.counter),
            throughput_kbps: Some(lease.throughput),
        };
        ShardReport { shard, state: Some(ShardState::Open), lease: Some(lease), bound: None, backlog }
    };
    let shards = leases.all().iter().zip(&logs.arrived).enumerate().map(report).collect();
    let seen = Timestamp::from_unix_ms(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    Observation::Application(ApplicationObservation {
        survey: Survey { shards, wanted: Vec::new() },
        checkpoints: Checkpoints::Some,
        workers: Vec::new(),
        table: None,
        retention: None,
        seen,
    })
}
