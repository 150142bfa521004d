//! Checkpoint tables that several applications and streams share.

use serde_json::json;

use super::*;

/// A stream of one shard, with a record of 700 s ago that is done and one of 600 s ago.
async fn scene(more: Keys<'_>) -> (Scene, String, String) {
    let base = [("scaleOn", "age"), ("streamName", "orders"), ("applicationName", APPLICATION)];
    let all: Vec<_> = base.iter().chain(more).copied().collect();
    let scene = Scene::new("aws-kinesis-stream", &all).await;
    let shards = scene.aws.create_stream("orders", 1, scene.ago(86_000));
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    (scene, shards[0].clone(), done)
}

/// A number behind every record, as an application has it that has read everything.
fn end(scene: &Scene, shard: &str) -> String {
    scene.aws.put_record("orders", shard, scene.ago(500))
}

#[tokio::test]
async fn a_group_of_springs_binder_is_read_beside_another_one_that_is_further() {
    let (scene, shard, done) = scene(&[("checkpointStore", "spring")]).await;
    scene.aws.create_table("SpringIntegrationMetadataStore", "metadataKey");
    let last = end(&scene, &shard);
    for (key, value) in [
        (format!("{APPLICATION}:orders:{shard}"), &done),
        (format!("billing:orders:{shard}"), &last),
        (format!("{APPLICATION}:payments:{shard}"), &last),
    ] {
        let item = json!({"metadataKey": {"S": key}, "metadataValue": {"S": value}});
        scene.aws.put_item("SpringIntegrationMetadataStore", &item);
    }
    assert_about(scene.age().await, 600.0);
}

#[tokio::test]
async fn a_stream_of_redpanda_connect_is_read_beside_another_one() {
    let (scene, shard, done) = scene(&[("checkpointStore", "redpanda-connect"), ("leaseTable", "connect")]).await;
    scene.aws.create_table("connect", "StreamID");
    let last = end(&scene, &shard);
    for (stream, value) in [("orders", &done), ("payments", &last)] {
        let item = json!({"StreamID": {"S": stream}, "ShardID": {"S": shard}, "SequenceNumber": {"S": value},
            "ClientID": {"S": "c1"}, "LeaseTimeout": {"S": "2026-11-20T23:16:57.155Z"}});
        scene.aws.put_item("connect", &item);
    }
    assert_about(scene.age().await, 600.0);
    assert_eq!((scene.aws.calls("Query"), scene.aws.calls("Scan")), (1, 0));
}

#[tokio::test]
async fn two_rows_for_one_shard_are_an_error_until_a_filter_selects_one() {
    let custom = [
        ("checkpointStore", "custom"),
        ("leaseTable", "progress"),
        ("shardAttribute", "shard"),
        ("checkpointAttribute", "position"),
    ];
    let (mut scene, shard, done) = scene(&custom).await;
    scene.aws.create_table("progress", "id");
    let last = end(&scene, &shard);
    for (id, app, value) in [("1", APPLICATION, &done), ("2", "billing", &last)] {
        let item = json!({"id": {"S": id}, "shard": {"S": shard}, "position": {"S": value}, "app": {"S": app}});
        scene.aws.put_item("progress", &item);
    }
    let error = scene.observe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Broken);
    let text = error.chain();
    for part in [&*done, &*last, &*format!("both for shard {shard}"), "shardPattern", "filterAttribute"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    let filter = [("filterAttribute", "app"), ("filterValue", APPLICATION)];
    scene.metadata.extend(filter.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_about(scene.age().await, 600.0);
}
