//! Kinesis and DynamoDB Streams through the scaler's own adapter, against a server that does what no emulator does.

mod cost;
mod dynamodb;
mod stores;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::streams::{AgeBasis, Backlog};
use keda_stream_scaler::lag::{ApplicationObservation, Observation, Observe as _, SourceError, SourceErrorKind};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use serde_json::json;

use crate::support::scripted_aws::{Behaviour, ScriptedAws};

const APPLICATION: &str = "orders-app";
/// Checkpoints are shared for so long.
const NEXT_ROUND: Duration = Duration::from_millis(1100);

type Keys<'a> = &'a [(&'a str, &'a str)];

/// A stream with an application, as the scaler sees them.
struct Scene {
    aws: ScriptedAws,
    sources: Sources,
    metadata: HashMap<String, String>,
}

fn permissive() -> Connections {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "metadata: [{{namespaces: ['*'], awsEndpoints: ['http://127.0.0.1:*']}}]").unwrap();
    Connections::read(file.path()).unwrap()
}

impl Scene {
    async fn new(source: &str, more: &[(&str, &str)]) -> Self {
        let aws = ScriptedAws::start().await;
        let endpoint = aws.endpoint();
        let base = [
            ("source", source),
            ("awsRegion", "eu-west-1"),
            ("awsEndpoint", &endpoint),
            ("awsAccessKeyIDFromEnv", "AKIDEXAMPLE"),
            ("awsSecretAccessKeyFromEnv", "a-secret"),
        ];
        let metadata = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { aws, sources: Sources::new(permissive(), UpstreamMetrics::default()), metadata }
    }

    /// An application on a Kinesis stream of so many shards, with an empty lease table.
    async fn kinesis(shards: u32, more: &[(&str, &str)]) -> (Self, Vec<String>) {
        let base = [("scaleOn", "age"), ("streamName", "orders"), ("applicationName", APPLICATION)];
        let all: Vec<_> = base.iter().chain(more).copied().collect();
        let scene = Self::new("aws-kinesis-stream", &all).await;
        let shards = scene.aws.create_stream("orders", shards, scene.ago(86_000));
        scene.aws.create_table(APPLICATION, "leaseKey");
        (scene, shards)
    }

    fn ago(&self, seconds: u64) -> u64 {
        self.aws.now() - seconds * 1000
    }

    /// A row as KCL writes it.
    fn lease(&self, shard: &str, checkpoint: &str) {
        let row = json!({
            "leaseKey": {"S": shard}, "checkpoint": {"S": checkpoint}, "leaseCounter": {"N": "7"},
            "leaseOwner": {"S": "worker-1"}, "checkpointSubSequenceNumber": {"N": "0"},
        });
        self.aws.put_item(APPLICATION, &row);
    }

    async fn observe(&self) -> Result<Observation, SourceError> {
        let source = Arc::new(Trigger::parse(&self.metadata).unwrap().source);
        let backend = self.sources.admit("shop", &source)?;
        let outcome = Arc::new(Mutex::new(None));
        let into = outcome.clone();
        let report = Arc::new(move |_: &_, observed| *into.lock().unwrap() = Some(observed));
        self.sources.observe(&backend, vec![source], report).await;
        let outcome = outcome.lock().unwrap().take();
        outcome.expect("the source is reported")
    }

    async fn application(&self) -> ApplicationObservation {
        match self.observe().await {
            Ok(Observation::Application(application)) => application,
            other => panic!("{other:?}"),
        }
    }

    async fn age(&self) -> f64 {
        self.application().await.survey.age().as_secs_f64()
    }

    /// Open and closed shards.
    async fn shards(&self) -> (u64, u64) {
        match self.observe().await {
            Ok(Observation::Shards(shards)) => (shards.open, shards.closed),
            other => panic!("{other:?}"),
        }
    }
}

/// Within the time that a test takes.
#[track_caller]
fn assert_about(age: f64, expected: f64) {
    assert!((expected - 0.01..expected + 5.0).contains(&age), "{age} s, {expected} s expected");
}

// === how many shards ===

#[tokio::test]
async fn the_open_shards_of_a_stream_are_counted_before_and_after_a_split() {
    let scene = Scene::new("aws-kinesis-stream", &[("streamName", "orders"), ("shardCount", "1")]).await;
    let shards = scene.aws.create_stream("orders", 2, scene.ago(1000));
    assert_eq!(scene.shards().await, (2, 0));
    scene.aws.split_shard("orders", &shards[0], scene.ago(10));
    let later = Scene { sources: Sources::new(permissive(), UpstreamMetrics::default()), ..scene };
    assert_eq!(later.shards().await, (3, 1));
}

#[tokio::test]
async fn a_stream_is_read_by_its_arn_with_every_call() {
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
    let more = [("awsRegion", "us-east-1"), ("scaleOn", "age"), ("streamARN", arn), ("applicationName", APPLICATION)];
    let scene = Scene::new("aws-kinesis-stream", &more).await;
    let shards = scene.aws.create_stream("orders", 3, scene.ago(86_000));
    scene.aws.create_table(APPLICATION, "leaseKey");
    scene.aws.set_page_size("ListShards", 2);
    scene.aws.put_record("orders", &shards[2], scene.ago(600));
    scene.lease(&shards[2], "TRIM_HORIZON");
    assert_about(scene.age().await, 600.0);
    for operation in ["DescribeStreamSummary", "GetShardIterator", "GetRecords"] {
        let inputs = scene.aws.inputs(operation);
        assert!(!inputs.is_empty(), "{operation}");
        for input in inputs {
            assert_eq!(
                (input["StreamARN"].as_str(), input.get("StreamName")),
                (Some(arn), None),
                "{operation}: {input}"
            );
        }
    }
    // beside a token, which stands for the stream that it came with, Kinesis takes no other name of it
    let lists: Vec<_> = scene.aws.inputs("ListShards");
    let named: Vec<_> = lists.iter().map(|input| input["StreamARN"].as_str()).collect();
    assert_eq!(named, [Some(arn), None]);
}

#[tokio::test]
async fn the_open_shards_of_a_tables_stream_are_counted_over_all_pages() {
    let scene = Scene::new("aws-dynamodb-streams", &[("tableName", "invoices")]).await;
    scene.aws.create_table("invoices", "id");
    let arn = scene.aws.create_table_stream("invoices", scene.ago(5000));
    scene.aws.set_page_size("DescribeStream", 2);
    let first = scene.aws.open_change_shard(&arn, None, scene.ago(4000));
    scene.aws.open_change_shard(&arn, None, scene.ago(3900));
    scene.aws.close_change_shard(&arn, &first);
    scene.aws.open_change_shard(&arn, Some(&first), scene.ago(2000));
    scene.aws.open_change_shard(&arn, None, scene.ago(1900));
    assert_eq!(scene.shards().await, (3, 1));
}

#[tokio::test]
async fn a_missing_stream_is_an_error_and_never_a_count() {
    let scene = Scene::new("aws-kinesis-stream", &[("streamName", "orders")]).await;
    let error = scene.observe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing);
    assert!(error.chain().contains("ResourceNotFoundException"), "{}", error.chain());
}

// === how old the oldest unread record is ===

#[tokio::test]
async fn the_age_is_that_of_the_first_record_after_the_checkpoint() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.aws.put_record("orders", &shards[0], scene.ago(500));
    scene.lease(&shards[0], &done);
    assert_about(scene.age().await, 600.0);
}

#[tokio::test]
async fn the_age_is_the_highest_of_all_shards() {
    let (scene, shards) = Scene::kinesis(3, &[]).await;
    for (shard, ago) in shards.iter().zip([300, 900, 600]) {
        scene.aws.put_record("orders", shard, scene.ago(ago));
        scene.lease(shard, "TRIM_HORIZON");
    }
    assert_about(scene.age().await, 900.0);
}

#[tokio::test]
async fn an_application_that_has_read_everything_has_age_zero() {
    let (scene, shards) = Scene::kinesis(2, &[]).await;
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(700));
    scene.lease(&shards[0], &done);
    scene.lease(&shards[1], "TRIM_HORIZON");
    let survey = scene.application().await.survey;
    assert_eq!(survey.age(), Duration::ZERO);
    assert!(survey.shards.iter().all(|report| report.backlog == Backlog::CaughtUp), "{survey:?}");
}

#[tokio::test]
async fn an_application_that_keeps_up_costs_no_read() {
    let (scene, shards) = Scene::kinesis(4, &[]).await;
    for shard in &shards {
        let done = scene.aws.put_record("orders", shard, scene.ago(20));
        scene.aws.put_record("orders", shard, scene.ago(10));
        scene.lease(shard, &done);
    }
    let survey = scene.application().await.survey;
    assert_eq!(survey.oldest().unwrap().2, AgeBasis::SequenceNumber);
    assert!((10.0..30.0).contains(&survey.age().as_secs_f64()), "{:?}", survey.age());
    assert_eq!((scene.aws.calls("GetRecords"), scene.aws.calls("GetShardIterator")), (0, 0));
}

#[tokio::test]
async fn records_are_not_read_again_while_the_application_stands_still() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], "TRIM_HORIZON");
    for _ in 0..3 {
        assert_about(scene.age().await, 600.0);
    }
    assert_eq!(scene.aws.calls("GetRecords"), 1);
}

#[tokio::test]
async fn a_new_record_of_an_idle_application_is_seen_in_the_next_round() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.lease(&shards[0], "TRIM_HORIZON");
    assert!(scene.age().await < 0.001);
    scene.aws.put_record("orders", &shards[0], scene.ago(1));
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 1.0);
    assert_eq!(scene.aws.calls("GetShardIterator"), 1, "the iterator of the empty read is gone on with");
}

#[tokio::test]
async fn a_packed_record_counts_as_unread_until_its_last_user_record_is_processed() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let packed = scene.aws.put_packed_record("orders", &shards[0], scene.ago(600), 3);
    for (index, expected) in [(0, 600.0), (1, 600.0), (2, 0.0)] {
        let row = json!({
            "leaseKey": {"S": shards[0]}, "checkpoint": {"S": packed}, "checkpointSubSequenceNumber": {"N": index.to_string()},
        });
        scene.aws.put_item(APPLICATION, &row);
        assert_about(scene.age().await, expected);
        tokio::time::sleep(NEXT_ROUND).await;
    }
}

#[tokio::test]
async fn a_stream_of_large_records_is_read_less_often() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.set_max_record_size("orders", 10_240);
    scene.lease(&shards[0], "TRIM_HORIZON");
    for _ in 0..3 {
        assert!(scene.age().await < 0.001);
        tokio::time::sleep(NEXT_ROUND).await;
    }
    assert_eq!(scene.aws.calls("GetRecords"), 1, "one such record takes five seconds of what the shard gives");
}

// === lineage ===

#[tokio::test]
async fn a_child_is_not_read_before_its_parent_is_finished_and_is_then_without_a_lease() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(900));
    scene.aws.put_record("orders", &shards[0], scene.ago(800));
    let children = scene.aws.split_shard("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &children[0], scene.ago(600));
    scene.lease(&shards[0], &done);
    assert_about(scene.age().await, 800.0);
    assert_eq!(scene.aws.calls_of("GetRecords", &children[0]), 0);
    scene.lease(&shards[0], "SHARD_END");
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 600.0);
}

#[tokio::test]
async fn what_a_stopped_application_left_unread_behind_a_drained_parent_counts() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let last = scene.aws.put_record("orders", &shards[0], scene.ago(900));
    let children = scene.aws.split_shard("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &children[1], scene.ago(500));
    scene.lease(&shards[0], &last);
    assert_about(scene.age().await, 500.0);
}

#[tokio::test]
async fn the_end_of_a_shard_that_was_listed_as_open_makes_its_children_known_at_once() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let last = scene.aws.put_record("orders", &shards[0], scene.ago(900));
    scene.lease(&shards[0], &last);
    assert!(scene.age().await < 0.001);
    // nobody runs, so no checkpoint tells of it
    let children = scene.aws.split_shard("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &children[1], scene.ago(500));
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 500.0);
    for _ in 0..2 {
        tokio::time::sleep(NEXT_ROUND).await;
        assert_about(scene.age().await, 500.0);
    }
    assert_eq!(scene.aws.calls("ListShards"), 2, "once more, not in each round");
}

#[tokio::test]
async fn a_merged_shard_waits_for_both_of_its_parents() {
    let (scene, shards) = Scene::kinesis(2, &[]).await;
    scene.aws.put_record("orders", &shards[1], scene.ago(400));
    let merged = scene.aws.merge_shards("orders", &shards[0], &shards[1], scene.ago(300));
    scene.aws.put_record("orders", &merged, scene.ago(200));
    scene.lease(&shards[0], "SHARD_END");
    scene.lease(&shards[1], "TRIM_HORIZON");
    assert_about(scene.age().await, 400.0);
    scene.lease(&shards[1], "SHARD_END");
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 200.0);
}

// === applications that have not run ===

#[tokio::test]
async fn without_a_lease_table_the_initial_position_tells_what_is_unread() {
    for (position, expected) in [("TRIM_HORIZON", 5000.0), ("LATEST", 0.0)] {
        let (scene, shards) = Scene::kinesis(1, &[("leaseTable", "not-yet"), ("initialPosition", position)]).await;
        scene.aws.put_record("orders", &shards[0], scene.ago(5000));
        assert_about(scene.age().await, expected);
    }
}

#[tokio::test]
async fn with_latest_what_has_come_since_the_first_look_is_unread() {
    let (scene, shards) = Scene::kinesis(1, &[("initialPosition", "LATEST"), ("activationAgeThreshold", "1s")]).await;
    let survey = scene.application().await.survey;
    assert_eq!(survey.age(), Duration::ZERO, "{survey:?}");
    tokio::time::sleep(NEXT_ROUND).await;
    scene.aws.put_record("orders", &shards[0], scene.aws.now());
    tokio::time::sleep(NEXT_ROUND).await;
    assert!(scene.age().await > 1.0);
}

// === what goes wrong ===

#[tokio::test]
async fn empty_pages_are_followed_until_the_records_behind_them() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.aws.set_empty_pages("orders", &shards[0], 2);
    scene.lease(&shards[0], "TRIM_HORIZON");
    assert_about(scene.age().await, 600.0);
    scene.aws.assert_rate("GetRecords", Some(&shards[0]), 1);
}

#[tokio::test]
async fn a_complaint_is_an_error_and_makes_no_more_calls_for_a_while() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], "TRIM_HORIZON");
    scene.aws.on("Kinesis.GetRecords").does(Behaviour::Throttled);
    assert_eq!(scene.observe().await.unwrap_err().kind(), SourceErrorKind::Throttled);
    tokio::time::sleep(NEXT_ROUND).await;
    assert_eq!(scene.observe().await.unwrap_err().kind(), SourceErrorKind::Throttled);
    assert_eq!(scene.aws.calls("GetRecords"), 1, "the second round held back");
    scene.aws.forget_script();
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 600.0);
}

#[tokio::test]
async fn each_trouble_of_aws_is_an_error_of_its_kind() {
    let cases = [
        ("Kinesis.ListShards", Behaviour::AccessDenied, SourceErrorKind::Denied),
        ("Kinesis.GetRecords", Behaviour::AccessDenied, SourceErrorKind::Denied),
        ("DynamoDB.Scan", Behaviour::AccessDenied, SourceErrorKind::Denied),
        ("DynamoDB.Scan", Behaviour::ExpiredToken, SourceErrorKind::Denied),
        ("DynamoDB.Scan", Behaviour::Throttled, SourceErrorKind::Throttled),
        ("Kinesis.DescribeStreamSummary", Behaviour::AccessDenied, SourceErrorKind::Denied),
        ("Kinesis.ListShards", Behaviour::InternalFailure, SourceErrorKind::Broken),
        ("Kinesis.GetRecords", Behaviour::Silent, SourceErrorKind::TimedOut),
        ("DynamoDB.Scan", Behaviour::Closed, SourceErrorKind::Unreachable),
    ];
    for (operation, behaviour, kind) in cases {
        let (scene, shards) = Scene::kinesis(1, &[]).await;
        scene.lease(&shards[0], "TRIM_HORIZON");
        let what = format!("{operation} {behaviour:?}");
        scene.aws.on(operation).does(behaviour);
        let error = scene.observe().await.expect_err(&what);
        assert_eq!(error.kind(), kind, "{what}: {}", error.chain());
        assert!(!error.chain().contains("a-secret"));
    }
}

#[tokio::test]
async fn an_age_does_not_wait_for_the_retention() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], "TRIM_HORIZON");
    scene.aws.on("Kinesis.DescribeStreamSummary").does(Behaviour::Throttled);
    let application = scene.application().await;
    assert_about(application.survey.age().as_secs_f64(), 600.0);
    assert_eq!(application.retention, None);
}

#[tokio::test]
async fn an_expired_iterator_is_made_again() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.lease(&shards[0], "TRIM_HORIZON");
    scene.aws.expire_iterators_after(1500);
    assert!(scene.age().await < 0.001);
    scene.aws.put_record("orders", &shards[0], scene.ago(1));
    tokio::time::sleep(NEXT_ROUND * 2).await;
    assert_about(scene.age().await, 1.0);
    assert_eq!(scene.aws.calls("GetShardIterator"), 2);
}

#[tokio::test]
async fn checkpoints_of_a_stream_that_was_recreated_are_an_error_that_names_both() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    let old = scene.aws.put_record("orders", &shards[0], scene.ago(700));
    scene.lease(&shards[0], &old);
    scene.aws.delete_stream("orders");
    scene.aws.create_stream("orders", 1, scene.ago(100));
    let error = scene.observe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Missing);
    let text = error.chain();
    assert!(text.contains("is of a shard created at") && text.contains("if the stream was recreated"), "{text}");
    assert_eq!(scene.aws.calls("GetRecords"), 0);
}

#[tokio::test]
async fn a_wrong_clock_of_this_machine_does_not_change_ages() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.skew_clock(3600);
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], "TRIM_HORIZON");
    assert_about(scene.age().await, 600.0);
}

#[tokio::test]
async fn rows_that_are_no_leases_are_left_out_and_broken_ones_are_an_error() {
    let (scene, shards) = Scene::kinesis(1, &[]).await;
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], "TRIM_HORIZON");
    scene.aws.put_item(APPLICATION, &json!({"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}}));
    assert_about(scene.age().await, 600.0);
    scene.aws.put_item(APPLICATION, &json!({"leaseKey": {"S": "shardId-000000000009"}}));
    tokio::time::sleep(NEXT_ROUND).await;
    let error = scene.observe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Broken);
    assert!(error.chain().contains("has no checkpoint"), "{}", error.chain());
}

// === who may ===

#[test]
fn roles_and_endpoints_are_used_only_where_the_operator_allows_them() {
    let rules = "metadata:
- {namespaces: [team-a], awsRoleArns: ['arn:aws:iam::1:role/a-*'], awsEndpoints: ['http://127.0.0.1:*']}
- {namespaces: ['*']}
connections:
  audit: {namespaces: [audit], aws: {awsRegion: eu-west-1, awsRoleArn: 'arn:aws:iam::2:role/audit', awsExternalId: x}}
  kafka: {namespaces: ['*'], kafka: {bootstrapServers: 'b:9092'}}
";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.as_bytes()).unwrap();
    let sources = Sources::new(Connections::read(file.path()).unwrap(), UpstreamMetrics::default());
    let cases: [(&str, Keys, Option<&str>); 9] = [
        ("any", &[("awsRegion", "eu-west-1")], None),
        ("team-a", &[("awsRegion", "eu-west-1"), ("awsRoleArn", "arn:aws:iam::1:role/a-1")], None),
        ("team-a", &[("awsRegion", "eu-west-1"), ("awsRoleArn", "arn:aws:iam::1:role/b")], Some("awsRoleArns")),
        ("any", &[("awsRegion", "eu-west-1"), ("awsRoleArn", "arn:aws:iam::1:role/a-1")], Some("awsRoleArns")),
        ("any", &[("awsRegion", "eu-west-1"), ("awsEndpoint", "http://127.0.0.1:1")], Some("awsEndpoints")),
        ("audit", &[("connection", "audit")], None),
        ("audit", &[("connection", "audit"), ("awsRegion", "us-east-1")], Some("leave awsRegion out")),
        ("any", &[("connection", "audit")], Some("has no access to a connection named audit")),
        ("any", &[("connection", "kafka")], Some("does not lead to AWS")),
    ];
    for (namespace, more, refused) in cases {
        let base = [("source", "aws-kinesis-stream"), ("streamName", "orders")];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let source = Trigger::parse(&all.collect()).unwrap().source;
        match (sources.admit(namespace, &source), refused) {
            (Ok(_), None) => {}
            (Err(error), Some(text)) => {
                assert_eq!(error.kind(), SourceErrorKind::Denied);
                assert!(error.chain().contains(text), "{namespace} {more:?}: {}", error.chain());
            }
            (outcome, expected) => panic!("{namespace} {more:?}: {outcome:?} {expected:?}"),
        }
    }
}
