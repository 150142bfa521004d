//! Ages over shard trees that grow by random events: probed ages are correct, and bounds are never below the true age.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{T0, ms, number, shard_id};
use super::*;
use crate::trigger::{AgeFrom, AgesOf};

/// The true state of a stream and an application.
#[derive(Clone, Debug, Default)]
struct World {
    now: u64,
    shards: Vec<TrueShard>,
}

#[derive(Clone, Debug)]
struct TrueShard {
    parents: Vec<usize>,
    created: u64,
    closed: bool,
    /// When each record arrived.
    records: Vec<u64>,
    /// The number of processed records.
    done: usize,
    lease: TrueLease,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TrueLease {
    NotYet,
    There,
    Finished,
    Deleted,
}

#[derive(Clone, Debug)]
enum Event {
    Put(usize, u64),
    Split(usize),
    Merge(usize, usize),
    Process(usize, usize),
    Finish(usize),
    Lease(usize),
    Delete(usize),
    Wait(u64),
}

impl World {
    fn grow(events: &[Event]) -> Self {
        let mut world = Self { now: T0, shards: Vec::new() };
        world.add(Vec::new());
        world.add(Vec::new());
        for event in events {
            world.now += 1000;
            world.happen(event);
        }
        world
    }

    fn add(&mut self, parents: Vec<usize>) {
        let (created, lease) = (self.now, TrueLease::NotYet);
        self.shards.push(TrueShard { parents, created, closed: false, records: Vec::new(), done: 0, lease });
    }

    fn pick(&self, index: usize) -> usize {
        index % self.shards.len()
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Wait(milliseconds) => self.now += milliseconds,
            Event::Put(index, milliseconds) => {
                let index = self.pick(index);
                self.now += milliseconds;
                if !self.shards[index].closed {
                    let now = self.now;
                    self.shards[index].records.push(now);
                }
            }
            Event::Split(index) => {
                let index = self.pick(index);
                if !self.shards[index].closed {
                    self.shards[index].closed = true;
                    self.add(vec![index]);
                    self.add(vec![index]);
                }
            }
            Event::Merge(one, other) => {
                let (one, other) = (self.pick(one), self.pick(other));
                if one != other && !self.shards[one].closed && !self.shards[other].closed {
                    self.shards[one].closed = true;
                    self.shards[other].closed = true;
                    self.add(vec![one, other]);
                }
            }
            Event::Process(index, count) => {
                let index = self.pick(index);
                if self.shards[index].lease == TrueLease::There {
                    let shard = &mut self.shards[index];
                    shard.done = (shard.done + count).min(shard.records.len());
                }
            }
            Event::Finish(index) => {
                let index = self.pick(index);
                let shard = &mut self.shards[index];
                if shard.lease == TrueLease::There && shard.closed && shard.done == shard.records.len() {
                    shard.lease = TrueLease::Finished;
                }
            }
            Event::Lease(index) => {
                let index = self.pick(index);
                let over =
                    |parent: &usize| matches!(self.shards[*parent].lease, TrueLease::Finished | TrueLease::Deleted);
                if self.shards[index].lease == TrueLease::NotYet && self.shards[index].parents.iter().all(over) {
                    self.shards[index].lease = TrueLease::There;
                }
            }
            Event::Delete(index) => {
                // KCL deletes a finished lease when all children have begun
                let index = self.pick(index);
                let mut children = self.shards.iter().filter(|shard| shard.parents.contains(&index));
                if self.shards[index].lease == TrueLease::Finished && children.all(|child| child.done > 0) {
                    self.shards[index].lease = TrueLease::Deleted;
                }
            }
        }
    }

    /// The age of the oldest record that is not processed.
    fn truth(&self) -> Duration {
        let unread = self.shards.iter().flat_map(|shard| &shard.records[shard.done..]);
        unread.min().map_or(Duration::ZERO, |arrived| Duration::from_millis(self.now - arrived))
    }

    /// The sequence number of a record: the time inside is up to 2.5 s before its arrival.
    fn number(&self, index: usize, record: usize) -> SequenceNumber {
        let shard = &self.shards[index];
        let before = [400, 1300, 2500][record % 3];
        let seconds = (shard.records[record] - before) / 1000;
        let created = (shard.created - 4000) / 1000;
        number(u32::try_from(index).expect("few"), created, seconds.max(created), record as u64, 2)
    }

    fn shards(&self) -> Vec<Shard> {
        let id = |index: usize| shard_id(u32::try_from(index).expect("few"));
        let shard = |(index, shard): (usize, &TrueShard)| Shard {
            id: id(index),
            parents: shard.parents.iter().map(|parent| id(*parent)).collect(),
            state: if shard.closed { ShardState::Closed } else { ShardState::Open },
            first: None,
        };
        self.shards.iter().enumerate().map(shard).collect()
    }

    fn leases(&self) -> Vec<Lease> {
        let lease = |(index, shard): (usize, &TrueShard)| {
            let checkpoint = match (shard.lease, shard.done) {
                (TrueLease::NotYet | TrueLease::Deleted, _) => return None,
                (TrueLease::Finished, _) => Checkpoint::ShardEnd,
                (TrueLease::There, 0) => Checkpoint::TrimHorizon,
                (TrueLease::There, done) => Checkpoint::After(self.number(index, done - 1)),
            };
            let shard = shard_id(u32::try_from(index).expect("few"));
            Some(Lease {
                shard,
                checkpoint,
                sub_sequence: None,
                parents: vec![],
                owner: None,
                counter: None,
                throughput_kbps: None,
            })
        };
        self.shards.iter().enumerate().filter_map(lease).collect()
    }

    /// The service's answer to a probe.
    fn probe(&self, shard: &ShardId, position: &Position) -> Probe {
        let index = usize::try_from(shard.index().expect("an index")).expect("small");
        let truth = &self.shards[index];
        let from = match position {
            Position::After(number) | Position::Within(number, _) => {
                (0..truth.records.len()).take_while(|record| self.number(index, *record) <= *number).count()
            }
            Position::TrimHorizon => 0,
            Position::At(time) => truth.records.iter().take_while(|arrived| ms(**arrived) < *time).count(),
        };
        let found = match truth.records.get(from) {
            Some(arrived) => Found::Record { number: Some(self.number(index, from)), arrived: ms(*arrived) },
            None if truth.closed => Found::End,
            None => Found::Tip,
        };
        Probe { position: position.clone(), at: ms(self.now), found }
    }

    /// The result of the survey when everything that it requests is read, and the number of reads.
    fn survey(&self, from: AgeFrom, probes: &mut Probes) -> (Survey, usize) {
        let (shards, leases) = (self.shards(), self.leases());
        let rules = AgeRules {
            from,
            beginning: Beginning::TrimHorizon,
            seen: ms(T0),
            current_since: ms(self.now - 500),
            records_since: ms(self.now - 60_000),
            listed: ms(self.now),
            retention: Duration::from_secs(86_400),
            checkpoints: CheckpointsOf::ThisRound,
        };
        let mut count = 0;
        loop {
            let survey = Survey::new(&shards, &leases, probes, &rules, ms(self.now));
            let Some(Wanted { shard, position, .. }) = survey.wanted.first() else { return (survey, count) };
            probes.entry(shard.clone()).or_default().add(self.probe(shard, position), shard);
            count += 1;
            assert!(count <= 4 * self.shards.len() + 4, "it does not end");
        }
    }
}

const PROBE: AgeFrom = AgeFrom::Probe;

fn report(survey: &Survey, index: u32) -> &Backlog {
    let report = survey.shards.iter().find(|report| report.shard == shard_id(index));
    &report.expect("every shard is reported").backlog
}

#[test]
fn a_shard_whose_lease_was_deleted_after_it_was_finished_is_not_read_again() {
    let events = [
        Event::Lease(0),
        Event::Put(0, 0),
        Event::Process(0, 1),
        Event::Split(0),
        Event::Finish(0),
        Event::Lease(2),
        Event::Lease(3),
        Event::Put(2, 0),
        Event::Put(3, 0),
        Event::Process(2, 1),
        Event::Process(3, 1),
        Event::Delete(0),
    ];
    let world = World::grow(&events);
    assert_eq!(world.shards[0].lease, TrueLease::Deleted);
    let (survey, _) = world.survey(PROBE, &mut Probes::default());
    assert_eq!((report(&survey, 0), survey.age()), (&Backlog::Finished, Duration::ZERO));
}

#[test]
fn a_merged_shard_waits_for_whichever_parent_is_unfinished() {
    for unfinished in [0, 1] {
        let finished = 1 - unfinished;
        let events =
            [Event::Lease(0), Event::Lease(1), Event::Put(unfinished, 0), Event::Merge(0, 1), Event::Finish(finished)];
        let (survey, _) = World::grow(&events).survey(PROBE, &mut Probes::default());
        let on = shard_id(u32::try_from(unfinished).expect("small"));
        assert_eq!(report(&survey, 2), &Backlog::Waits { on });
    }
}

#[test]
fn an_application_that_begins_again_is_not_judged_by_what_it_had_read() {
    let events = [Event::Lease(0), Event::Put(0, 0), Event::Put(0, 9000), Event::Process(0, 2), Event::Wait(9000)];
    let mut world = World::grow(&events);
    let mut probes = Probes::default();
    assert_eq!(world.survey(PROBE, &mut probes).0.age(), Duration::ZERO);
    world.shards[0].done = 0;
    world.now += 1000;
    let from = AgeFrom::Auto(AgesOf::Oldest { exact_above: Duration::from_secs(3600) });
    let (survey, _) = world.survey(from, &mut probes);
    assert!(survey.age() >= world.truth(), "{:?} {:?}", survey.age(), world.truth());
}

#[test]
fn an_idle_application_is_looked_at_again_when_the_last_look_is_old() {
    let mut world = World::grow(&[Event::Lease(0), Event::Lease(1)]);
    let (mut probes, from) =
        (Probes::default(), AgeFrom::Auto(AgesOf::Oldest { exact_above: Duration::from_secs(30) }));
    world.now += 86_400_000;
    assert_eq!(world.survey(from, &mut probes).1, 2, "nothing bounds the age of an unread record");
    assert_eq!(world.survey(from, &mut probes).1, 0, "just read");
    world.now += 1000;
    let (survey, count) = world.survey(from, &mut probes);
    assert_eq!((survey.age(), count), (Duration::ZERO, 2), "only a new look can say that nothing came");
}

/// The catch-up law uses every shard's own age.
#[test]
fn where_each_shard_counts_the_younger_ones_are_read_too() {
    let oldest = AgeFrom::Auto(AgesOf::Oldest { exact_above: Duration::from_secs(30) });
    let leases = [Event::Lease(0), Event::Lease(1)];
    let older = [Event::Put(0, 60_000), Event::Process(0, 1), Event::Put(0, 0)];
    let younger = [Event::Put(1, 120_000), Event::Process(1, 1), Event::Put(1, 0), Event::Wait(60_000)];
    let events = [&leases[..], &older, &younger].concat();
    let world = World::grow(&events);
    assert_eq!(world.survey(oldest, &mut Probes::default()).1, 1, "the other cannot be older");
    let (survey, reads) = world.survey(AgeFrom::Auto(AgesOf::Each), &mut Probes::default());
    assert_eq!(reads, 2);
    for index in [0, 1] {
        let shard = &world.shards[index as usize];
        let truth = Duration::from_millis(world.now - shard.records[shard.done]);
        let Backlog::Unread { age, .. } = report(&survey, index) else { panic!("{survey:?}") };
        assert_eq!(*age, truth, "shard {index}");
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let shard = 0..64_usize;
    let event = prop_oneof![
        6 => (shard.clone(), 0..20_000_u64).prop_map(|(shard, after)| Event::Put(shard, after)),
        1 => shard.clone().prop_map(Event::Split),
        1 => (shard.clone(), shard.clone()).prop_map(|(one, other)| Event::Merge(one, other)),
        5 => (shard.clone(), 1..4_usize).prop_map(|(shard, count)| Event::Process(shard, count)),
        4 => shard.clone().prop_map(Event::Finish),
        6 => shard.clone().prop_map(Event::Lease),
        2 => shard.prop_map(Event::Delete),
        1 => (0..60_000_u64).prop_map(Event::Wait),
    ];
    proptest::collection::vec(event, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_tells_the_true_age_through_splits_merges_and_lost_leases(events in events()) {
        let world = World::grow(&events);
        let (survey, _) = world.survey(AgeFrom::Probe, &mut Probes::default());
        prop_assert_eq!(survey.age(), world.truth(), "{:?}", survey);
    }

    #[test]
    fn an_age_is_never_less_than_the_truth_and_exact_above_the_threshold(events in events(), threshold in 1..120_u64) {
        let world = World::grow(&events);
        let exact_above = Duration::from_secs(threshold);
        let (survey, _) = world.survey(AgeFrom::Auto(AgesOf::Oldest { exact_above }), &mut Probes::default());
        let (age, truth) = (survey.age(), world.truth());
        prop_assert!(age >= truth, "{:?} {:?} {:?}", age, truth, survey);
        if age > exact_above {
            prop_assert_eq!(age, truth, "{:?}", survey);
        }
    }

    #[test]
    fn what_earlier_reads_told_never_makes_an_age_less_than_the_truth(before in events(), after in events()) {
        let mut probes = Probes::default();
        let from = AgeFrom::Auto(AgesOf::Oldest { exact_above: Duration::from_secs(30) });
        let mut world = World::grow(&before);
        world.survey(from, &mut probes);
        for event in &after {
            world.now += 1000;
            world.happen(event);
            let (survey, _) = world.survey(from, &mut probes);
            prop_assert!(survey.age() >= world.truth(), "{:?} {:?} {:?}", survey.age(), world.truth(), survey);
        }
    }

    #[test]
    fn ages_from_sequence_numbers_are_upper_bounds_and_read_nothing(events in events()) {
        let world = World::grow(&events);
        let (survey, reads) = world.survey(AgeFrom::SequenceNumber, &mut Probes::default());
        prop_assert_eq!(reads, 0);
        prop_assert!(survey.age() >= world.truth(), "{:?}", survey);
    }
}
