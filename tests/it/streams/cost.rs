//! What rounds cost, and which rights they use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::{Observation, Observe as _};
use keda_stream_scaler::trigger::Trigger;
use serde_json::json;

use super::{APPLICATION, NEXT_ROUND, Scene};

/// The docs tell what follows for a day.
#[tokio::test]
async fn an_idle_application_of_a_hundred_shards_costs_one_scan_and_one_read_a_shard_in_a_round() {
    let (scene, shards) = Scene::kinesis(100, &[]).await;
    for shard in &shards {
        scene.lease(shard, "TRIM_HORIZON");
    }
    assert!(scene.age().await < 0.001);
    scene.aws.forget_calls();
    tokio::time::sleep(NEXT_ROUND).await;
    assert!(scene.age().await < 0.001);
    let operations = ["Scan", "GetRecords", "GetShardIterator", "ListShards", "DescribeStreamSummary"];
    assert_eq!(operations.map(|operation| scene.aws.calls(operation)), [1, 100, 0, 0, 0]);
}

#[tokio::test]
async fn many_triggers_on_one_application_cost_what_one_costs() {
    let (scene, shards) = Scene::kinesis(3, &[]).await;
    for shard in &shards {
        scene.aws.put_record("orders", shard, scene.ago(600));
        scene.lease(shard, "TRIM_HORIZON");
    }
    let sources: Vec<_> = (61..=160)
        .map(|threshold: u32| {
            let mut metadata = scene.metadata.clone();
            metadata.insert("ageThreshold".to_owned(), threshold.to_string());
            Arc::new(Trigger::parse(&metadata).unwrap().source)
        })
        .collect();
    let backend = scene.sources.admit("shop", &sources[0]).unwrap();
    let good = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = good.clone();
    let report = Arc::new(move |_: &_, observed: Result<_, _>| {
        counted.fetch_add(usize::from(observed.is_ok()), std::sync::atomic::Ordering::Relaxed);
    });
    scene.sources.observe(&backend, sources, report).await;
    assert_eq!(good.load(std::sync::atomic::Ordering::Relaxed), 100);
    let operations = ["Scan", "GetRecords", "GetShardIterator", "ListShards", "DescribeStreamSummary"];
    assert_eq!(operations.map(|operation| scene.aws.calls(operation)), [1, 3, 3, 1, 1]);
}

#[tokio::test]
async fn applications_that_have_read_everything_share_the_looks_into_a_stream() {
    let (scene, shards) = Scene::kinesis(2, &[]).await;
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(600));
    let mut sources = Vec::new();
    for number in 0..20 {
        let application = format!("application-{number}");
        scene.aws.create_table(&application, "leaseKey");
        for (shard, checkpoint) in [(&shards[0], done.as_str()), (&shards[1], "TRIM_HORIZON")] {
            let row = json!({"leaseKey": {"S": shard}, "checkpoint": {"S": checkpoint}});
            scene.aws.put_item(&application, &row);
        }
        let mut metadata = scene.metadata.clone();
        metadata.insert("applicationName".to_owned(), application);
        sources.push(Arc::new(Trigger::parse(&metadata).unwrap().source));
    }
    let backend = scene.sources.admit("shop", &sources[0]).unwrap();
    for source in &sources {
        let ages = Arc::new(Mutex::new(Vec::new()));
        let into = ages.clone();
        let report = Arc::new(move |_: &_, observed| into.lock().unwrap().push(observed));
        scene.sources.observe(&backend, vec![source.clone()], report).await;
        let observed = ages.lock().unwrap().pop().unwrap();
        let Ok(Observation::Application(application)) = observed else { panic!("{observed:?}") };
        assert_eq!(application.survey.age(), Duration::ZERO);
    }
    assert!(scene.aws.calls("GetRecords") <= 6, "{}", scene.aws.calls("GetRecords"));
}

/// Each row of the docs' table of rights against the calls that were in fact made.
#[tokio::test]
async fn the_rights_that_the_docs_ask_for_are_those_that_are_used() {
    const OPERATIONS: [&str; 9] = [
        "Kinesis.ListShards",
        "Kinesis.DescribeStreamSummary",
        "Kinesis.GetShardIterator",
        "Kinesis.GetRecords",
        "DynamoDB.DescribeTable",
        "DynamoDB.Scan",
        "DynamoDBStreams.DescribeStream",
        "DynamoDBStreams.GetShardIterator",
        "DynamoDBStreams.GetRecords",
    ];
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/authentication.md")).unwrap();
    let modes = [
        ("aws-kinesis-stream", "shardCount", "auto"),
        ("aws-kinesis-stream", "age", "auto"),
        ("aws-kinesis-stream", "age", "sequenceNumber"),
        ("aws-kinesis-stream", "catchUp", "auto"),
        ("aws-dynamodb-streams", "shardCount", "auto"),
        ("aws-dynamodb-streams", "age", "auto"),
        ("aws-dynamodb-streams", "catchUp", "auto"),
    ];
    for (source, scale_on, age_from) in modes {
        let name = if source == "aws-kinesis-stream" { ("streamName", "orders") } else { ("tableName", "orders") };
        let mut keys = vec![name, ("scaleOn", scale_on)];
        if scale_on != "shardCount" {
            keys.extend([("applicationName", APPLICATION), ("ageFrom", age_from)]);
        }
        let scene = Scene::new(source, &keys).await;
        scene.aws.create_table(APPLICATION, "leaseKey");
        if source == "aws-kinesis-stream" {
            let shards = scene.aws.create_stream("orders", 1, scene.ago(500));
            scene.lease(&shards[0], "TRIM_HORIZON");
        } else {
            scene.aws.create_table("orders", "id");
            let arn = scene.aws.create_table_stream("orders", scene.ago(500));
            scene.aws.open_change_shard(&arn, None, scene.ago(400));
        }
        scene.observe().await.unwrap();
        let used: Vec<_> = OPERATIONS.into_iter().filter(|operation| scene.aws.calls(operation) > 0).collect();
        let rights: Vec<_> = used
            .iter()
            .map(|operation| {
                let (service, call) = operation.split_once('.').unwrap();
                format!("`{}:{call}`", if service == "Kinesis" { "kinesis" } else { "dynamodb" })
            })
            .collect();
        let mode = match (scale_on, age_from) {
            ("age", "sequenceNumber") => "age, ageFrom: sequenceNumber".to_owned(),
            ("age" | "catchUp", _) => "age, catchUp".to_owned(),
            _ => scale_on.to_owned(),
        };
        let row = format!("| `{source}` | `{mode}` | {} |", rights.join(", "));
        assert!(page.contains(&row), "the docs lack {row}");
    }
}
