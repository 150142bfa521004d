//! The keys of `scaleOn: catchUp`, for every source.

use std::collections::HashMap;
use std::time::Duration;

use super::*;

const KAFKA: &[(&str, &str)] =
    &[("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "orders")];
const KINESIS: &[(&str, &str)] = &[
    ("source", "aws-kinesis-stream"),
    ("streamName", "orders"),
    ("awsRegion", "eu-west-1"),
    ("applicationName", "orders-app"),
];
const DYNAMODB: &[(&str, &str)] = &[
    ("source", "aws-dynamodb-streams"),
    ("tableName", "orders"),
    ("awsRegion", "eu-west-1"),
    ("applicationName", "orders-app"),
];

fn metadata(base: &[(&str, &str)], more: &[(&str, &str)]) -> HashMap<String, String> {
    let all = base.iter().chain([("scaleOn", "catchUp")].iter()).chain(more);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn parse(base: &[(&str, &str)], more: &[(&str, &str)]) -> Result<CatchUpPolicy, String> {
    match Trigger::parse(&metadata(base, more)).map(|trigger| trigger.policy) {
        Ok(Policy::CatchUp(policy)) => Ok(policy),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_source_takes_the_policy_and_its_defaults() {
    let activation = [(KAFKA, Activation::Lag(0)), (KINESIS, Activation::Age(Duration::ZERO))];
    for (base, activation) in activation.into_iter().chain([(DYNAMODB, Activation::Age(Duration::ZERO))]) {
        assert_eq!(parse(base, &[]), Ok(CatchUpPolicy { activation, ..CatchUpPolicy::default() }));
    }
    let policy = CatchUpPolicy::default();
    let numbers = (policy.target_utilization.get(), policy.scale_up_tolerance.get());
    assert_eq!((policy.max_age, policy.stabilization_window, numbers), (MINUTE, 5 * MINUTE, (0.82, 0.1)));
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_objective_is_max_age_and_its_old_name_counts_where_it_is_alone() {
    let max_age = |said: &[(&str, &str)]| parse(KAFKA, said).map(|policy| policy.max_age.as_secs());
    assert_eq!(max_age(&[("maxAge", "5s")]), Ok(5));
    assert_eq!(max_age(&[("catchUpTime", "90s")]), Ok(90));
    assert_eq!(max_age(&[("catchUpTime", "90s"), ("maxAge", "10s")]), Ok(10));
}

#[test]
fn what_is_said_is_taken() {
    let said = [
        ("maxAge", "90s"),
        ("targetUtilization", "0.65"),
        ("capacityPerConsumer", "12.5"),
        ("consumersPerReplica", "4"),
        ("scaleDownStabilizationWindow", "60s"),
        ("scaleUpTolerance", "0"),
        ("activationLagThreshold", "7"),
    ];
    let policy = parse(KAFKA, &said).expect("good");
    assert_eq!(policy.max_age, Duration::from_secs(90));
    assert_eq!(policy.target_utilization, Decimal::parse("0.65").expect("a number"));
    assert_eq!(policy.capacity_per_consumer.map(Decimal::get), Some(12.5));
    assert_eq!(policy.consumers_per_replica.get(), 4);
    assert_eq!(policy.stabilization_window, Duration::from_secs(60));
    assert_eq!(policy.scale_up_tolerance, Decimal::parse("0").expect("a number"));
    assert_eq!(policy.activation, Activation::Lag(7));
}

#[test]
fn what_is_wrong_is_told() {
    let cases = [
        (KAFKA, ("maxAge", "4s"), "from 5s to 24h"),
        (KAFKA, ("catchUpTime", "4s"), "from 5s to 24h"),
        (KAFKA, ("targetUtilization", "0.99"), "must be a number from 0.1 to 0.95"),
        (KAFKA, ("targetUtilization", "80%"), "must be a number from 0.1 to 0.95"),
        (KAFKA, ("capacityPerConsumer", "0"), "must be a number of at least 0.001"),
        (KAFKA, ("capacityPerConsumer", "-3"), "must be a number of at least 0.001"),
        (KAFKA, ("consumersPerReplica", "0"), "must be a whole number of at least 1"),
        (KAFKA, ("consumersPerReplica", "1001"), "must be at most 1000"),
        (KAFKA, ("scaleDownStabilizationWindow", "2h"), "from 0s to 1h"),
        (KAFKA, ("scaleUpTolerance", "2"), "must be a number from 0 to 1"),
        (KAFKA, ("lagThreshold", "5"), "is for scaleOn lag"),
        (KAFKA, ("allowIdleConsumers", "true"), "is for scaleOn lag"),
        (KAFKA, ("excludePersistentLag", "true"), "is for scaleOn lag"),
        (KAFKA, ("compat", "strict"), "KEDA has no other"),
        (KAFKA, ("ageThreshold", "5s"), "is for scaleOn age"),
        (KINESIS, ("shardCount", "2"), "is for scaleOn shardCount"),
        (KINESIS, ("ageThreshold", "5s"), "is for scaleOn age"),
        (KINESIS, ("ageFrom", "sequenceNumber"), "upper bounds only"),
        (DYNAMODB, ("activationLagThreshold", "5"), "is for the sources kafka and apache-kafka"),
    ];
    for (base, (key, value), expected) in cases {
        let error = parse(base, &[(key, value)]).expect_err(key);
        assert!(error.contains(key) && error.contains(expected), "{key}={value}: {error}");
    }
}

#[test]
fn its_keys_are_refused_where_another_policy_decides() {
    for key in
        ["maxAge", "catchUpTime", "targetUtilization", "capacityPerConsumer", "consumersPerReplica", "scaleUpTolerance"]
    {
        let mut lag = metadata(KAFKA, &[(key, "30")]);
        lag.remove("scaleOn");
        let error = Trigger::parse(&lag).expect_err(key).to_string();
        assert!(error.contains("is for scaleOn catchUp"), "{error}");
    }
}

#[test]
fn the_metric_has_a_name_of_its_own_and_counts_replicas() {
    let cases = [
        (KAFKA, "kafka-orders-catch-up"),
        (KINESIS, "aws-kinesis-orders-catch-up"),
        (DYNAMODB, "aws-dynamodb-streams-orders-catch-up"),
    ];
    for (base, name) in cases {
        let metadata = metadata(base, &[]);
        assert_eq!((metric_name(&metadata).to_string().as_str(), metric_target(&metadata).get()), (name, 1));
    }
}

#[test]
fn how_it_is_judged_is_no_part_of_what_is_read() {
    let source = |more| Trigger::parse(&metadata(KAFKA, more)).expect("good").source;
    assert_eq!(source(&[("maxAge", "60s")]), source(&[("targetUtilization", "0.5"), ("activationLagThreshold", "9")]));
    assert_ne!(
        source(&[("offsetResetPolicy", "earliest")]),
        source(&[]),
        "what a missing commit counts is learnt from"
    );
}
