//! The keys of `scaleOn: writeUtilization`.

use std::collections::HashMap;
use std::time::Duration;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn metadata(more: &[(&str, &str)]) -> HashMap<String, String> {
    let base = [
        ("source", "aws-kinesis-stream"),
        ("streamName", "orders"),
        ("awsRegion", "eu-west-1"),
        ("scaleOn", "writeUtilization"),
    ];
    base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn parse(more: &[(&str, &str)]) -> Result<Trigger, String> {
    Trigger::parse(&metadata(more)).map_err(|error| error.to_string())
}

fn policy(more: &[(&str, &str)]) -> Result<WriteUtilizationPolicy, String> {
    parse(more).map(|trigger| match trigger.policy {
        Policy::WriteUtilization(policy) => policy,
        other => panic!("{other:?}"),
    })
}

#[test]
fn ten_lines_are_enough_and_what_is_said_is_taken() {
    let trigger = parse(&[]).expect("good");
    assert_eq!(trigger.policy, Policy::WriteUtilization(WriteUtilizationPolicy::default()));
    assert_eq!(trigger.pace, Pace { poll_interval: MINUTE, max_staleness: 5 * MINUTE });
    assert_eq!(trigger.metric.to_string(), "aws-kinesis-orders-write-utilization");
    assert_eq!(metric_target(&metadata(&[])).get(), 1);
    let said = [
        ("targetUtilization", "0.5"),
        ("scaleUpUtilization", "0.95"),
        ("scaleDownAfter", "30m"),
        ("lookAhead", "0"),
        ("pollInterval", "2m"),
        ("maxStaleness", "10m"),
    ];
    let trigger = parse(&said).expect("good");
    let expected = WriteUtilizationPolicy {
        target_utilization: Decimal::parse("0.5").expect("a number"),
        scale_up_utilization: Decimal::parse("0.95").expect("a number"),
        scale_down_after: 30 * MINUTE,
        look_ahead: Duration::ZERO,
    };
    assert_eq!(trigger.policy, Policy::WriteUtilization(expected));
    assert_eq!(trigger.pace, Pace { poll_interval: 2 * MINUTE, max_staleness: 10 * MINUTE });
}

#[test]
fn every_limit_is_checked() {
    let refused = [
        ("targetUtilization", "0.91", "must be a number from 0.1 to 0.9"),
        ("targetUtilization", "0.099", "must be a number from 0.1 to 0.9"),
        ("scaleUpUtilization", "0.951", "must be a number from 0.1 to 0.95"),
        ("scaleUpUtilization", "0.6", "must be above targetUtilization, which is 0.6"),
        ("targetUtilization", "0.75", "scaleUpUtilization: must be above targetUtilization, which is 0.75"),
        ("scaleDownAfter", "29m", "from 30m to 24h"),
        ("scaleDownAfter", "25h", "from 30m to 24h"),
        ("lookAhead", "361m", "from 0s to 6h"),
        ("pollInterval", "59s", "from 1m to 10m"),
        ("maxStaleness", "119s", "from 2m to 1h"),
    ];
    for (key, value, message) in refused {
        let error = policy(&[(key, value)]).expect_err(key);
        assert!(error.contains(message), "{key} {value}: {error}");
    }
}

#[test]
fn the_keys_of_others_are_refused_all_at_once_and_the_nearest_key_is_named() {
    let wrong = [
        ("shardCount", "2"),
        ("applicationName", "orders-app"),
        ("maxAge", "60s"),
        ("scaleDownAftr", "1h"),
        ("compat", "strict"),
    ];
    let error = policy(&wrong).expect_err("five problems");
    for expected in [
        "shardCount: is for scaleOn shardCount",
        "applicationName: is for scaleOn age and catchUp",
        "maxAge: is for scaleOn catchUp",
        "scaleDownAftr: is not a known key, did you mean scaleDownAfter?",
        "compat: strict is for scaleOn lag and shardCount",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let others = HashMap::from([
        ("source".to_owned(), "aws-kinesis-stream".to_owned()),
        ("streamName".to_owned(), "orders".to_owned()),
        ("awsRegion".to_owned(), "eu-west-1".to_owned()),
        ("scaleUpUtilization".to_owned(), "0.8".to_owned()),
        ("targetUtilization".to_owned(), "0.5".to_owned()),
    ]);
    let error = Trigger::parse(&others).expect_err("of another policy").to_string();
    assert!(error.contains("scaleUpUtilization: is for scaleOn writeUtilization"), "{error}");
    assert!(error.contains("targetUtilization: is for scaleOn catchUp and writeUtilization"), "{error}");
}

#[test]
fn the_shards_of_a_dynamodb_stream_are_not_sized() {
    let mut metadata = metadata(&[("source", "aws-dynamodb-streams"), ("tableName", "orders")]);
    metadata.remove("streamName");
    let error = Trigger::parse(&metadata).expect_err("no Kinesis").to_string();
    assert!(error.contains("scaleOn: writeUtilization is for source aws-kinesis-stream"), "{error}");
}
