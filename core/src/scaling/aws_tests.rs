//! KEDA's rules for shard counts (A16, A18, A21), and the rules for ages.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::lag::streams::{AgeBasis, Backlog, ShardId, ShardReport, ShardState, Survey, Timestamp};
use crate::lag::{ApplicationObservation, Checkpoints, Moment, ShardsObservation, TableReading};
use crate::trigger::Trigger;

fn trigger(source: &str, more: &[(&str, &str)]) -> Trigger {
    let base = [("source", source), ("streamName", "s"), ("tableName", "invoices"), ("awsRegion", "eu-west-1")];
    let other = if source == "aws-kinesis-stream" { "tableName" } else { "streamName" };
    let all = base.iter().filter(|(key, _)| *key != other).chain(more);
    let metadata: HashMap<_, _> = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Trigger::parse(&metadata).expect("good")
}

fn sample(trigger: &Trigger, observation: Observation) -> Sample {
    Sample::after(None, &trigger.source, observation, &[], Moment::after_epoch(Duration::ZERO))
}

fn decided(trigger: &Trigger, observation: &Observation) -> Decision {
    decide(&trigger.policy, &trigger.source, &sample(trigger, observation.clone()))
        .expect("an observation of the trigger's source")
}

#[test]
fn open_shards_are_the_value_and_closed_ones_count_only_as_keda_counts_them() {
    let cases = [
        // source, compat, activation, open, closed, value, active
        ("aws-kinesis-stream", "fixed", "0", 100, 0, 100.0, true),
        ("aws-kinesis-stream", "strict", "0", 100, 7, 100.0, true),
        ("aws-dynamodb-streams", "fixed", "0", 5, 100, 5.0, true),
        ("aws-dynamodb-streams", "strict", "0", 5, 100, 105.0, true),
        ("aws-dynamodb-streams", "strict", "0", 5, 0, 5.0, true),
        ("aws-kinesis-stream", "fixed", "3", 3, 0, 3.0, false),
        ("aws-kinesis-stream", "fixed", "4", 3, 9, 3.0, false),
        ("aws-kinesis-stream", "fixed", "4", 6, 0, 6.0, true),
        // KEDA compares signed numbers: below 0 the workload is always active
        ("aws-dynamodb-streams", "fixed", "-1", 0, 0, 0.0, true),
        ("aws-dynamodb-streams", "fixed", "0", 0, 0, 0.0, false),
    ];
    for (source, compat, activation, open, closed, value, active) in cases {
        let trigger = trigger(source, &[("compat", compat), ("activationShardCount", activation), ("shardCount", "3")]);
        let decision = decided(&trigger, &Observation::Shards(ShardsObservation { open, closed }));
        let what = format!("{source} {compat} {open} {closed}");
        assert_eq!((decision.value.get(), decision.target.get(), decision.active), (value, 3.0, active), "{what}");
    }
}

fn application(backlogs: &[Backlog], retention: Duration) -> Observation {
    let shards = backlogs.iter().enumerate().map(|(index, backlog)| ShardReport {
        shard: ShardId::new(&format!("shardId-{index:012}")),
        state: Some(ShardState::Open),
        lease: None,
        bound: None,
        backlog: backlog.clone(),
    });
    let seen = Timestamp::from_unix_ms(0);
    let survey = Survey { shards: shards.collect(), wanted: Vec::new() };
    Observation::Application(ApplicationObservation {
        survey,
        checkpoints: Checkpoints::Some,
        workers: Vec::new(),
        table: None,
        retention: Some(retention),
        seen,
    })
}

fn unread(milliseconds: u64) -> Backlog {
    Backlog::Unread { age: Duration::from_millis(milliseconds), basis: AgeBasis::Record }
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_age_is_the_greatest_and_never_the_sum() {
    let trigger =
        trigger("aws-kinesis-stream", &[("scaleOn", "age"), ("applicationName", "app"), ("ageThreshold", "30")]);
    let waits = Backlog::Waits { on: ShardId::new("shardId-000000000000") };
    let cases: [(&[Backlog], f64, bool); 5] = [
        (&[unread(40_000), unread(90_500), Backlog::CaughtUp], 90.5, true),
        (&[unread(40_000), waits], 40.0, true),
        (&[unread(1)], 0.001, true),
        (&[Backlog::CaughtUp, Backlog::Finished, Backlog::NoSuchShard], 0.0, false),
        (&[], 0.0, false),
    ];
    for (backlogs, value, active) in cases {
        let decision = decided(&trigger, &application(backlogs, DAY));
        assert_eq!(
            (decision.value.get(), decision.target.get(), decision.active),
            (value, 30.0, active),
            "{backlogs:?}"
        );
    }
}

#[test]
fn the_workload_is_active_above_the_activation_threshold_only() {
    let more = [("scaleOn", "age"), ("applicationName", "app"), ("activationAgeThreshold", "10s")];
    let trigger = trigger("aws-dynamodb-streams", &more);
    for (age, active) in [(9_999, false), (10_000, false), (10_001, true)] {
        assert_eq!(decided(&trigger, &application(&[unread(age)], DAY)).active, active, "{age}");
    }
}

#[test]
fn records_near_their_deletion_are_a_step_of_the_decision() {
    let trigger = trigger("aws-kinesis-stream", &[("scaleOn", "age"), ("applicationName", "app")]);
    let cases = [
        (43_200_000, None),
        (43_200_001, Some(RetentionRisk::OverHalf)),
        (69_120_000, Some(RetentionRisk::OverHalf)),
        (69_120_001, Some(RetentionRisk::OverFourFifths)),
    ];
    for (age, expected) in cases {
        let observation = application(&[unread(age)], DAY);
        let decision = decided(&trigger, &observation);
        let told = decision.steps.iter().find_map(|step| match step {
            Step::NearRetention { risk, .. } => Some(*risk),
            _ => None,
        });
        assert_eq!((told, RetentionRisk::in_observation(&observation)), (expected, expected), "{age}");
    }
}

#[test]
fn the_steps_of_an_age_say_what_was_read_how_often_and_by_whom() {
    let trigger = trigger("aws-kinesis-stream", &[("scaleOn", "age"), ("applicationName", "app")]);
    let steps = |backlogs: &[Backlog], checkpoints: Checkpoints, every: Option<u64>| {
        let Observation::Application(mut read) = application(backlogs, DAY) else { unreachable!() };
        read.checkpoints = checkpoints;
        let table = |every| TableReading { ago: Duration::from_millis(1500), every, read_units: 2.0 };
        read.table = every.map(Duration::from_secs).map(table);
        decided(&trigger, &Observation::Application(read)).steps
    };
    let activation = |age_ms| Step::AgeActivation { age_ms, threshold_ms: 0, active: age_ms > 0 };
    let oldest = Step::Oldest { shard: "shardId-000000000001".into(), age_ms: 90_500, basis: AgeBasis::Record };
    let table = Step::CheckpointsRead { ago_ms: 1500, every_ms: 10_000, read_units: 2.0 };
    assert_eq!(
        steps(&[unread(40_000), unread(90_500)], Checkpoints::Some, Some(10)),
        [oldest, table, activation(90_500)]
    );
    let caught_up = [Backlog::CaughtUp, Backlog::Finished, Backlog::CaughtUp];
    assert_eq!(steps(&caught_up, Checkpoints::Some, Some(9)), [Step::NothingUnread { shards: 2 }, activation(0)]);
    let never = Step::NeverRan { checkpoints: Checkpoints::None };
    assert_eq!(steps(&[], Checkpoints::None, None), [never, Step::NothingUnread { shards: 0 }, activation(0)]);
}

#[test]
fn an_observation_of_another_kind_is_an_error_and_never_a_value() {
    let trigger = trigger("aws-kinesis-stream", &[]);
    let observation = application(&[], DAY);
    let error = decide(&trigger.policy, &trigger.source, &sample(&trigger, observation)).expect_err("another kind");
    assert_eq!(error.kind(), SourceErrorKind::Broken);
}
