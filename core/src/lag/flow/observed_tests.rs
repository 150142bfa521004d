//! Which parts of a reading affect the flow.

use std::collections::HashMap;
use std::time::Duration;

use super::average::Rate;
use super::*;
use crate::lag::streams::{AgeBasis, Backlog, Checkpoint, Lease, ShardId, ShardReport, ShardState, Survey, Timestamp};
use crate::lag::{
    ApplicationObservation, Checkpoints, CommittedOffset, Facts, GroupObservation, History, Member, MemberIndex,
    Members, Moment, Observation, Offset, PartitionId, PartitionObservation, TopicId, TopicObservation, Watermarks,
};
use crate::trigger::{SourceRef, Trigger};

fn source(base: &[(&str, &str)], more: &[(&str, &str)]) -> SourceRef {
    let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&all.collect::<HashMap<_, _>>()).expect("good").source
}

fn kafka(more: &[(&str, &str)]) -> SourceRef {
    let base = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")];
    source(&base, &[&[("scaleOn", "catchUp")], more].concat())
}

fn application_source(stream: (&str, &str, &str)) -> SourceRef {
    let (source_name, key, name) = stream;
    let base = [("source", source_name), (key, name), ("awsRegion", "eu-west-1"), ("applicationName", "app")];
    source(&base, &[("scaleOn", "catchUp")])
}

const KINESIS: (&str, &str, &str) = ("aws-kinesis-stream", "streamName", "orders");
const DYNAMODB: (&str, &str, &str) = ("aws-dynamodb-streams", "tableName", "orders");

/// A course of readings of one source, ten seconds apart.
struct Course {
    source: SourceRef,
    history: Option<History>,
    flow: Option<Flow>,
    now: Duration,
}

impl Course {
    const fn new(source: SourceRef) -> Self {
        Self { source, history: None, flow: None, now: Duration::ZERO }
    }

    fn read(&mut self, observation: &Observation) -> &Flow {
        let now = Moment::after_epoch(self.now);
        self.now += Duration::from_secs(10);
        let history = History::fold(self.history.as_ref(), observation, now);
        let facts = Facts::of(&self.source, observation, &history, now);
        self.flow = Flow::observe(self.flow.as_ref(), &self.source, observation, &history, &facts, now);
        self.history = Some(history);
        self.flow.as_ref().expect("it is followed")
    }
}

// === groups ===

fn group(members: Members, owners: &[Option<u32>], id: u128) -> Observation {
    let partitions = (0..).zip(owners).map(|(number, owner)| PartitionObservation {
        partition: PartitionId(number),
        committed: if number == 0 { CommittedOffset::None } else { CommittedOffset::At(Offset(40)) },
        watermarks: Watermarks { start: Offset(10), end: Offset(100) },
        owner: owner.map(MemberIndex),
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "t".into(),
        id: Some(TopicId(id)),
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
}

#[test]
fn other_partitions_are_followed_from_their_first_reading_on_although_there_are_as_many() {
    let read_from = |topic: &str, first: u32| {
        let Observation::Kafka(mut group) = group(settled(&["a"]), &[Some(0), Some(0)], 1) else { unreachable!() };
        group.topics[0].name = topic.into();
        group.topics[0].partitions.iter_mut().for_each(|partition| partition.partition.0 += first);
        Observation::Kafka(group)
    };
    let mut course = Course::new(kafka(&[]));
    let mut known = |observation: &Observation| {
        let Flow::Offsets(flow) = course.read(observation) else { unreachable!() };
        flow.partitions().iter().map(|one| one.known_arrivals().is_some()).collect::<Vec<_>>()
    };
    known(&read_from("t", 0));
    assert_eq!(known(&read_from("t", 0)), [true, true]);
    assert_eq!(known(&read_from("t", 1)), [true, false]);
    assert_eq!(known(&read_from("u", 1)), [false, false]);
}

fn settled(names: &[&str]) -> Members {
    let member = |name: &&str| Member { id: (*name).into(), client_id: "client".into() };
    Members::Settled(names.iter().map(member).collect())
}

fn backlogs(flow: &Flow) -> Vec<f64> {
    let Flow::Offsets(flow) = flow else { panic!("offsets") };
    flow.partitions().iter().map(|partition| partition.backlog).collect()
}

#[test]
fn a_group_is_followed_where_a_trigger_wants_to_know_its_consumers_only() {
    let lag = source(
        &[("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")],
        &[("lagThreshold", "5")],
    );
    let observation = group(Members::Unread, &[None, None], 1);
    let now = Moment::after_epoch(Duration::ZERO);
    let history = History::fold(None, &observation, now);
    let facts = Facts::of(&lag, &observation, &history, now);
    assert_eq!(Flow::observe(None, &lag, &observation, &history, &facts, now), None);
}

#[test]
fn the_backlog_is_counted_by_the_same_rules_as_the_lag() {
    let owners = [Some(0), Some(1), None];
    let observation = group(settled(&["a", "b"]), &owners, 1);
    assert_eq!(backlogs(Course::new(kafka(&[])).read(&observation)), [1.0, 60.0, 60.0]);
    let earliest = kafka(&[("offsetResetPolicy", "earliest")]);
    assert_eq!(backlogs(Course::new(earliest).read(&observation)), [90.0, 60.0, 60.0]);
}

/// L1: a cooperative group is stable between the two phases of a rebalance, and partitions that move have no owner.
#[test]
fn until_all_partitions_have_an_owner_again_those_of_before_count() {
    let of = |flow: &Flow| (0..4).map(|place| flow.owners().of(place)).collect::<Vec<_>>();
    let mut course = Course::new(kafka(&[]));
    let before = [0, 0, 1, 1].map(Some);
    assert_eq!(of(course.read(&group(settled(&["a", "b"]), &[0, 0, 1, 1].map(Some), 1))), before);
    let between = group(settled(&["a", "b", "c"]), &[Some(0), None, Some(1), None], 1);
    for _ in 0..6 {
        assert_eq!(of(course.read(&between)), before);
    }
    // no rebalance takes longer
    assert_eq!(of(course.read(&between)), [Some(0), None, Some(1), None]);
    let after = group(settled(&["a", "b", "c"]), &[Some(0), Some(2), Some(1), Some(2)], 1);
    assert_eq!(of(course.read(&after)), [0, 1, 2, 1].map(Some));
    // a scaler that has just started has no earlier owners, and assigns the partitions to the consumers with the fewest
    let mut course = Course::new(kafka(&[]));
    assert_eq!(of(course.read(&between)), [0, 0, 1, 1].map(Some));
}

#[test]
fn while_partitions_are_given_out_those_who_had_them_count() {
    let mut course = Course::new(kafka(&[]));
    let two = group(settled(&["a", "b"]), &[Some(0), Some(0), Some(1), Some(1)], 1);
    assert_eq!(course.read(&two).owners().count(), 2);
    let rebalancing = group(Members::Rebalancing(3), &[None; 4], 1);
    assert_eq!(course.read(&rebalancing).owners().count(), 2);
    let three = group(settled(&["c", "a", "b"]), &[Some(0), Some(1), Some(2), Some(2)], 1);
    assert_eq!(course.read(&three).owners().count(), 3);
    // a scaler that starts in between has only the number of members
    assert_eq!(Course::new(kafka(&[])).read(&rebalancing).owners().count(), 3);
}

// === applications ===

fn report(number: u32, backlog: Backlog, lease: Option<(&str, u64, Option<f64>)>) -> ShardReport {
    let shard = ShardId::new(&format!("shardId-{number:012}"));
    let lease = lease.map(|(owner, counter, throughput_kbps)| Lease {
        shard: shard.clone(),
        checkpoint: Checkpoint::TrimHorizon,
        sub_sequence: None,
        parents: Vec::new(),
        owner: Some(owner.into()),
        counter: Some(counter),
        throughput_kbps,
    });
    ShardReport { shard, state: Some(ShardState::Open), lease, bound: None, backlog }
}

fn application(shards: Vec<ShardReport>) -> Observation {
    Observation::Application(ApplicationObservation {
        survey: Survey { shards, wanted: Vec::new() },
        checkpoints: Checkpoints::Some,
        workers: Vec::new(),
        table: None,
        retention: None,
        seen: Timestamp::from_unix_ms(0),
    })
}

const fn unread(seconds: u64) -> Backlog {
    Backlog::Unread { age: Duration::from_secs(seconds), basis: AgeBasis::Record }
}

#[test]
fn only_shards_that_can_be_worked_on_count() {
    let waits = Backlog::Waits { on: ShardId::new("shardId-000000000000") };
    let shards = vec![
        report(0, unread(5), Some(("a", 1, None))),
        report(1, Backlog::CaughtUp, Some(("b", 1, None))),
        report(2, waits, None),
        report(3, Backlog::Finished, Some(("a", 1, None))),
        report(4, Backlog::NoSuchShard, Some(("a", 1, None))),
    ];
    let mut course = Course::new(application_source(DYNAMODB));
    let flow = course.read(&application(shards));
    assert_eq!((flow.places(), flow.owners().count()), (2, 2));
}

#[test]
fn throughput_is_used_as_soon_as_a_lease_of_kinesis_tells_it_and_from_then_on() {
    let shards = |throughput| application(vec![report(0, unread(5), Some(("a", 1, throughput)))]);
    let mut course = Course::new(application_source(KINESIS));
    assert!(matches!(course.read(&shards(None)), Flow::Ages(_)));
    assert!(matches!(course.read(&shards(Some(3.0))), Flow::Throughput(_)));
    assert!(matches!(course.read(&shards(None)), Flow::Throughput(_)), "a child has none yet");
    let mut other = Course::new(application_source(DYNAMODB));
    assert!(matches!(other.read(&shards(Some(3.0))), Flow::Ages(_)), "its kilobytes are not those of a stream");
}

#[test]
fn a_worker_that_renews_nothing_for_a_minute_is_gone() {
    let shards = |counter| application(vec![report(0, unread(5), Some(("a", counter, None)))]);
    let mut course = Course::new(application_source(KINESIS));
    course.read(&shards(1));
    for _ in 0..5 {
        assert_eq!(course.read(&shards(2)).owners().count(), 1);
    }
    course.read(&shards(2));
    assert_eq!(course.read(&shards(2)).owners().count(), 0, "the lease still names it");
    assert_eq!(course.read(&shards(3)).owners().count(), 1);
}

/// After its workers have read a parent, KCL has no owner for the children for some seconds.
#[test]
fn a_reshard_takes_no_consumer_away() {
    for throughput in [None, Some(3.0)] {
        let read_by = |number, owner| report(number, unread(5), Some((owner, 1, throughput)));
        let finished = |number| report(number, Backlog::Finished, None);
        let child = |number| report(number, unread(1), None);
        let mut course = Course::new(application_source(KINESIS));
        let mut count = |shards| course.read(&application(shards)).owners().count();
        for _ in 0..2 {
            assert_eq!(count(vec![read_by(0, "a"), read_by(1, "b")]), 2);
        }
        assert_eq!(count(vec![finished(0), read_by(1, "b"), child(2), child(3)]), 2, "one parent is read");
        assert_eq!(count(vec![finished(0), finished(1), child(2), child(3), child(4), child(5)]), 2, "and the other");
        assert_eq!(count(vec![child(2), child(3), child(4), child(5)]), 2, "rows of parents are gone");
        assert_eq!(count(vec![read_by(2, "a"), child(3), read_by(4, "a"), child(5)]), 2, "b is slower");
        assert_eq!(count(vec![read_by(2, "a"), read_by(3, "b"), read_by(4, "a"), read_by(5, "b")]), 2);
        // stopped workers left their own shards
        assert_eq!(count(vec![child(2), child(3), child(4), child(5)]), 0);
    }
    let mut course = Course::new(application_source(KINESIS));
    let mut count = |shards| course.read(&application(shards)).owners().count();
    assert_eq!(count(vec![report(0, unread(5), Some(("a", 1, None)))]), 1);
    for seconds in (0..60).step_by(10) {
        assert_eq!(count(vec![report(1, unread(1), None), report(2, unread(1), None)]), 1, "{seconds}");
    }
    assert_eq!(count(vec![report(1, unread(1), None), report(2, unread(1), None)]), 0, "no worker has come");
}

#[test]
fn new_shards_take_over_what_arrives_in_those_that_they_replace() {
    // 10 s between readings, 3 kB/s in each of two shards, whose workers keep up
    let read_by = |number, owner| report(number, unread(1), Some((owner, 1, Some(3.0))));
    let child = |number| report(number, unread(1), None);
    let arrivals = |flow: &Flow| {
        let Flow::Throughput(flow) = flow else { panic!("throughput") };
        let each: Vec<_> = flow.flow().partitions().iter().map(|one| (one.arrivals() * 10.0).round() / 10.0).collect();
        each
    };
    let mut course = Course::new(application_source(KINESIS));
    let mut read = |shards| arrivals(course.read(&application(shards)));
    for _ in 0..10 {
        read(vec![read_by(0, "a"), read_by(1, "b")]);
    }
    assert_eq!(read(vec![read_by(0, "a"), read_by(1, "b")]), [3.0, 3.0]);
    assert_eq!(read(vec![read_by(1, "b"), child(2), child(3)]), [3.0, 1.5, 1.5], "of one that was split");
    assert_eq!(read(vec![child(4)]), [6.0], "of all, which were merged");
    let both = vec![report(4, unread(1), Some(("a", 1, Some(6.0)))), child(5), child(6)];
    assert_eq!(read(both)[1..], [0.0, 0.0], "new ones may be there before the others are read");
    let shared: f64 = read(vec![child(5), child(6)]).iter().sum();
    assert!((5.5..6.5).contains(&shared), "and then take over: {shared}");
}

/// Reads a group of two partitions, one consumer each, at these ends and positions; returns the flow.
fn read_group(past: Option<&OffsetFlow>, now: u64, owners: [&str; 2], rows: [(f64, f64); 2]) -> OffsetFlow {
    let splits = [0, 1].map(|number| Split::Partition("t".into(), PartitionId(number))).into();
    let rows = rows.iter().map(|(end, committed)| OffsetRow {
        end: *end,
        committed: Some(*committed),
        backlog: end - committed,
        arrivals: Arrivals::OfEnds,
    });
    let owners = Owners::new(owners.map(|owner| Some(owner.into())));
    let reading = OffsetReading { splits, rows: rows.collect(), owners };
    OffsetFlow::fold(past, reading, Moment::after_epoch(Duration::from_secs(now)))
}

#[test]
fn only_a_partition_that_was_behind_when_it_committed_has_a_pace_and_a_new_owner_has_none() {
    let paces = |flow: &OffsetFlow| flow.partitions().iter().map(|one| one.pace.map(Rate::get)).collect::<Vec<_>>();
    let first = read_group(None, 10, ["a", "b"], [(0.0, 0.0); 2]);
    let second = read_group(Some(&first), 20, ["a", "b"], [(100.0, 100.0); 2]);
    let third = read_group(Some(&second), 30, ["a", "b"], [(1000.0, 200.0), (200.0, 200.0)]);
    assert_eq!(paces(&third), [Some(10.0), None]);
    let without_commit = read_group(Some(&third), 40, ["a", "c"], [(2000.0, 200.0), (300.0, 200.0)]);
    assert_eq!(paces(&without_commit), [None, None]);
    let with_commit = read_group(Some(&third), 40, ["a", "c"], [(2000.0, 300.0), (300.0, 300.0)]);
    assert_eq!(paces(&with_commit), [None, None]);
}

#[test]
fn a_position_that_is_moved_back_is_no_negative_consumption() {
    let first = read_group(None, 10, ["a", "b"], [(500.0, 400.0); 2]);
    let second = read_group(Some(&first), 20, ["a", "b"], [(500.0, 100.0), (500.0, 500.0)]);
    let consumption: Vec<_> = second.partitions().iter().map(PartitionFlow::consumption).collect();
    assert_eq!(consumption, [Some(0.0), Some(10.0)]);
}

/// Unread records divided by arrivals were 11 s for one record that had come a moment before, and more on quieter partitions.
#[test]
fn partitions_that_get_a_record_now_and_then_are_no_older_than_their_commits() {
    const PARTITIONS: u32 = 60;
    for apart in [15, 90, 160] {
        let received = |now: u32, partition: u32| f64::from((now + partition * apart / PARTITIONS) / apart);
        let (mut flow, mut oldest) = (None, 0.0);
        for now in (0..1200).step_by(2) {
            let rows = (0..PARTITIONS).map(|partition| {
                let (end, committed) = (received(now, partition), received(now - now % 5, partition));
                OffsetRow { end, committed: Some(committed), backlog: end - committed, arrivals: Arrivals::OfEnds }
            });
            let splits = (0..PARTITIONS).map(|number| Split::Partition("t".into(), PartitionId(number))).collect();
            let owners = Owners::even(4, PARTITIONS as usize);
            let reading = OffsetReading { splits, rows: rows.collect(), owners };
            let next = OffsetFlow::fold(flow.as_ref(), reading, Moment::after_epoch(Duration::from_secs(now.into())));
            oldest = next.ages().flatten().fold(oldest, f64::max);
            flow = Some(next);
        }
        assert!(oldest <= 7.0, "commits are 5 s apart and readings 2 s: {oldest} s at a record per {apart} s");
    }
}
