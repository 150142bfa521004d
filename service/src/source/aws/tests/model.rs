//! Applications on a planted stream, on a paused clock: reported ages against the true ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

use super::planted::{Doing, Fault, Kind, Plan, Planted, Positions};
use crate::lag::streams::{AgeBasis, Backlog, ShardReport};
use crate::lag::{ApplicationObservation, Observation, SourceError};
use crate::source::aws::account::Account;
use crate::trigger::{SourceRef, Trigger};

const INTERVAL: Duration = Duration::from_secs(10);
const MS: fn(u64) -> Duration = Duration::from_millis;

/// The outcomes of a round, and when it ended.
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
        let planted = Arc::new(Planted::new(plan));
        let (source, name) = match plan.kind {
            Kind::Kinesis => ("aws-kinesis-stream", "streamName"),
            Kind::DynamoDb => ("aws-dynamodb-streams", "tableName"),
        };
        let source = |application: u32| {
            let application = format!("application-{application}");
            let metadata = [
                ("source", source),
                (name, "orders"),
                ("scaleOn", plan.scale_on),
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

    /// Returns the true ages of an application by shard, at this time and by the checkpoints that it had last written when the
    /// scaler read its table.
    fn truths(&self, application: usize, at: u64) -> Vec<Duration> {
        let written = self.planted.written.lock().expect("whole");
        let processed = &written[&u32::try_from(application).expect("few")];
        let ages = (0..).zip(processed).map(|(shard, processed)| {
            let unread = processed.whole < self.planted.arrived(shard, at);
            MS(if unread { at.saturating_sub(Planted::arrival(shard, processed.whole)) } else { 0 })
        });
        ages.collect()
    }

    /// Returns the true age of an application.
    fn truth(&self, application: usize, at: u64) -> Duration {
        self.truths(application, at).into_iter().max().unwrap_or_default()
    }

    fn reads_of_busiest(&self) -> usize {
        self.planted.reads.lock().expect("whole").values().map(Vec::len).max().unwrap_or(0)
    }
}

fn age(shard: &ShardReport) -> (Duration, Option<AgeBasis>) {
    match shard.backlog {
        Backlog::Unread { age, basis } => (age, Some(basis)),
        Backlog::CaughtUp => (Duration::ZERO, None),
        ref other => panic!("{}: {other:?}", shard.shard),
    }
}

const PLAN: Plan = Plan {
    kind: Kind::Kinesis,
    doing: Doing::Quiet,
    fault: Fault::None,
    positions: Positions::Number,
    scale_on: "age",
    applications: 1,
    shards: 1,
    latency: Duration::from_millis(15),
};

/// Runs some rounds of a plan and checks each against the truth; returns the largest number of reads of a shard in them.
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
                    // a fault may cost an answer; without a fault only the first read of very many shards may
                    let excused = round == 0 || plan.fault != Fault::None && !answered[application] && round < 3;
                    let excused = excused || matches!(plan.fault, Fault::ReadFails | Fault::ReadPanics) && round < 3;
                    assert!(excused, "{plan:?}: round {round}, application {application}: {}", error.chain());
                    continue;
                }
            };
            answered[application] = true;
            let truths = model.truths(application, observed.seen.unix_ms());
            for (shard, truth) in observed.survey.shards.iter().zip(truths) {
                let (age, basis) = age(shard);
                // records that arrived since the last probe of a quiet shard are not known yet
                assert!(age + took + interval >= truth, "{plan:?}: {age:?} is below the truth, {truth:?}");
                if basis == Some(AgeBasis::Record) {
                    assert!(age.abs_diff(truth) <= MS(5), "{plan:?}: {age:?} is called exact, {truth:?}");
                }
                if truth.is_zero() && plan.fault == Fault::None && plan.doing == Doing::Quiet {
                    assert_eq!(age, Duration::ZERO, "{plan:?}: round {round}: nothing is unread");
                }
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

/// T1: each of these never ended before.
#[tokio::test(start_paused = true)]
async fn quiet_streams_have_an_age_whatever_their_size_latency_and_number_of_applications() {
    let plans = [(2, 1, 15), (6, 4, 15), (1, 100, 100), (1, 400, 15), (1, 16, 500), (1, 700, 15), (2, 700, 500)];
    for (applications, shards, latency) in plans {
        for kind in [Kind::Kinesis, Kind::DynamoDb] {
            let plan = Plan { kind, applications, shards, latency: MS(latency), ..PLAN };
            let reads = check(plan, 6).await;
            let most = if kind == Kind::Kinesis { 6 } else { 5 + 2 };
            assert!(reads <= most, "{plan:?}: {reads} reads of one shard in a minute");
        }
    }
}

/// The cost of many applications is that of their shards.
#[tokio::test(start_paused = true)]
async fn applications_that_lag_and_move_share_one_read_of_a_shard_in_a_round() {
    let plan = Plan { doing: Doing::Lagging, applications: 4, shards: 4, ..PLAN };
    let reads = check(plan, 9).await;
    assert!(reads <= 10, "{reads} reads of one shard in 90 s");
}

/// T2: one application got errors in every round; later an age 142 s too high.
#[tokio::test(start_paused = true)]
async fn two_applications_on_one_dynamodb_stream_both_get_their_age() {
    let model = Model::new(Plan { kind: Kind::DynamoDb, doing: Doing::OneLags, applications: 2, shards: 2, ..PLAN });
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

/// T4: one failure delayed every reading by half a minute, and the good shards were read again.
#[tokio::test(start_paused = true)]
async fn a_read_that_fails_once_costs_one_round_and_no_other_shard() {
    let (kind, doing, fault) = (Kind::DynamoDb, Doing::Standing, Fault::ReadFails);
    let model = Model::new(Plan { kind, doing, fault, shards: 4, ..PLAN });
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
    let positions = prop_oneof![Just(Positions::Number), Just(Positions::OfKcl), Just(Positions::Packed)];
    let scale_on = prop_oneof![2 => Just("age"), 1 => Just("catchUp")];
    let shards = prop_oneof![8 => 1..20_u32, 2 => 20..200_u32, 1 => 200..700_u32];
    (kind, doing, fault, (positions, scale_on), 1..=6_u32, shards, 1..=500_u64).prop_map(
        |(kind, doing, fault, (positions, scale_on), applications, shards, latency)| {
            // every probe is simulated
            let applications = if shards > 200 { applications.min(2) } else { applications };
            Plan { kind, doing, fault, positions, scale_on, applications, shards, latency: MS(latency) }
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
