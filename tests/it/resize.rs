//! `resize`: writes from a scripted `CloudWatch`, shards of a real local Kinesis.

use std::time::Duration;

use aws_smithy_types::Blob;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::aws_services::aws_services;
use crate::support::kafka::unique;
use crate::support::process::{Ended, run_in};
use crate::support::scripted_aws::{Behaviour, ScriptedAws};

/// Records per minute that fill a shard.
const SHARD: f64 = 60_000.0;
const MINUTE_MS: u64 = 60_000;

/// A stream of the local Kinesis, and the `CloudWatch` that shows what is written to it.
struct Scene {
    stream: String,
    cloudwatch: ScriptedAws,
    kinesis: aws_sdk_kinesis::Client,
}

impl Scene {
    /// A stream of `shards` shards; the records of each minute fill `filled` of them.
    async fn new(shards: i32, filled: f64) -> Self {
        let (stream, cloudwatch) = (unique("orders"), ScriptedAws::start().await);
        let kinesis = aws_services().clients().await.kinesis;
        kinesis.create_stream().stream_name(&stream).shard_count(shards).send().await.unwrap();
        cloudwatch.written(&stream, move |_| Some([0.0, filled * SHARD, 0.0]));
        let scene = Self { stream, cloudwatch, kinesis };
        scene.wait_until_active().await;
        scene
    }

    async fn wait_until_active(&self) {
        let begun = Instant::now();
        while self.summary().await.0 != "ACTIVE" {
            assert!(begun.elapsed() < Duration::from_secs(20), "the stream does not become active");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Status and open shards.
    async fn summary(&self) -> (String, i32) {
        let summary = self.kinesis.describe_stream_summary().stream_name(&self.stream).send().await.unwrap();
        let summary = summary.stream_description_summary.unwrap();
        (summary.stream_status.as_str().to_owned(), summary.open_shard_count)
    }

    async fn resize(&self, more: &[&str]) -> Ended {
        let (services, cloudwatch) = (aws_services().endpoint().await.address, self.cloudwatch.endpoint());
        let environment = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL_KINESIS", &*services),
            ("AWS_ENDPOINT_URL_DYNAMODB", &*services),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", &*cloudwatch),
        ];
        let arguments = ["resize", "--stream", &self.stream, "--region", "us-east-1", "--max", "16"];
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
    let scene = Scene::new(2, 2.0).await;
    let Ended { code, stdout, .. } = scene.resize(&[]).await;
    assert_eq!(code, Some(0));
    for line in [
        "writes fill 2.00 shards, 100 % of the capacity; 2 are open",
        "4 shards: the need is above scaleUpUtilization",
        "would call UpdateShardCount (--apply) with 4",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    assert_eq!(scene.summary().await.1, 2, "nothing was called");
    let said = scene.said(&["--apply"]).await;
    assert_eq!(said["applied"], true, "{said:#}");
    scene.wait_until_active().await;
    assert_eq!(scene.summary().await.1, 4);
    let said = scene.said(&["--apply"]).await;
    assert_eq!(said["action"], "nothing", "{said:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_count_waits_for_readers_and_goes_no_further_than_half() {
    let scene = Scene::new(8, 0.4).await;
    scene.cloudwatch.readers_age(&scene.stream, 400_000.0);
    let said = scene.said(&["--apply"]).await;
    assert_eq!((&said["wanted"], &said["reason"]), (&1.into(), &"ConsumersBehind".into()), "{said:#}");
    scene.cloudwatch.readers_age(&scene.stream, 2_000.0);
    let said = scene.said(&["--apply"]).await;
    assert_eq!((&said["target"], &said["reason"]), (&4.into(), &"Step".into()), "{said:#}");
    scene.wait_until_active().await;
    assert_eq!(scene.summary().await.1, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_count_waits_for_a_named_application_until_it_has_read() {
    let scene = Scene::new(4, 0.2).await;
    let (billing, stream) = (unique("billing"), scene.stream.clone());
    let mut first = aws_services().kcl(&billing, &stream, "worker-1");
    first.wait_for("start", 4).await;
    first.stop().await;
    let put = scene.kinesis.put_record().stream_name(&stream).partition_key("key").data(Blob::new("a record"));
    put.send().await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let flags = ["--apply", "--max-consumer-age", "2s", "--consumer", &billing];
    let said = scene.said(&flags).await;
    assert_eq!(said["reason"], "ConsumersBehind", "{said:#}");
    assert!(said["message"].as_str().unwrap().contains(&billing), "{said:#}");
    let second = aws_services().kcl(&billing, &stream, "worker-2");
    second.wait_for("done", 1).await;
    let begun = Instant::now();
    while scene.said(&flags).await["target"] != 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has read everything");
        sleep(Duration::from_secs(1)).await;
    }
    scene.wait_until_active().await;
    assert_eq!(scene.summary().await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_an_error_and_no_call() {
    let scene = Scene::new(2, 1.8).await;
    let rows: [(&str, &dyn Fn()); 5] = [
        ("Forbidden", &|| scene.cloudwatch.metric_status(&scene.stream, "Forbidden")),
        ("PartialData", &|| scene.cloudwatch.metric_status(&scene.stream, "PartialData")),
        ("InternalError", &|| scene.cloudwatch.metric_status(&scene.stream, "InternalError")),
        ("CloudWatch has no data for the minute before", &|| {
            scene.cloudwatch.metric_status(&scene.stream, "Complete");
            let hole = scene.cloudwatch.now() - 20 * MINUTE_MS;
            let full = move |at: u64| (hole / MINUTE_MS != at / MINUTE_MS).then_some([0.0, 1.8 * SHARD, 0.0]);
            scene.cloudwatch.written(&scene.stream, full);
        }),
        ("AccessDenied", &|| scene.cloudwatch.on("GetMetricData").does(Behaviour::AccessDenied)),
    ];
    for (expected, prepare) in rows {
        prepare();
        let said = scene.error().await;
        assert!(said.starts_with("error: ") && said.contains(expected), "{expected}: {said}");
        assert!(said.contains(&scene.stream), "{said}");
    }
    assert_eq!(scene.summary().await, ("ACTIVE".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_to_their_end_and_late_minutes_are_waited_for() {
    let scene = Scene::new(2, 1.8).await;
    scene.cloudwatch.set_page_size("GetMetricData", 100);
    let late = scene.cloudwatch.now() - 5 * MINUTE_MS;
    scene.cloudwatch.written(&scene.stream, move |at| (at < late).then_some([0.0, 1.8 * SHARD, 0.0]));
    let said = scene.said(&[]).await;
    assert_eq!((&said["wanted"], &said["target"]), (&3.into(), &3.into()), "{said:#}");
    assert_eq!(scene.cloudwatch.calls("GetMetricData"), 2 + 6, "180 minutes, and 576 points of five minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_rehearsed_beside_a_fixed_count_and_on_demand_and_nothing_is_called() {
    let scene = Scene::new(8, 1.0).await;
    // four shards' worth for nine hours of each day, and half a shard's for the rest
    let day = |at: u64| if (600..1140).contains(&(at / MINUTE_MS % 1440)) { 4.0 } else { 0.5 };
    scene.cloudwatch.written(&scene.stream, move |at| Some([0.0, day(at) * SHARD, 0.0]));
    let said = scene.said(&["--rehearse", "120h"]).await;
    let rows = said["rows"].as_array().unwrap();
    let hours = |row: usize| rows[row]["shardHours"].as_f64().unwrap();
    assert!((hours(0) - 8.0 * 72.0).abs() < 1.0 && (hours(1) - 5.0 * 72.0).abs() < 1.0, "{said:#}");
    assert!(hours(2) < hours(1) + 72.0 && rows[3]["dollars"].as_f64() > rows[2]["dollars"].as_f64(), "{said:#}");
    let Ended { stdout, .. } = scene.resize(&["--rehearse", "120h"]).await;
    assert!(stdout.contains("as it is, 8 shards") && stdout.contains("on demand"), "{stdout}");
    let Ended { code, stderr, .. } = scene.resize(&["--rehearse", "1h"]).await;
    assert!(code == Some(1) && stderr.contains("--rehearse must be from 3 to 15 days"), "{stderr}");
    assert_eq!(scene.summary().await.1, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_names_the_flag_and_calls_nothing() {
    let scene = Scene::new(2, 1.8).await;
    for (arguments, code, expected) in [
        (&["--min", "20"][..], 1, "--min 20 is more than --max 16"),
        (&["--min", "0"], 2, "--min <SHARDS>"),
        (&["--calls-per-day", "0"], 2, "--calls-per-day <CALLS>"),
    ] {
        let ended = scene.resize(arguments).await;
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
    assert_eq!(scene.cloudwatch.calls("GetMetricData"), 0);
}
