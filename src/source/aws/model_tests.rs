//! Applications on a stream that is planted and known, on a paused clock: what is answered against what is true.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

use super::account::Account;
use super::budget::{Budget, Scope, call_in_turn};
use super::failure::{Failure, FailureKind};
use super::page::{FirstRecord, Page, ShardsPage};
use super::service::{Address, Description, Service};
use super::tables::TableRead;
use crate::lag::streams::tests::number;
use crate::lag::streams::{AgeBasis, Attribute, Position, Row, SequenceNumber, Shard, ShardId, ShardState, Timestamp};
use crate::lag::{ApplicationObservation, Observation, SourceError};
use crate::telemetry::{UpstreamApi, UpstreamMetrics};
use crate::trigger::{CheckpointStore, SourceRef, StreamName, Trigger};

const T0: u64 = 1_795_000_000_000;
const INTERVAL: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_secs(86_400);
/// The planted stream is a day old.
const CREATED: u64 = T0 - 80_000_000;

/// Which kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kinesis,
    DynamoDb,
}

/// What the applications do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Nothing has come for ten minutes, and everything is processed.
    Quiet,
    /// Records come, and are processed after three seconds.
    Busy,
    /// Records come, and are processed as fast as they come, but late: each application by another time.
    Lagging,
    /// Records come, and nobody processes them any more.
    Standing,
    /// The first application lags and moves; the others have processed everything.
    OneLags,
}

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// One read of the first shard fails.
    ReadFails,
    /// The first shard is throttled three times.
    ReadThrottled,
    /// The call for one read panics.
    ReadPanics,
    /// The list of shards takes twelve seconds.
    SlowList,
    /// The first application's table takes six seconds.
    SlowTable,
    /// The first four pages behind each position are empty.
    EmptyPages,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    kind: Kind,
    doing: Doing,
    fault: Fault,
    applications: u32,
    shards: u32,
    latency: Duration,
}

/// The service.
struct Planted {
    plan: Plan,
    begun: Instant,
    budget: Budget,
    numbers: Mutex<HashMap<String, u64>>,
    reads: Mutex<HashMap<ShardId, Vec<Instant>>>,
    faults: AtomicUsize,
    /// The positions that each application's last rows held, by shard.
    written: Mutex<HashMap<u32, Vec<u64>>>,
}

impl Planted {
    fn ms(&self) -> u64 {
        T0 + u64::try_from(self.begun.elapsed().as_millis()).expect("small")
    }

    /// The milliseconds between two records of a shard.
    fn gap(shard: u32) -> u64 {
        1_700 + u64::from(shard % 7) * 410
    }

    /// When a record arrives.
    fn arrival(shard: u32, record: u64) -> u64 {
        T0 - 3_600_000 + record * Self::gap(shard)
    }

    /// The records that have arrived by this time.
    fn arrived(&self, shard: u32, by: u64) -> u64 {
        let by = if self.plan.doing == Doing::Quiet { by.min(T0 - 600_000) } else { by };
        by.checked_sub(T0 - 3_600_000).map_or(0, |since| since / Self::gap(shard) + 1)
    }

    /// The records of a shard that an application has processed.
    fn processed(&self, application: u32, shard: u32) -> u64 {
        let now = self.ms();
        let lag = |seconds: u64| self.arrived(shard, now - seconds * 1000);
        match self.plan.doing {
            Doing::Busy => lag(3),
            Doing::Lagging => lag(100 + u64::from(application) * 60),
            Doing::Standing => self.arrived(shard, T0 - 200_000 - u64::from(application) * 90_000),
            Doing::OneLags if application == 0 => lag(100),
            Doing::Quiet | Doing::OneLags => self.arrived(shard, now),
        }
    }

    fn number(&self, shard: u32, record: u64) -> SequenceNumber {
        let number = match self.plan.kind {
            Kind::Kinesis => number(shard, CREATED / 1000, (Self::arrival(shard, record) - 1500) / 1000, record, 2),
            Kind::DynamoDb => {
                SequenceNumber::parse(&(100_000_000_000_000_000_000_u128 + u128::from(record)).to_string())
                    .expect("digits")
            }
        };
        self.numbers.lock().expect("whole").insert(format!("{shard}/{number}"), record);
        number
    }

    fn shard_id(&self, shard: u32) -> ShardId {
        match self.plan.kind {
            Kind::Kinesis => ShardId::new(&format!("shardId-{shard:012}")),
            Kind::DynamoDb => ShardId::new(&format!("shardId-{CREATED:020}-{shard:08x}")),
        }
    }

    fn index(&self, shard: &ShardId) -> u32 {
        (0..self.plan.shards).find(|index| self.shard_id(*index) == *shard).expect("a planted shard")
    }

    /// Whether the planted fault happens now: so many times.
    fn fails(&self, fault: Fault, times: usize) -> bool {
        self.plan.fault == fault && self.faults.fetch_add(1, Ordering::Relaxed) < times
    }

    async fn call<T>(
        &self,
        api: UpstreamApi,
        of: String,
        answer: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let call = async {
            sleep(self.plan.latency).await;
            answer()
        };
        let metrics = UpstreamMetrics::default();
        call_in_turn(&self.budget, &Scope::of(api, of), Duration::from_secs(5), call, &metrics).await
    }
}

impl Service for Arc<Planted> {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.ms())
    }

    async fn describe(&self, stream: &StreamName) -> Result<Description, Failure> {
        sleep(self.plan.latency).await;
        let name = stream.name();
        let address = match self.plan.kind {
            Kind::Kinesis => {
                let StreamName::Kinesis(stream) = stream else { panic!("{stream:?} is no Kinesis stream") };
                Address::Kinesis(stream.clone())
            }
            Kind::DynamoDb => Address::DynamoDb(format!("arn:aws:dynamodb:r:1:table/{name}/stream/label").into()),
        };
        let created = (self.plan.kind == Kind::Kinesis).then(|| Timestamp::from_unix_ms(CREATED));
        Ok(Description { address, created, retention: RETENTION, reads_apart: Duration::ZERO })
    }

    async fn shards(&self, _stream: &Address, next: Option<String>) -> Result<ShardsPage, Failure> {
        let slow = if self.fails(Fault::SlowList, 3) { Duration::from_secs(4) } else { Duration::ZERO };
        sleep(self.plan.latency + slow).await;
        let from: u32 = next.map_or(0, |next| next.parse().expect("a number"));
        let to = (from + 100).min(self.plan.shards);
        let shard = |index| Shard {
            id: self.shard_id(index),
            parents: Vec::new(),
            state: ShardState::Open,
            first: (self.plan.kind == Kind::Kinesis).then(|| number(index, CREATED / 1000, CREATED / 1000, 0, 2)),
        };
        Ok(ShardsPage {
            shards: (from..to).map(shard).collect(),
            next: (to < self.plan.shards).then(|| to.to_string()),
        })
    }

    async fn iterator(&self, _stream: &Address, shard: &ShardId, position: &Position) -> Result<String, Failure> {
        let index = self.index(shard);
        let from = match position {
            Position::TrimHorizon => 0,
            Position::After(number) => self.numbers.lock().expect("whole")[&format!("{index}/{number}")] + 1,
            Position::At(_) | Position::Within(..) => panic!("no application is at {position:?}"),
        };
        let empty = if self.plan.fault == Fault::EmptyPages { 4 } else { 0 };
        let api = match self.plan.kind {
            Kind::Kinesis => UpstreamApi::KinesisGetShardIterator,
            Kind::DynamoDb => UpstreamApi::StreamsGetShardIterator,
        };
        self.call(api, shard.to_string(), || Ok(format!("{from} {empty}"))).await
    }

    async fn page(&self, _stream: &Address, shard: &ShardId, iterator: String) -> Result<Page, Failure> {
        let index = self.index(shard);
        let mut at = self.now();
        let answer = || {
            at = self.now();
            self.reads.lock().expect("whole").entry(shard.clone()).or_default().push(Instant::now());
            if index == 0 && self.fails(Fault::ReadFails, 1) {
                return Err(Failure::new(FailureKind::Other, "InternalFailure"));
            }
            if index == 0 && self.fails(Fault::ReadThrottled, 3) {
                return Err(Failure::new(FailureKind::Throttled, "Rate exceeded"));
            }
            assert!(index != 0 || !self.fails(Fault::ReadPanics, 1), "on purpose");
            let (from, empty) = iterator.split_once(' ').expect("two numbers");
            let (from, empty): (u64, u64) = (from.parse().expect("a number"), empty.parse().expect("a number"));
            let kinesis = self.plan.kind == Kind::Kinesis;
            if empty > 0 {
                let behind = kinesis.then_some(Duration::from_secs(1));
                return Ok(Page { at, first: None, next: Some(format!("{from} {}", empty - 1)), behind });
            }
            let first = (from < self.arrived(index, self.ms())).then(|| FirstRecord {
                number: Some(self.number(index, from)),
                arrived: Timestamp::from_unix_ms(Planted::arrival(index, from)),
                user_records: 1,
            });
            Ok(Page { at, first, next: Some(format!("{from} 0")), behind: kinesis.then_some(Duration::ZERO) })
        };
        let api = match self.plan.kind {
            Kind::Kinesis => UpstreamApi::KinesisGetRecords,
            Kind::DynamoDb => UpstreamApi::StreamsGetRecords,
        };
        self.call(api, shard.to_string(), answer).await
    }

    async fn rows(&self, store: &CheckpointStore) -> Result<TableRead, Failure> {
        let application: u32 = store.table.strip_prefix("application-").expect("a name").parse().expect("a number");
        let slow =
            if application == 0 && self.fails(Fault::SlowTable, 9) { Duration::from_secs(3) } else { Duration::ZERO };
        sleep(self.plan.latency + slow).await;
        let processed: Vec<_> = (0..self.plan.shards).map(|shard| self.processed(application, shard)).collect();
        let row = |(shard, processed): (u32, &u64)| -> Row {
            let checkpoint = match processed.checked_sub(1) {
                None => "TRIM_HORIZON".to_owned(),
                Some(last) => self.number(shard, last).to_string(),
            };
            let text = |text: String| Attribute::Text(text);
            let key = ("leaseKey".to_owned(), text(self.shard_id(shard).to_string()));
            [key, ("checkpoint".to_owned(), text(checkpoint))].into()
        };
        let rows = (0..).zip(&processed).map(row).collect();
        self.written.lock().expect("whole").insert(application, processed);
        Ok(TableRead { rows, read_units: 0.5 })
    }
}

/// What a round answered, and when it ended.
struct Answered {
    outcomes: Vec<Result<ApplicationObservation, SourceError>>,
    took: Duration,
}

struct Model {
    planted: Arc<Planted>,
    account: Arc<Account<Arc<Planted>>>,
    sources: Vec<Arc<SourceRef>>,
}

impl Model {
    fn new(plan: Plan) -> Self {
        let planted = Arc::new(Planted {
            plan,
            begun: Instant::now(),
            budget: Budget::default(),
            numbers: Mutex::default(),
            reads: Mutex::default(),
            faults: AtomicUsize::new(0),
            written: Mutex::default(),
        });
        let (source, name) = match plan.kind {
            Kind::Kinesis => ("aws-kinesis-stream", "streamName"),
            Kind::DynamoDb => ("aws-dynamodb-streams", "tableName"),
        };
        let source = |application: u32| {
            let application = format!("application-{application}");
            let metadata = [
                ("source", source),
                (name, "orders"),
                ("scaleOn", "age"),
                ("awsRegion", "eu-west-1"),
                ("applicationName", &application),
            ];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Arc::new(Trigger::parse(&metadata).expect("good metadata").source)
        };
        let sources = (0..plan.applications).map(source).collect();
        Self { account: Arc::new(Account::new(planted.clone())), planted, sources }
    }

    async fn round(&self) -> Answered {
        let (begun, outcomes) = (Instant::now(), Arc::new(Mutex::new(HashMap::new())));
        let into = outcomes.clone();
        let report: crate::lag::Report = Arc::new(move |source, outcome| {
            let SourceRef::Application(application) = &**source else { panic!("{source}") };
            let outcome = outcome.map(|observation| match observation {
                Observation::Application(application) => application,
                other => panic!("{other:?}"),
            });
            into.lock().expect("whole").insert(application.store.table.clone(), outcome);
        });
        self.account.observe(self.sources.clone(), &report).await;
        let mut outcomes = outcomes.lock().expect("whole");
        let table = |application: usize| Arc::from(format!("application-{application}"));
        let outcomes = (0..self.sources.len()).map(|index| outcomes.remove(&table(index)).expect("a report")).collect();
        Answered { outcomes, took: begun.elapsed() }
    }

    /// The true age of an application, at this time and by the checkpoints that it had last written when its table was read.
    fn truth(&self, application: usize, at: u64) -> Duration {
        let written = self.planted.written.lock().expect("whole");
        let processed = &written[&u32::try_from(application).expect("few")];
        let ages = (0..).zip(processed).map(|(shard, processed)| {
            let unread = *processed < self.planted.arrived(shard, at);
            if unread { at.saturating_sub(Planted::arrival(shard, *processed)) } else { 0 }
        });
        Duration::from_millis(ages.max().unwrap_or(0))
    }

    fn reads_of_busiest(&self) -> usize {
        self.planted.reads.lock().expect("whole").values().map(Vec::len).max().unwrap_or(0)
    }
}

/// Some rounds of a plan, each checked against the truth; the greatest number of reads of a shard in them.
async fn check(plan: Plan, rounds: u32) -> usize {
    let model = Model::new(plan);
    let mut answered = vec![false; model.sources.len()];
    let interval = match plan.kind {
        Kind::Kinesis => Duration::from_secs(1),
        Kind::DynamoDb => Duration::from_secs(30),
    };
    for round in 0..rounds {
        sleep_until(model.planted.begun + INTERVAL * round).await;
        let Answered { outcomes, took } = model.round().await;
        assert!(took < Duration::from_secs(15), "{plan:?}: round {round} took {took:?}");
        for (application, outcome) in outcomes.into_iter().enumerate() {
            let observed = match outcome {
                Ok(observed) => observed,
                Err(error) => {
                    // a fault may cost an answer; without one only the first look at very many shards may
                    let excused = round == 0 || plan.fault != Fault::None && !answered[application] && round < 3;
                    let excused = excused || matches!(plan.fault, Fault::ReadFails | Fault::ReadPanics) && round < 3;
                    assert!(excused, "{plan:?}: round {round}, application {application}: {}", error.chain());
                    continue;
                }
            };
            answered[application] = true;
            let (truth, survey) = (model.truth(application, observed.seen.unix_ms()), observed.survey);
            let (age, basis) = survey.oldest().map_or((Duration::ZERO, None), |(_, age, basis)| (age, Some(basis)));
            // what has come since the last probe of a quiet shard is not known yet
            assert!(age + took + interval >= truth, "{plan:?}: {age:?} is below the truth, {truth:?}");
            if basis == Some(AgeBasis::Record) {
                assert!(age.abs_diff(truth) <= MS(5), "{plan:?}: {age:?} is called exact, {truth:?}");
            }
            if truth.is_zero() && plan.fault == Fault::None && plan.doing == Doing::Quiet {
                assert_eq!(age, Duration::ZERO, "{plan:?}: round {round}: nothing is unread");
            }
        }
    }
    assert!(answered.iter().all(|answered| *answered), "{plan:?}: {answered:?}");
    for reads in model.planted.reads.lock().expect("whole").values() {
        for pair in reads.windows(2) {
            let apart = pair[1].duration_since(pair[0]);
            let least = if plan.kind == Kind::Kinesis { MS(1000) } else { MS(250) };
            assert!(apart >= least, "{plan:?}: a shard is read again after {apart:?}");
        }
    }
    model.reads_of_busiest()
}

const MS: fn(u64) -> Duration = Duration::from_millis;

/// T1: each of these never ended before.
#[tokio::test(start_paused = true)]
async fn quiet_streams_have_an_age_whatever_their_size_latency_and_number_of_applications() {
    let plans = [(2, 1, 15), (6, 4, 15), (1, 100, 100), (1, 400, 15), (1, 16, 500), (1, 700, 15), (2, 700, 500)];
    for (applications, shards, latency) in plans {
        for kind in [Kind::Kinesis, Kind::DynamoDb] {
            let plan =
                Plan { kind, doing: Doing::Quiet, fault: Fault::None, applications, shards, latency: MS(latency) };
            let reads = check(plan, 6).await;
            let most = if kind == Kind::Kinesis { 6 } else { 5 + 2 };
            assert!(reads <= most, "{plan:?}: {reads} reads of one shard in a minute");
        }
    }
}

/// The cost of many applications is that of their shards.
#[tokio::test(start_paused = true)]
async fn applications_that_lag_and_move_share_one_read_of_a_shard_in_a_round() {
    let plan = Plan {
        kind: Kind::Kinesis,
        doing: Doing::Lagging,
        fault: Fault::None,
        applications: 4,
        shards: 4,
        latency: MS(15),
    };
    let reads = check(plan, 9).await;
    assert!(reads <= 10, "{reads} reads of one shard in 90 s");
}

/// T2: the one got errors for as long as anybody looked; later an age 142 s too high.
#[tokio::test(start_paused = true)]
async fn two_applications_on_one_dynamodb_stream_both_get_their_age() {
    let (kind, doing, fault) = (Kind::DynamoDb, Doing::OneLags, Fault::None);
    let plan = Plan { kind, doing, fault, applications: 2, shards: 2, latency: MS(15) };
    let model = Model::new(plan);
    for round in 0..30 {
        sleep_until(model.planted.begun + INTERVAL * round).await;
        let Answered { outcomes, .. } = model.round().await;
        for (application, outcome) in outcomes.into_iter().enumerate() {
            let observed = outcome.unwrap_or_else(|error| panic!("round {round}, {application}: {}", error.chain()));
            let (truth, age) = (model.truth(application, observed.seen.unix_ms()), observed.survey.age());
            let error = age.abs_diff(truth);
            assert!(error <= Duration::from_secs(31), "round {round}, {application}: {age:?}, truth {truth:?}");
        }
    }
}

/// T4: one failure cost every reading half a minute, and the good shards were read again.
#[tokio::test(start_paused = true)]
async fn a_read_that_fails_once_costs_one_round_and_no_other_shard() {
    let (kind, doing, fault) = (Kind::DynamoDb, Doing::Standing, Fault::ReadFails);
    let model = Model::new(Plan { kind, doing, fault, applications: 1, shards: 4, latency: MS(15) });
    let error = model.round().await.outcomes.remove(0).expect_err("a read fails");
    assert!(error.chain().contains("InternalFailure"), "{}", error.chain());
    sleep(MS(300)).await;
    let outcome = model.round().await.outcomes.remove(0);
    let age = outcome.unwrap_or_else(|error| panic!("{}", error.chain())).survey.age();
    assert_eq!(age.as_secs(), model.truth(0, model.planted.ms()).as_secs());
    let reads = model.planted.reads.lock().expect("whole");
    let counts: Vec<_> = (0..4).map(|shard| reads[&model.planted.shard_id(shard)].len()).collect();
    assert_eq!(counts, [2, 1, 1, 1]);
}

fn plans() -> impl Strategy<Value = Plan> {
    let kind = prop_oneof![Just(Kind::Kinesis), Just(Kind::DynamoDb)];
    let doing = prop_oneof![
        Just(Doing::Quiet),
        Just(Doing::Busy),
        Just(Doing::Lagging),
        Just(Doing::Standing),
        Just(Doing::OneLags)
    ];
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::ReadFails),
        1 => Just(Fault::ReadThrottled),
        1 => Just(Fault::ReadPanics),
        1 => Just(Fault::SlowList),
        1 => Just(Fault::SlowTable),
        1 => Just(Fault::EmptyPages),
    ];
    let shards = prop_oneof![8 => 1..20_u32, 2 => 20..200_u32, 1 => 200..700_u32];
    (kind, doing, fault, 1..=6_u32, shards, 1..=500_u64).prop_map(
        |(kind, doing, fault, applications, shards, latency)| Plan {
            kind,
            doing,
            fault,
            applications,
            shards,
            latency: MS(latency),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_round_ends_in_time_and_no_answer_is_below_the_truth(plan in plans()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(check(plan, 6));
    }
}
