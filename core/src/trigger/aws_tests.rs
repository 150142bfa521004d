//! The rules of KEDA's AWS triggers, row by row, and of the keys beyond them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::Deserialize;

use super::*;

/// A row of `cases/aws.json`: changes to a valid trigger of either source, and the result. `NAME` is `streamName` or `tableName`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// A null removes the key.
    metadata: BTreeMap<String, Option<String>>,
    /// Parameters of the connection that the trigger names.
    connection: Option<HashMap<String, String>>,
    /// `ok`, or the problems, separated by semicolons: each is the start of one.
    outcome: String,
    #[serde(default)]
    expect: BTreeMap<String, serde_json::Value>,
}

const SOURCES: [(&str, &str); 2] = [("aws-kinesis-stream", "streamName"), ("aws-dynamodb-streams", "tableName")];

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("cases/aws.json")).expect("the cases can be read")
}

impl Case {
    fn metadata(&self, source: &str, name: &str) -> HashMap<String, String> {
        let base = [("source", source), ("NAME", "test"), ("awsRegion", "eu-west-1"), ("scalerAddress", "s:1")];
        let mut metadata: HashMap<_, _> = base.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        if self.connection.is_some() {
            metadata.insert("connection".into(), "somewhere".into());
        }
        for (key, value) in &self.metadata {
            match value {
                Some(value) => drop(metadata.insert(key.clone(), value.clone())),
                None => drop(metadata.remove(key)),
            }
        }
        metadata.into_iter().map(|(key, value)| (key.replace("NAME", name), value)).collect()
    }

    /// The trigger and the identity that it and its connection result in.
    fn outcome(&self, metadata: &HashMap<String, String>) -> Result<(Trigger, AwsIdentity), TriggerError> {
        let trigger = Trigger::parse(metadata)?;
        let access = match &trigger.source {
            SourceRef::Shards(stream) => &stream.access,
            SourceRef::Application(application) => &application.stream.access,
            SourceRef::Kafka(_) | SourceRef::Writes(_) => panic!("another source"),
        };
        let identity = match &self.connection {
            Some(connection) => AwsIdentity::of_connection(connection)?,
            None => access.without_connection().expect("a region"),
        };
        Ok((trigger, identity))
    }
}

/// Compares the facts that a row expects.
fn facts(
    trigger: &Trigger,
    identity: &AwsIdentity,
    metadata: &HashMap<String, String>,
) -> BTreeMap<&'static str, String> {
    let (target, activation) = match &trigger.policy {
        Policy::ShardCount(policy) => (policy.threshold.get(), policy.activation_threshold.to_string()),
        Policy::Age(policy) => (policy.threshold.as_secs(), policy.activation_threshold.as_secs().to_string()),
        Policy::Lag(_) | Policy::CatchUp(_) | Policy::WriteUtilization(_) => panic!("another policy"),
    };
    assert_eq!(metric_target(metadata).get(), target, "the spec has the same target");
    let credentials = match &identity.credentials {
        AwsCredentials::DefaultChain => "default",
        AwsCredentials::Role { .. } => "role",
        AwsCredentials::Static { session_token: None, .. } => "static",
        AwsCredentials::Static { session_token: Some(_), .. } => "static with token",
    };
    let mut facts = BTreeMap::from([
        ("target", target.to_string()),
        ("activation", activation),
        ("credentials", credentials.to_owned()),
    ]);
    if let Some(endpoint) = &identity.endpoint {
        facts.insert("endpoint", endpoint.to_string());
    }
    if let SourceRef::Application(application) = &trigger.source {
        facts.insert("table", application.store.table.to_string());
        facts.insert("readUnits", application.lease_table_read_units.to_string());
        facts.insert("position", format!("{:?}", application.initial_position));
    }
    facts
}

#[test]
fn each_row_of_the_table_holds_for_both_sources() {
    for case in cases() {
        for (source, name) in SOURCES {
            let metadata = case.metadata(source, name);
            let what = format!("{} {source} {metadata:?}", case.id);
            let metric = metric_name(&metadata).to_string();
            match case.outcome(&metadata) {
                Ok((trigger, identity)) => {
                    assert_eq!(case.outcome, "ok", "{what}");
                    assert_eq!(trigger.metric.to_string(), metric, "{what}");
                    let mut facts = facts(&trigger, &identity, &metadata);
                    facts.insert(if name == "streamName" { "kinesisMetric" } else { "dynamodbMetric" }, metric);
                    for (key, expected) in &case.expect {
                        let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
                        if let Some(fact) = facts.get(key.as_str()) {
                            assert_eq!(*fact, expected, "{key} of {what}");
                        } else {
                            assert!(key.ends_with("Metric"), "{key} of {what} is not known");
                        }
                    }
                }
                Err(error) => {
                    let expected: Vec<_> = case.outcome.split("; ").map(|text| text.replace("NAME", name)).collect();
                    let problems: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
                    assert_eq!(problems.len(), expected.len(), "{what}: {problems:?}");
                    for (problem, expected) in problems.iter().zip(&expected) {
                        assert!(problem.starts_with(expected), "{what}: {problem}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_row_of_kedas_table_is_missing() {
    let ids: BTreeSet<_> = cases().into_iter().map(|case| case.id).collect();
    // the others do not concern the metadata: they are in the tables of scaling, and in the tests of the adapter
    let elsewhere = [16, 17, 18, 19, 21];
    for number in (1..=21).filter(|number| !elsewhere.contains(number)) {
        assert!(ids.contains(&format!("A{number}")), "A{number}");
    }
}

#[test]
fn triggers_that_differ_only_in_policy_share_a_reading() {
    let parse = |more: &[(&str, &str)]| {
        let base = [("source", "aws-kinesis-stream"), ("streamName", "s"), ("awsRegion", "eu-west-1")];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&all.collect()).expect("good").source
    };
    assert_eq!(parse(&[("shardCount", "1")]), parse(&[("shardCount", "9"), ("activationShardCount", "3")]));
    let age = [("scaleOn", "age"), ("applicationName", "app")];
    let with = |more: &[(&'static str, &'static str)]| parse(&age.iter().chain(more).copied().collect::<Vec<_>>());
    assert_eq!(with(&[]), with(&[("activationAgeThreshold", "2m")]));
    assert_ne!(with(&[]), with(&[("leaseTable", "other")]));
}

#[test]
fn dynamodb_streams_are_read_seldom_and_hold_no_time_in_their_numbers() {
    let parse = |more: &[(&str, &str)]| {
        let base = [
            ("source", "aws-dynamodb-streams"),
            ("tableName", "invoices"),
            ("awsRegion", "eu-west-1"),
            ("scaleOn", "age"),
            ("applicationName", "app"),
        ];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&all.collect())
    };
    let SourceRef::Application(application) = parse(&[]).expect("good").source else { panic!("an application") };
    assert_eq!(application.probe_interval, Duration::from_secs(30));
    let error = parse(&[("ageFrom", "sequenceNumber")]).expect_err("no time in the numbers");
    assert!(error.to_string().contains("is for Kinesis"), "{error}");
}

const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.v2";

/// A trigger on a Kinesis stream whose metadata names neither stream nor region.
fn kinesis(more: &[(&str, &str)]) -> (Result<Trigger, TriggerError>, String) {
    let base = [("source", "aws-kinesis-stream"), ("scaleOn", "age"), ("applicationName", "orders-app")];
    let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    (Trigger::parse(&all), metric_name(&all).to_string())
}

#[test]
fn a_stream_is_given_by_its_name_or_by_its_arn() {
    let cases: [(&[(&str, &str)], &str); 14] = [
        (&[("streamARN", STREAM_ARN)], "ok"),
        (&[("streamARN", STREAM_ARN), ("awsRegion", "eu-west-1")], "ok"),
        (&[("streamARN", STREAM_ARN), ("connection", "audit")], "ok"),
        (&[("streamARN", "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/s")], "ok"),
        (
            &[("streamARN", STREAM_ARN), ("awsRegion", "eu-west-2")],
            "awsRegion: eu-west-2 is not the region of streamARN, eu-west-1",
        ),
        (&[("streamARN", STREAM_ARN), ("streamName", "orders")], "streamARN: cannot be given together with streamName"),
        (&[("streamName", STREAM_ARN), ("awsRegion", "eu-west-1")], "is an ARN: give it as streamARN"),
        (&[("streamARN", "orders"), ("awsRegion", "eu-west-1")], "streamARN: \"orders\" must be the ARN of a stream"),
        (&[("streamARN", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders")], "must be the ARN of a stream"),
        (&[("streamARN", "arn:aws:kinesis:eu-west-1:12345:stream/orders")], "must be the ARN of a stream"),
        (
            &[("streamARN", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/c:1")],
            "must be the ARN of a stream",
        ),
        (&[("streamARN", "arn:aws:kinesis:*:123456789012:stream/orders")], "must be the ARN of a stream"),
        (&[("awsRegion", "eu-west-1")], "streamName: is required, unless streamARN is given"),
        (&[("streamName", "orders")], "awsRegion: is required"),
    ];
    for (more, expected) in cases {
        match kinesis(more).0 {
            Ok(_) => assert_eq!(expected, "ok", "{more:?}"),
            Err(error) => {
                assert_eq!(error.problems.len(), 1, "{more:?}: {error}");
                assert!(error.to_string().contains(expected), "{more:?}: {error}");
            }
        }
    }
}

#[test]
fn a_stream_by_its_arn_has_the_name_region_and_metric_that_the_arn_says() {
    let (trigger, metric) = kinesis(&[("streamARN", STREAM_ARN)]);
    let trigger = trigger.expect("good");
    assert_eq!(metric, "aws-kinesis-orders-v2-age");
    let SourceRef::Application(application) = &trigger.source else { panic!("an application") };
    assert_eq!((application.stream.stream.name(), application.stream.stream.as_given()), ("orders.v2", STREAM_ARN));
    let identity = application.stream.access.without_connection().expect("a region");
    assert_eq!(&*identity.region, "eu-west-1");
}

#[test]
fn a_table_may_be_an_arn_of_the_triggers_region() {
    let parse = |table: &str| {
        let base = [
            ("source", "aws-dynamodb-streams"),
            ("awsRegion", "eu-west-1"),
            ("scaleOn", "age"),
            ("leaseTable", "leases"),
            ("tableName", table),
        ];
        let all = base.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        (Trigger::parse(&all), metric_name(&all).to_string())
    };
    let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/invoices";
    let (trigger, metric) = parse(arn);
    assert_eq!(metric, "aws-dynamodb-streams-arn-aws-dynamodb-eu-west-1-123456789012-table-invoices-age");
    let SourceRef::Application(application) = trigger.expect("good").source else { panic!("an application") };
    assert_eq!((application.stream.stream.name(), application.stream.stream.as_given()), ("invoices", arn));
    let elsewhere = parse("arn:aws:dynamodb:eu-west-2:123456789012:table/invoices").0.expect_err("another region");
    assert_eq!(
        elsewhere.to_string(),
        "tableName: is the ARN of a table in eu-west-2, but the stream is read in eu-west-1"
    );
}

#[test]
fn a_hint_names_a_key_that_takes_the_value() {
    let hint = |key: &str, value: &str| {
        let (trigger, _) = kinesis(&[("streamName", "orders"), ("awsRegion", "eu-west-1"), (key, value)]);
        let text = trigger.expect_err(key).to_string();
        text.split("did you mean ").nth(1).map(|rest| rest.trim_end_matches('?').to_owned())
    };
    let cases = [
        ("streamNames", "orders", Some("streamName")),
        ("streamNames", STREAM_ARN, None),
        ("streamArn", STREAM_ARN, Some("streamARN")),
        ("streamArn", "orders", Some("streamName")),
        ("streamNam", STREAM_ARN, Some("streamARN")),
        ("awsRegions", "eu-west-1", Some("awsRegion")),
        ("awsRegions", "eu-west-1,eu-west-2", None),
        ("leaseTabel", "leases", Some("leaseTable")),
        ("leaseTabel", "the leases", None),
        ("checkpointStores", "dynamo", None),
        ("checkpointStores", "spring", Some("checkpointStore")),
        ("ageThreshhold", "60s", Some("ageThreshold")),
        ("ageThreshhold", "sixty", None),
    ];
    for (key, value, expected) in cases {
        assert_eq!(hint(key, value).as_deref(), expected, "{key}: {value}");
    }
}
