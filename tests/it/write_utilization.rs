//! `scaleOn: writeUtilization`: writes from a scripted `CloudWatch`, shards of a real local Kinesis.

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use serde_json::{Value, json};
use tonic::Code;

use crate::aws_rights::told_rights;
use crate::support::explain::{explain, failure};
use crate::support::process::{Ended, Serving, run};
use crate::support::scripted_aws::{Behaviour, ScriptedAws};
use crate::support::server::metrics_of;
use crate::support::written_stream::WrittenStream;

const MINUTE_MS: u64 = 60_000;

fn metadata<'a>(stream: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let base = [
        ("scalerAddress", "scaler:50051"),
        ("source", "aws-kinesis-stream"),
        ("streamName", stream),
        ("awsRegion", "us-east-1"),
        ("scaleOn", "writeUtilization"),
    ];
    [&base, more].concat()
}

/// The rules of a scaler whose operator has set none.
fn no_rules() -> Value {
    json!({})
}

impl WrittenStream {
    async fn explained(&self, more: &[(&str, &str)]) -> Value {
        let environment = self.environment().await;
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        explain(&environment, &no_rules(), &metadata(&self.name, more)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_is_the_shards_that_are_needed_and_every_number_behind_it_is_shown() {
    let stream = WrittenStream::new(2, 2.0).await;
    let explained = stream.explained(&[]).await;
    let decision = &explained["decision"];
    assert_eq!(
        (&decision["value"], &decision["target"], &decision["active"]),
        (&4.0.into(), &1.0.into(), &true.into())
    );
    let words = explained["stepsInWords"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
    let words: Vec<_> = words.collect();
    for expected in [
        "writes fill 2.00 shards, 100 % of the capacity; 2 are open",
        "needed soon: 2.00 shards",
        "0.00 % of the records were throttled within 5 min",
        "4 shards: the need is above scaleUpUtilization",
    ] {
        assert!(words.iter().any(|words| words.contains(expected)), "{expected}: {words:#?}");
    }
    // the same writes are within other limits
    let explained = stream.explained(&[("targetUtilization", "0.5"), ("scaleUpUtilization", "0.55")]).await;
    assert_eq!(explained["decision"]["value"], 4.0, "{explained:#}");
    stream.fill(0.0);
    let explained = stream.explained(&[("lookAhead", "0")]).await;
    assert_eq!(explained["decision"]["value"], 1.0, "an idle stream needs one shard: {explained:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_an_error_that_names_the_stream() {
    let stream = WrittenStream::new(2, 1.0).await;
    stream.cloudwatch.metric_status(&stream.name, "Forbidden");
    let explained = stream.explained(&[]).await;
    let (_, message) = failure(&explained);
    assert!(message.contains("Forbidden") && message.contains(&stream.name), "{message}");
    stream.cloudwatch.metric_status(&stream.name, "Complete");
    let hole = stream.cloudwatch.now() - 20 * MINUTE_MS;
    stream
        .cloudwatch
        .written(&stream.name, move |at| (hole / MINUTE_MS != at / MINUTE_MS).then_some([0.0, 60_000.0, 0.0]));
    let explained = stream.explained(&[]).await;
    let (_, message) = failure(&explained);
    assert!(message.contains("CloudWatch has no data for the minute before"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_demand_is_an_error_that_names_the_mode() {
    let aws = ScriptedAws::start().await;
    aws.create_stream("orders", 4, aws.now());
    aws.set_on_demand("orders");
    aws.written("orders", |_| Some([0.0, 60_000.0, 0.0]));
    let endpoint = aws.endpoint();
    let environment = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", &*endpoint)];
    let explained = explain(&environment, &no_rules(), &metadata("orders", &[])).await;
    let (_, message) = failure(&explained);
    assert!(message.contains("on-demand mode"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keda_is_answered_from_memory_and_one_reading_serves_every_policy() {
    let stream = WrittenStream::new(4, 1.0).await;
    let environment = stream.environment().await;
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let connections = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&connections, no_rules().to_string()).unwrap();
    let path = connections.path().to_str().unwrap();
    let serving = Serving::start_in("127.0.0.1:0", &environment, &["--connections", path]).await;
    let object = |name: &str| ScaledObjectRef {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        scaler_metadata: metadata(&stream.name, &[])
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    };
    let mut client = serving.client().await;
    for _ in 0..20 {
        let answer = client.get_metrics(metrics_of(&object("orders"), "")).await.unwrap().into_inner();
        let [value] = &answer.metric_values[..] else { panic!("{answer:?}") };
        assert!((value.metric_value_float - 2.0).abs() < 1e-9, "a quarter is used, so half is enough: {value:?}");
        assert_eq!(value.metric_name, format!("aws-kinesis-{}-write-utilization", stream.name));
        assert!(client.is_active(object("orders")).await.unwrap().into_inner().result);
    }
    assert_eq!(stream.cloudwatch.calls("GetMetricData"), 2, "minutes, and the two days before them");
    let metrics = serving.get("/metrics").await.1;
    for (name, expected) in
        [("open_shards", 4.0), ("filled_shards", 1.0), ("capacity_shards", 4.0), ("throttled_ratio", 0.0)]
    {
        let line = metrics.lines().find(|line| line.starts_with(&format!("stream_scaler_{name}{{"))).unwrap();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((value - expected).abs() < 0.01, "{line}");
    }
    stream.cloudwatch.on("GetMetricData").does(Behaviour::AccessDenied);
    let other = ScaledObjectRef {
        scaler_metadata: metadata(&stream.name, &[("awsEndpoint", ""), ("lookAhead", "0")])
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ..object("others")
    };
    assert!(client.get_metrics(metrics_of(&other, "")).await.is_ok(), "another policy shares the reading");
    let wrong = ScaledObjectRef {
        scaler_metadata: metadata("nowhere", &[]).iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..object("nowhere")
    };
    let error = client.get_metrics(metrics_of(&wrong, "")).await.unwrap_err();
    assert_ne!(error.code(), Code::Ok);
    assert!(error.message().contains("nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_docs_are_those_that_are_used_and_an_error_names_the_one_that_is_missing() {
    for right in told_rights("aws-kinesis-stream", "writeUtilization") {
        let operation = right.split(':').nth(1).unwrap();
        let aws = ScriptedAws::start().await;
        aws.create_stream("orders", 4, aws.now());
        let endpoint = aws.endpoint();
        let environment =
            [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", &*endpoint)];
        let explained = explain(&environment, &no_rules(), &metadata("orders", &[])).await;
        assert_eq!(explained["outcome"], "valued", "{explained:#}");
        assert!(aws.calls(operation) > 0, "{operation}");
        aws.on(operation).does(Behaviour::AccessDenied);
        let explained = explain(&environment, &no_rules(), &metadata("orders", &[])).await;
        let (code, message) = failure(&explained);
        assert!(code == "FAILED_PRECONDITION" && message.contains("AccessDenied"), "{operation}: {code} {message}");
    }
}

#[tokio::test]
async fn a_scaled_object_of_a_stream_is_checked_for_what_a_stream_cannot_be() {
    let checked = async |target: &str, spec: &str, metric_type: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let trigger = "{scalerAddress: \"s:1\", source: aws-kinesis-stream, streamName: orders, awsRegion: eu-west-1, scaleOn: writeUtilization}";
        let text = format!(
            "kind: ScaledObject\nmetadata: {{name: orders}}\nspec:\n  scaleTargetRef: {{kind: {target}, name: orders}}\n{spec}\n  \
             triggers:\n    - type: external\n{metric_type}\n      metadata: {trigger}\n"
        );
        std::fs::write(&file, text).unwrap();
        let Ended { code, stdout, stderr } = run(&["validate", file.path().to_str().unwrap()]).await;
        (code, format!("{stdout}{stderr}"))
    };
    let bounds = "  minReplicaCount: 1\n  maxReplicaCount: 64";
    let fails = "{failureThreshold: 3, replicas: 4}";
    let (code, said) = checked("KinesisStream", bounds, "").await;
    assert!(
        code == Some(0) && said.contains("good, metric s0-aws-kinesis-orders-write-utilization with target 1"),
        "{said}"
    );
    for (target, spec, metric_type, code, expected) in [
        ("KinesisStream", "  maxReplicaCount: 64", "", 1, "minReplicaCount: a stream cannot have 0 shards"),
        ("KinesisStream", bounds, "      metricType: Value", 1, "metricType: a stream has no pods"),
        ("KinesisStream", "  minReplicaCount: 1", "", 0, "maxReplicaCount is 100, as without a line"),
        ("Deployment", bounds, "", 0, "scaleTargetRef is to be a KinesisStream"),
        (
            "KinesisStream",
            &format!("{bounds}\n  fallback: {fails}"),
            "",
            1,
            "fallback: would set the stream to 4 shards",
        ),
        (
            "KinesisStream",
            &format!("{bounds}\n  fallback: {{failureThreshold: 3, replicas: 4, behavior: currentReplicasIfHigher}}"),
            "",
            0,
            "good",
        ),
    ] {
        let (ended, said) = checked(target, spec, metric_type).await;
        assert!(ended == Some(code) && said.contains(expected), "{expected}: {ended:?} {said}");
    }
}

#[tokio::test]
async fn a_kinesis_stream_is_checked_as_the_api_server_and_the_controller_do() {
    let checked = async |spec: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "kind: KinesisStream\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  {}\n",
            spec.replace("; ", "\n  ")
        );
        std::fs::write(&file, text).unwrap();
        let path = file.path().to_str().unwrap();
        let Ended { code, stdout, stderr } = run(&["validate", path]).await;
        (code, format!("{stdout}{stderr}").replace(path, "F"))
    };
    let good = "streamName: orders; awsRegion: eu-west-1; maxShards: 64";
    let (code, said) = checked(&format!("{good}; consumers: [{{applicationName: order-service}}]")).await;
    assert_eq!((code, &*said), (Some(0), "F: KinesisStream shop/orders: good\n"));
    for (spec, expected) in [
        ("streamName: orders; awsRegion: eu-west-1", "F:1: maxShards: is required"),
        ("streamName: orders; maxShards: 64", "F:1: spec: awsRegion: is required"),
        ("awsRegion: eu-west-1; maxShards: 64", "F:1: streamName: is required"),
        (&format!("{good}; minShards: 65"), "F:7: minShards: must not be more than maxShards, which is 64"),
        (&format!("{good}; minShards: 0"), "F:7: minShards: must be a whole number from 1 to 10000"),
        (&format!("{good}; shards: \"four\""), "F:7: shards: must be a whole number from 1 to 10000"),
        (&format!("{good}; callsPerDay: 2.5"), "F:7: callsPerDay: must be a whole number from 1 to 1000"),
        (&format!("{good}; maxShard: 64"), "F:7: maxShard: is not a known field, did you mean maxShards?"),
        (&format!("{good}; claim: label"), "F:7: claim: must be one of tag, none"),
        (&format!("{good}; dryRun: \"yes\""), "F:7: dryRun: must be true or false"),
        (&format!("{good}; maxConsumerAge: soon"), "maxConsumerAge: \"soon\" must be a duration such as 5m"),
        (&format!("{good}; consumers: [{{applicationNme: a}}]"), "did you mean applicationName?"),
        (&format!("{good}; consumers: a"), "F:7: consumers: must be a list of objects"),
    ] {
        let (code, said) = checked(spec).await;
        assert!(code == Some(1) && said.contains(expected), "{expected}: {code:?} {said}");
    }
    let (_, said) = checked("maxShards: 0; minShards: x").await;
    assert!(said.starts_with("F: KinesisStream shop/orders: 3 problems\n"), "all at once: {said}");
}
