//! KEDA's rules for lag and cap, row by row, for both Kafka sources; and properties that hold for any group.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::lag::{
    CommittedOffset, GroupObservation, LagBasis, Moment, Offset, PartitionId, PartitionObservation, TopicId,
    TopicObservation, Watermarks,
};
use crate::trigger::Trigger;

/// A row of `cases/kafka.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(default, rename = "note")]
    _note: String,
    partitions: Vec<Row>,
    metadata: BTreeMap<String, String>,
    /// The same state is observed again this much later; the expected result applies then.
    seen_again_after_seconds: Option<u64>,
    fixed: Expected,
    strict: Expected,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Row {
    committed: Option<u64>,
    start: u64,
    /// Missing: the brokers' answer does not contain the partition; `source::kafka` makes that an error.
    end: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Decided {
        value: f64,
        lag: i64,
    },
    /// The only other value is `error`.
    Error(String),
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("cases/kafka.json")).expect("the cases can be read")
}

fn trigger(source: &str, compat: &str, changes: &BTreeMap<String, String>) -> Trigger {
    let base = [
        ("source", source),
        ("compat", compat),
        ("bootstrapServers", "b:9092"),
        ("consumerGroup", "g"),
        ("topic", "t"),
    ];
    let mut metadata: HashMap<_, _> = base.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    metadata.extend(changes.clone());
    Trigger::parse(&metadata).expect("a good trigger")
}

/// The observation of these partitions for a trigger.
fn selected(trigger: &Trigger, rows: &[Row]) -> Observation {
    let (Observation::Kafka(mut group), SourceRef::Kafka(source)) = (observation(rows), &trigger.source) else {
        panic!("Kafka")
    };
    group.topics[0].partitions.retain(|row| source.partitions.selects(row.partition.0));
    Observation::Kafka(group)
}

fn observation(rows: &[Row]) -> Observation {
    let partitions = rows.iter().zip(0..).map(|(row, number)| PartitionObservation {
        partition: PartitionId(number),
        committed: row.committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
        watermarks: Watermarks { start: Offset(row.start), end: Offset(row.end.expect("an end")) },
        owner: None,
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "t".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).expect("few"),
        partitions,
    };
    Observation::Kafka(GroupObservation { topics: vec![topic], ..GroupObservation::default() })
}

fn at(seconds: u64) -> Moment {
    Moment::after_epoch(Duration::from_secs(seconds))
}

fn seen(past: Option<&Sample>, observation: &Observation, when: Moment) -> Sample {
    let source = trigger("kafka", "fixed", &BTreeMap::new()).source;
    Sample::after(past, &source, observation.clone(), &[], when)
}

fn judge(trigger: &Trigger, sample: &Sample) -> Decision {
    decide(&trigger.policy, &trigger.source, sample).expect("an observation of the trigger's source")
}

fn activity(decision: &Decision) -> i64 {
    let lag =
        decision.steps.iter().find_map(|step| if let Step::Activation { lag, .. } = step { Some(*lag) } else { None });
    lag.expect("a step that compares the activity")
}

#[test]
fn each_row_is_judged_as_keda_does_or_rightly_for_both_sources() {
    for case in cases() {
        for (compat, expected) in [("fixed", &case.fixed), ("strict", &case.strict)] {
            let Expected::Decided { value, lag } = expected else { continue };
            for source in ["kafka", "apache-kafka"] {
                let trigger = trigger(source, compat, &case.metadata);
                let observation = selected(&trigger, &case.partitions);
                let first = seen(None, &observation, at(0));
                let later = case.seen_again_after_seconds.unwrap_or(0);
                let history = seen(Some(&first), &observation, at(later));
                let decision = judge(&trigger, &history);
                let about = format!("{} {compat} for {source}: {:?}", case.id, decision.steps);
                assert!((decision.value.get() - value).abs() < f64::EPSILON, "{about}: {}", decision.value);
                assert_eq!(activity(&decision), *lag, "{about}");
                assert_eq!(decision.active, *lag > 0, "{about}");
            }
        }
    }
}

#[test]
fn rows_without_an_end_are_left_to_the_adapter_which_makes_them_errors() {
    for case in cases() {
        let no_end = case.partitions.iter().any(|row| row.end.is_none());
        for expected in [&case.fixed, &case.strict] {
            assert_eq!(no_end, matches!(expected, Expected::Error(word) if word == "error"), "{}", case.id);
        }
    }
}

#[test]
fn no_row_is_missing() {
    let seen: BTreeSet<_> = cases().into_iter().map(|case| case.id).filter(|id| id != "retention").collect();
    let wanted = (1..=9).map(|row| format!("L{row}")).chain((1..=8).map(|row| format!("C{row}")));
    assert_eq!(seen, wanted.collect());
}

#[test]
fn activity_must_exceed_its_threshold() {
    let changes = BTreeMap::from([("activationLagThreshold".to_owned(), "50".to_owned())]);
    for (end, active) in [(149, false), (150, false), (151, true)] {
        let observation = observation(&[Row { committed: Some(100), start: 0, end: Some(end) }]);
        let history = seen(None, &observation, at(0));
        assert_eq!(judge(&trigger("kafka", "fixed", &changes), &history).active, active, "{end}");
    }
}

/// K5: an offset does not identify a commit.
#[test]
fn the_commit_of_a_recreated_topic_counts_whatever_its_number_and_has_not_stood_still() {
    let trigger = trigger("kafka", "fixed", &[("excludePersistentLag".to_owned(), "true".to_owned())].into());
    let row = |end| [Row { committed: Some(2), start: 0, end: Some(end) }];
    let with_id = |rows: &[Row], id| {
        let Observation::Kafka(mut group) = observation(rows) else { panic!("a group") };
        group.topics[0].id = Some(TopicId(id));
        Observation::Kafka(group)
    };
    let history = seen(None, &with_id(&row(20), 1), at(0));
    assert_eq!(judge(&trigger, &seen(Some(&history), &with_id(&row(42), 1), at(1000))).value.ceil(), 0);
    let without_id = judge(&trigger, &seen(Some(&history), &observation(&row(42)), at(1000)));
    assert_eq!(without_id.value.ceil(), 0, "a broker that reports no id contradicts nothing");
    let decision = judge(&trigger, &seen(Some(&history), &with_id(&row(42), 2), at(1000)));
    assert_eq!((decision.value.ceil(), activity(&decision)), (10, 40), "one partition bounds the value");
}

#[test]
fn a_commit_past_the_end_is_a_race_for_a_while_and_then_no_commit() {
    let earliest = BTreeMap::from([("offsetResetPolicy".to_owned(), "earliest".to_owned())]);
    let rows = [Row { committed: Some(160), start: 20, end: Some(150) }];
    let observation = observation(&rows);
    let first = seen(None, &observation, at(0));
    let race = seen(Some(&first), &observation, at(29));
    let still = seen(Some(&first), &observation, at(30));
    let fixed = trigger("kafka", "fixed", &earliest);
    assert_eq!(activity(&judge(&fixed, &race)), 0);
    assert_eq!(activity(&judge(&fixed, &still)), 130);
    let mut stable = earliest;
    stable.insert("isolationLevel".into(), "readCommitted".into());
    let stable = trigger("kafka", "fixed", &stable);
    let still = Sample::after(Some(&first), &stable.source, observation, &[], at(30));
    assert_eq!(activity(&judge(&stable, &still)), 0, "past the last stable offset is no fault");
}

#[test]
fn what_retention_deleted_is_reported_as_lost() {
    let observation = observation(&[
        Row { committed: Some(10), start: 100, end: Some(150) },
        Row { committed: Some(90), start: 100, end: Some(150) },
    ]);
    let history = seen(None, &observation, at(0));
    let decision = judge(&trigger("kafka", "fixed", &BTreeMap::new()), &history);
    assert!(decision.steps.contains(&Step::Unusual { basis: LagBasis::LogStart { lost: 100 }, partitions: 2 }));
}

#[test]
fn a_commit_is_taken_for_stalled_by_the_readings_that_show_it() {
    let persistent = BTreeMap::from([("excludePersistentLag".to_owned(), "true".to_owned())]);
    let trigger = trigger("kafka", "fixed", &persistent);
    let observation = observation(&[Row { committed: Some(100), start: 0, end: Some(150) }]);
    let first = seen(None, &observation, at(0));
    let value = |second| judge(&trigger, &seen(Some(&first), &observation, at(second))).value.ceil();
    assert_eq!([1, 60, 119].map(value), [10, 10, 10], "one partition with lag: capped at one replica");
    assert_eq!(value(120), 0);
}

prop_compose! {
    fn any_row()(start in 0_u64..1000, length in 0_u64..1000, committed in proptest::option::of(0_u64..2500)) -> Row {
        Row { committed, start, end: Some(start + length) }
    }
}

proptest! {
    #[test]
    fn a_value_is_finite_and_never_negative_and_never_asks_for_more_than_the_partitions(
        rows in proptest::collection::vec(any_row(), 0..20),
        strict: bool, idle: bool, with_lag: bool, even: bool, earliest: bool, persistent: bool,
        threshold in 1_u64..500, later in 0_u64..300,
    ) {
        let flags = [
            ("allowIdleConsumers", idle && !with_lag), ("limitToPartitionsWithLag", with_lag),
            ("ensureEvenDistributionOfPartitions", even), ("excludePersistentLag", persistent),
        ];
        let mut changes: BTreeMap<_, _> = flags.map(|(key, value)| (key.to_owned(), value.to_string())).into();
        changes.insert("offsetResetPolicy".into(), if earliest { "earliest" } else { "latest" }.into());
        changes.insert("lagThreshold".into(), threshold.to_string());
        let trigger = trigger("apache-kafka", if strict { "strict" } else { "fixed" }, &changes);
        let observation = observation(&rows);
        let history = seen(Some(&seen(None, &observation, at(0))), &observation, at(later));
        let decision = judge(&trigger, &history);
        prop_assert!(decision.value.get().is_finite() && decision.value.get() >= 0.0);
        prop_assert_eq!(decision.value.get() > 0.0, decision.value.ceil() > 0);
        prop_assert_eq!(decision.active, activity(&decision) > 0);
        if !strict && (even || with_lag || !idle) {
            prop_assert!(decision.replicas() <= rows.len() as u64);
        }
    }

    /// K9: the decision names what a trigger counts beyond the records behind.
    #[test]
    fn the_lag_is_the_records_behind_and_what_the_decision_adds(
        rows in proptest::collection::vec(any_row(), 0..20), strict: bool, earliest: bool, later in 0_u64..300,
    ) {
        let reset = if earliest { "earliest" } else { "latest" };
        let changes = BTreeMap::from([("offsetResetPolicy".to_owned(), reset.to_owned())]);
        let trigger = trigger("kafka", if strict { "strict" } else { "fixed" }, &changes);
        let observation = observation(&rows);
        let sample = seen(Some(&seen(None, &observation, at(0))), &observation, at(later));
        let decision = judge(&trigger, &sample);
        let Some(Step::Counted { records_behind, .. }) = decision.steps.first() else { panic!("{:?}", decision.steps) };
        let Behind::Records(facts) = &sample.facts.behind else { panic!("a group") };
        prop_assert_eq!(*records_behind, facts.records_behind());
        let added = decision.steps.iter().find_map(|step| match step {
            Step::Lag { lag, by_reset_policy, as_built_in, .. } => Some((*lag, *by_reset_policy, *as_built_in)),
            _ => None,
        });
        let behind = i64::try_from(records_behind.unwrap_or(0)).expect("few");
        let (lag, by_reset_policy, as_built_in) = added.unwrap_or((behind, 0, 0));
        prop_assert_eq!(lag, activity(&decision));
        prop_assert_eq!(lag, behind + i64::try_from(by_reset_policy).expect("few") + as_built_in);
    }

    #[test]
    fn the_fixed_lag_is_never_more_than_the_log_holds(row in any_row()) {
        let earliest = BTreeMap::from([("offsetResetPolicy".to_owned(), "earliest".to_owned())]);
        let observation = observation(&[row]);
        let history = seen(Some(&seen(None, &observation, at(0))), &observation, at(3600));
        let decision = judge(&trigger("kafka", "fixed", &earliest), &history);
        let length = row.end.expect("an end") - row.start;
        prop_assert!(u64::try_from(activity(&decision)).expect("not negative") <= length);
    }
}

/// K3: selected partitions that do not exist.
#[test]
fn partitions_that_are_selected_and_do_not_exist_are_reported() {
    let row = Row { committed: Some(10), start: 0, end: Some(40) };
    let trigger = trigger("kafka", "fixed", &[("partitionLimitation".into(), "0,2-4,7".into())].into());
    let decision = judge(&trigger, &seen(None, &selected(&trigger, &[row; 3]), at(1000)));
    let steps: Vec<_> = decision.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps[0], "60 unread records in 2 of 2 partitions");
    assert_eq!(steps[1], "partitionLimitation selects 3-4, 7 as well, which do not exist");
}

#[test]
fn the_steps_sum_the_losses_take_the_farthest_commit_and_count_the_partitions_of_each_kind() {
    let row = |committed, start, end| Row { committed, start, end: Some(end) };
    let rows = [
        row(Some(20), 0, 20),
        row(Some(5), 10, 20),
        row(Some(30), 0, 20),
        row(Some(2), 10, 21),
        row(Some(25), 0, 20),
        row(None, 0, 4),
        row(None, 0, 0),
    ];
    let trigger = trigger("kafka", "fixed", &BTreeMap::from([("lagThreshold".to_owned(), "9".to_owned())]));
    let decision = judge(&trigger, &seen(None, &observation(&rows), at(0)));
    let unusual = |basis, partitions| Step::Unusual { basis, partitions };
    let expected = [
        Step::Counted { partitions: 7, partitions_behind: 2, records_behind: Some(21) },
        unusual(LagBasis::LogStart { lost: 13 }, 2),
        unusual(LagBasis::PastEnd { by: 10 }, 2),
        unusual(LagBasis::NoCommit, 2),
        Step::Lag { lag: 23, by_reset_policy: 2, without_commit: 2, as_built_in: 0 },
        Step::Activation { lag: 23, threshold: 0 },
    ];
    assert_eq!(decision.steps, expected);
}

#[test]
fn lag_is_excluded_only_where_a_commit_stood_still_before_unread_records() {
    let row = |committed, end| Row { committed: Some(committed), start: 0, end: Some(end) };
    let trigger = trigger("kafka", "fixed", &[("excludePersistentLag".to_owned(), "true".to_owned())].into());
    let steps = |before: &[Row], after: &[Row]| {
        let first = seen(None, &observation(before), at(0));
        let decision = judge(&trigger, &seen(Some(&first), &observation(after), at(600)));
        decision.steps.into_iter().filter(|step| matches!(step, Step::PersistentLagExcluded { .. })).collect::<Vec<_>>()
    };
    let excluded = |partitions, lag| vec![Step::PersistentLagExcluded { partitions, lag }];
    assert_eq!(steps(&[row(5, 10); 2], &[row(5, 10), row(5, 11)]), excluded(2, 11));
    assert_eq!(
        steps(&[row(5, 10), row(10, 10)], &[row(5, 10), row(10, 10)]),
        excluded(1, 5),
        "one has read everything"
    );
    assert_eq!(steps(&[row(5, 10); 2], &[row(6, 10), row(10, 10)]), [], "both moved");
}

#[test]
fn a_lag_that_the_useful_replicas_cover_exactly_is_not_capped() {
    let trigger = trigger("kafka", "fixed", &[("lagThreshold".to_owned(), "10".to_owned())].into());
    for (end, capped) in [(20, false), (21, true)] {
        let rows =
            [Row { committed: Some(0), start: 0, end: Some(end) }, Row { committed: Some(5), start: 0, end: Some(5) }];
        let decision = judge(&trigger, &seen(None, &observation(&rows), at(0)));
        assert_eq!(decision.steps.iter().any(|step| matches!(step, Step::Capped { .. })), capped, "{end}");
    }
}
