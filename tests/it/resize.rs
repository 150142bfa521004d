//! `resize`: writes from a scripted `CloudWatch`, shards of a real local Kinesis.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_types::Blob;
use keda_stream_scaler::lag::streams::Timestamp;
use keda_stream_scaler::source::aws::{LedgerTable, ShardChange, StreamAccount, StreamControl};
use keda_stream_scaler::telemetry::UpstreamMetrics;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{Instant, sleep};

use crate::support::aws_services::aws_services;
use crate::support::kafka::unique;
use crate::support::process::{BINARY, Ended, run_in};
use crate::support::scripted_aws::{Behaviour, ScriptedAws};
use crate::support::written_stream::{SHARD, WrittenStream};

const MINUTE_MS: u64 = 60_000;

impl WrittenStream {
    async fn resize(&self, more: &[&str]) -> Ended {
        let environment = self.environment().await;
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arguments = ["resize", "--stream", &self.name, "--region", "us-east-1", "--max", "16"];
        run_in(&environment, &[&arguments, more].concat()).await
    }

    /// What it says in JSON.
    async fn said(&self, more: &[&str]) -> Value {
        let Ended { code, stdout, stderr } = self.resize(&[&["--output", "json"], more].concat()).await;
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    async fn error(&self) -> String {
        let Ended { code, stdout, stderr } = self.resize(&["--apply"]).await;
        assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
        stderr
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_raised_when_that_is_applied_and_not_before() {
    let stream = WrittenStream::new(2, 2.0).await;
    let Ended { code, stdout, .. } = stream.resize(&[]).await;
    assert_eq!(code, Some(0));
    for line in [
        "writes fill 2.00 shards, 100 % of the capacity; 2 are open",
        "4 shards: the need is above scaleUpUtilization",
        "would call UpdateShardCount (--apply) with 4",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    assert_eq!(stream.summary().await.1, 2, "nothing was called");
    let said = stream.said(&["--once", "--apply"]).await;
    assert_eq!(said["applied"], true, "{said:#}");
    stream.wait_until_active().await;
    assert_eq!(stream.summary().await.1, 4);
    let said = stream.said(&["--apply"]).await;
    assert_eq!(said["action"], "nothing", "{said:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_count_waits_for_readers_and_goes_no_further_than_half() {
    let stream = WrittenStream::new(8, 0.4).await;
    stream.cloudwatch.readers_age(&stream.name, 400_000.0);
    let said = stream.said(&["--apply"]).await;
    assert_eq!((&said["wanted"], &said["reason"]), (&1.into(), &"ConsumersBehind".into()), "{said:#}");
    stream.cloudwatch.readers_age(&stream.name, 2_000.0);
    let said = stream.said(&["--apply"]).await;
    assert_eq!((&said["target"], &said["reason"]), (&4.into(), &"Step".into()), "{said:#}");
    stream.wait_until_active().await;
    assert_eq!(stream.summary().await.1, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_count_waits_for_a_named_application_until_it_has_read() {
    let stream = WrittenStream::new(4, 0.2).await;
    let billing = unique("billing");
    let mut first = aws_services().kcl(&billing, &stream.name, "worker-1");
    first.wait_for("start", 4).await;
    first.stop().await;
    let put = stream.kinesis.put_record().stream_name(&stream.name).partition_key("key").data(Blob::new("a record"));
    put.send().await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let flags = ["--apply", "--max-consumer-age", "2s", "--consumer", &billing];
    let said = stream.said(&flags).await;
    assert_eq!(said["reason"], "ConsumersBehind", "{said:#}");
    assert!(said["message"].as_str().unwrap().contains(&billing), "{said:#}");
    let second = aws_services().kcl(&billing, &stream.name, "worker-2");
    second.wait_for("done", 1).await;
    let begun = Instant::now();
    while stream.said(&flags).await["target"] != 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has read everything");
        sleep(Duration::from_secs(1)).await;
    }
    stream.wait_until_active().await;
    assert_eq!(stream.summary().await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_written_to_the_ledger_whose_failure_stops_none() {
    let stream = WrittenStream::new(2, 1.0).await;
    let (dynamodb, table) = (aws_services().clients().await.dynamodb, unique("ledger"));
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let text = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let create = dynamodb.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(key("streamName", KeyType::Hash)).key_schema(key("scalingDatetime", KeyType::Range));
    let create = create.attribute_definitions(text("streamName")).attribute_definitions(text("scalingDatetime"));
    create.send().await.unwrap();

    let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
    let resize = async |table: &str, from, to| {
        let control = control(&stream.name, LedgerTable::parse(table)).await;
        let change = ShardChange { at, from, to, why: "3 shards are wanted".to_owned() };
        control.resize(&change).await.unwrap();
        stream.wait_until_active().await;
    };
    resize(&table, 2, 3).await;
    resize("no-such-table", 3, 4).await;
    assert_eq!(stream.summary().await.1, 4);
    let items = dynamodb.scan().table_name(&table).send().await.unwrap().items.unwrap();
    let expected = [
        ("streamName", AttributeValue::S(stream.name.clone())),
        ("scalingDatetime", AttributeValue::S("2026-01-02T03:04:05Z".to_owned())),
        ("shardCount", AttributeValue::N("2".to_owned())),
        ("targetShardCount", AttributeValue::N("3".to_owned())),
        ("scalingType", AttributeValue::S("UNIFORM_SCALING".to_owned())),
        ("why", AttributeValue::S("3 shards are wanted".to_owned())),
        // fourteen days later
        ("expiresAt", AttributeValue::N("1768532645".to_owned())),
    ];
    assert_eq!(items, [expected.map(|(name, value)| (name.to_owned(), value)).into()]);
}

/// The stream at the local servers.
async fn control(stream: &str, ledger: Option<LedgerTable>) -> StreamControl {
    let metadata = [
        ("source", "aws-kinesis-stream"),
        ("scaleOn", "writeUtilization"),
        ("streamName", stream),
        ("awsRegion", "us-east-1"),
        ("awsEndpoint", &aws_services().endpoint().await.address),
        ("awsAccessKeyID", "test"),
        ("awsSecretAccessKey", "test"),
    ];
    let trigger = Trigger::parse(&metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
    let SourceRef::Writes(source) = trigger.source else { panic!("{:?}", trigger.source) };
    let identity = source.access.without_connection().unwrap();
    StreamAccount::new(identity, UpstreamMetrics::default(), ledger).stream(source.stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_an_error_and_no_call() {
    let stream = WrittenStream::new(2, 1.8).await;
    let rows: [(&str, &dyn Fn()); 5] = [
        ("Forbidden", &|| stream.cloudwatch.metric_status(&stream.name, "Forbidden")),
        ("PartialData", &|| stream.cloudwatch.metric_status(&stream.name, "PartialData")),
        ("InternalError", &|| stream.cloudwatch.metric_status(&stream.name, "InternalError")),
        ("CloudWatch has no data for the minute before", &|| {
            stream.cloudwatch.metric_status(&stream.name, "Complete");
            let hole = stream.cloudwatch.now() - 20 * MINUTE_MS;
            let full = move |at: u64| (hole / MINUTE_MS != at / MINUTE_MS).then_some([0.0, 1.8 * SHARD, 0.0]);
            stream.cloudwatch.written(&stream.name, full);
        }),
        ("AccessDenied", &|| stream.cloudwatch.on("GetMetricData").does(Behaviour::AccessDenied)),
    ];
    for (expected, prepare) in rows {
        prepare();
        let said = stream.error().await;
        assert!(said.starts_with("error: ") && said.contains(expected), "{expected}: {said}");
        assert!(said.contains(&stream.name), "{said}");
    }
    assert_eq!(stream.summary().await, ("ACTIVE".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_to_their_end_and_late_minutes_are_waited_for() {
    let stream = WrittenStream::new(2, 1.8).await;
    stream.cloudwatch.set_page_size("GetMetricData", 100);
    let late = stream.cloudwatch.now() - 5 * MINUTE_MS;
    stream.cloudwatch.written(&stream.name, move |at| (at < late).then_some([0.0, 1.8 * SHARD, 0.0]));
    let said = stream.said(&[]).await;
    assert_eq!((&said["wanted"], &said["target"]), (&3.into(), &3.into()), "{said:#}");
    assert_eq!(stream.cloudwatch.calls("GetMetricData"), 2 + 6, "180 minutes, and 576 points of five minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_rehearsed_beside_a_fixed_count_and_on_demand_and_nothing_is_called() {
    let stream = WrittenStream::new(8, 1.0).await;
    // four shards' worth for nine hours of each day, and half a shard's for the rest
    let day = |at: u64| if (600..1140).contains(&(at / MINUTE_MS % 1440)) { 4.0 } else { 0.5 };
    stream.cloudwatch.written(&stream.name, move |at| Some([0.0, day(at) * SHARD, 0.0]));
    let said = stream.said(&["--rehearse", "5d"]).await;
    let rows = said["rows"].as_array().unwrap();
    let hours = |row: usize| rows[row]["shardHours"].as_f64().unwrap();
    assert!((hours(0) - 8.0 * 72.0).abs() < 1.0 && (hours(1) - 5.0 * 72.0).abs() < 1.0, "{said:#}");
    assert!(hours(2) < hours(1) + 72.0 && rows[3]["dollars"].as_f64() > rows[2]["dollars"].as_f64(), "{said:#}");
    let Ended { stdout, .. } = stream.resize(&["--rehearse", "120h"]).await;
    assert!(stdout.contains("as it is, 8 shards") && stdout.contains("on demand"), "{stdout}");
    let Ended { code, stderr, .. } = stream.resize(&["--rehearse", "1h"]).await;
    assert!(code == Some(1) && stderr.contains("--rehearse must be from 3 to 15 days"), "{stderr}");
    assert_eq!(stream.summary().await.1, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_names_the_flag_and_calls_nothing() {
    let stream = WrittenStream::new(2, 1.8).await;
    for (arguments, code, expected) in [
        (&["--min", "20"][..], 1, "--min 20 is more than --max 16"),
        (&["--min", "0"], 2, "--min <SHARDS>"),
        (&["--calls-per-day", "0"], 2, "--calls-per-day <CALLS>"),
    ] {
        let ended = stream.resize(arguments).await;
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    let Ended { code, stderr, .. } =
        run_in(&[], &["resize", "--stream", "a b", "--region", "eu-west-1", "--max", "4"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("streamName"), "{stderr}");
    let Ended { code, stderr, .. } = run_in(&[], &["resize", "--stream", "orders", "--max", "4"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--region is required"), "{stderr}");
    assert_eq!(stream.cloudwatch.calls("GetMetricData"), 0);
}

/// A full stream on a scripted Kinesis, for what the local one does not do on demand.
struct Scripted(ScriptedAws);

impl Scripted {
    async fn new(shards: u32, filled: f64) -> Self {
        let aws = ScriptedAws::start().await;
        aws.create_stream("orders", shards, aws.now() - 3 * 86_400_000);
        aws.written("orders", move |_| Some([0.0, filled * SHARD, 0.0]));
        Self(aws)
    }

    async fn apply(&self) -> Ended {
        let endpoint = self.0.endpoint();
        let environment =
            [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", &*endpoint)];
        let arguments = ["resize", "--stream", "orders", "--region", "us-east-1", "--max", "64", "--apply"];
        run_in(&environment, &arguments).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_answer_is_lost_is_looked_up_and_never_repeated() {
    for behaviour in [Behaviour::LostAnswer, Behaviour::Delayed(Duration::from_secs(6))] {
        let scripted = Scripted::new(4, 3.9).await;
        scripted.0.resharding_takes("orders", 30_000);
        scripted.0.on("UpdateShardCount").does(behaviour);
        let Ended { code, stderr, .. } = scripted.apply().await;
        let calls = scripted.0.calls("UpdateShardCount");
        assert_eq!(calls, 1, "{behaviour:?}: {stderr}");
        let took_effect = behaviour == Behaviour::LostAnswer;
        assert_eq!(code, Some(i32::from(!took_effect)), "{behaviour:?}: {stderr}");
        assert_eq!(scripted.0.open_shards("orders"), if took_effect { 7 } else { 4 }, "{behaviour:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_is_an_error_and_what_the_account_has_no_room_for_is_not_called() {
    let scripted = Scripted::new(4, 3.9).await;
    scripted.0.set_shard_limit(5);
    let Ended { code, stdout, stderr } = scripted.apply().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("called UpdateShardCount with 5"), "as far as the account has room: {stdout}");
    let Ended { stdout, .. } = scripted.apply().await;
    assert!(stdout.contains("no call: "), "{stdout}");
    assert_eq!(scripted.0.calls("UpdateShardCount"), 1);
    for behaviour in [Behaviour::AccessDenied, Behaviour::Throttled] {
        let scripted = Scripted::new(4, 3.9).await;
        scripted.0.on("UpdateShardCount").does(behaviour);
        let Ended { code, stderr, .. } = scripted.apply().await;
        assert_eq!(code, Some(1), "{behaviour:?}");
        assert!(stderr.contains("could not set the shards of stream orders to 7"), "{stderr}");
        assert_eq!(scripted.0.calls("UpdateShardCount"), 1, "{behaviour:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_minute_it_looks_again_until_a_signal_ends_it() {
    let scripted = Scripted::new(4, 3.9).await;
    let endpoint = scripted.0.endpoint();
    let arguments = "resize --stream orders --region us-east-1 --max 64 --apply --every 1m --output json";
    let mut command = tokio::process::Command::new(BINARY);
    command.args(arguments.split(' ')).env_clear().stdout(Stdio::piped()).kill_on_drop(true);
    let variables = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", &*endpoint)];
    let mut child = command.envs(variables).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&first["target"], &first["applied"]), (&7.into(), &true.into()), "{first:#}");
    let second: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(second["open"], 7, "{second:#}");
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let Ended { code, stderr, .. } =
        run_in(&[], &["resize", "--stream", "orders", "--region", "eu-west-1", "--max", "4", "--every", "59s"]).await;
    assert!(code == Some(1) && stderr.contains("--every must be 1m at least"), "{stderr}");
}
