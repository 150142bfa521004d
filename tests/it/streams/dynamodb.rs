//! DynamoDB Streams, and ages without the right to read.

use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::UpstreamMetrics;

use super::{APPLICATION, NEXT_ROUND, Scene, assert_about, permissive};

async fn invoices(more: &[(&str, &str)]) -> (Scene, String) {
    let base =
        [("scaleOn", "age"), ("tableName", "invoices"), ("applicationName", APPLICATION), ("probeInterval", "1s")];
    let scene = Scene::new("aws-dynamodb-streams", &base.iter().chain(more).copied().collect::<Vec<_>>()).await;
    scene.aws.create_table("invoices", "id");
    scene.aws.create_table(APPLICATION, "leaseKey");
    let arn = scene.aws.create_table_stream("invoices", scene.ago(80_000));
    (scene, arn)
}

#[tokio::test]
async fn a_rolled_shards_child_is_read_when_the_parent_is_finished_even_without_a_lease() {
    let (scene, arn) = invoices(&[]).await;
    let parent = scene.aws.open_change_shard(&arn, None, scene.ago(20_000));
    let done = scene.aws.put_change(&arn, &parent, scene.ago(19_000));
    scene.aws.put_change(&arn, &parent, scene.ago(18_000));
    scene.aws.close_change_shard(&arn, &parent);
    let child = scene.aws.open_change_shard(&arn, Some(&parent), scene.ago(6_000));
    scene.aws.put_change(&arn, &child, scene.ago(5_000));
    scene.lease(&parent, &done);
    assert_about(scene.age().await, 18_000.0);
    assert_eq!(scene.aws.calls_of("GetRecords", &child), 0);
    scene.lease(&parent, "SHARD_END");
    tokio::time::sleep(NEXT_ROUND).await;
    assert_about(scene.age().await, 5_000.0);
}

#[tokio::test]
async fn where_retention_has_deleted_what_was_unread_the_oldest_record_that_is_left_counts() {
    let (scene, arn) = invoices(&[]).await;
    let shard = scene.aws.open_change_shard(&arn, None, scene.ago(70_000));
    let done = scene.aws.put_change(&arn, &shard, scene.ago(60_000));
    scene.aws.put_change(&arn, &shard, scene.ago(50_000));
    scene.aws.put_change(&arn, &shard, scene.ago(100));
    scene.aws.trim_changes(&arn, scene.ago(40_000));
    scene.lease(&shard, &done);
    assert_about(scene.age().await, 100.0);
}

#[tokio::test]
async fn empty_pages_are_followed_once_and_the_shard_is_then_read_no_more_often_than_the_probe_interval() {
    let (scene, arn) = invoices(&[("probeInterval", "30s")]).await;
    let shard = scene.aws.open_change_shard(&arn, None, scene.ago(20_000));
    scene.lease(&shard, "TRIM_HORIZON");
    for _ in 0..3 {
        assert!(scene.age().await < 0.001);
        tokio::time::sleep(NEXT_ROUND).await;
    }
    assert_eq!((scene.aws.calls("GetRecords"), scene.aws.calls("GetShardIterator")), (5, 1));
}

#[tokio::test]
async fn changes_behind_four_empty_pages_are_never_taken_for_caught_up() {
    let (scene, arn) = invoices(&[]).await;
    let shard = scene.aws.open_change_shard(&arn, None, scene.ago(20_000));
    scene.aws.put_change(&arn, &shard, scene.ago(900));
    scene.aws.set_empty_change_pages(&arn, &shard, 4);
    scene.lease(&shard, "TRIM_HORIZON");
    assert_about(scene.age().await, 900.0);
}

#[tokio::test]
async fn a_replaced_stream_is_looked_up_again() {
    let (scene, arn) = invoices(&[]).await;
    scene.aws.open_change_shard(&arn, None, scene.ago(20_000));
    assert!(scene.age().await < 0.001);
    let arn = scene.aws.create_table_stream("invoices", scene.ago(1_000));
    let shard = scene.aws.open_change_shard(&arn, None, scene.ago(900));
    scene.aws.put_change(&arn, &shard, scene.ago(800));
    let later = Scene { sources: Sources::new(permissive(), UpstreamMetrics::default()), ..scene };
    assert_about(later.age().await, 800.0);
}

// === without the right to read ===

#[tokio::test]
async fn ages_from_sequence_numbers_need_no_right_to_read_and_are_upper_bounds() {
    let (scene, shards) = Scene::kinesis(1, &[("ageFrom", "sequenceNumber")]).await;
    let done = scene.aws.put_record("orders", &shards[0], scene.ago(700));
    scene.aws.put_record("orders", &shards[0], scene.ago(600));
    scene.lease(&shards[0], &done);
    assert_about(scene.age().await, 700.0);
    assert_eq!((scene.aws.calls("GetRecords"), scene.aws.calls("GetShardIterator")), (0, 0));
}
