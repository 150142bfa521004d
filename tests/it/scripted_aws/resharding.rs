//! Tags, limits and changes of the number of shards.

use serde_json::json;

use super::{KINESIS, NOON, good, refused};
use crate::support::scripted_aws::ScriptedAws;

#[tokio::test]
async fn tags_are_kept_and_changes_go_to_twice_and_half_at_most_ten_times_per_day() {
    let aws = ScriptedAws::start().await;
    aws.create_stream("orders", 4, NOON);
    aws.tag("orders", "team", "shop");
    let stream = json!({"StreamName": "orders"});
    good(&aws, KINESIS, "AddTagsToStream", json!({"StreamName": "orders", "Tags": {"owner": "a"}})).await;
    let tags = good(&aws, KINESIS, "ListTagsForStream", stream.clone()).await;
    assert_eq!(tags["Tags"], json!([{"Key": "owner", "Value": "a"}, {"Key": "team", "Value": "shop"}]));
    good(&aws, KINESIS, "RemoveTagsFromStream", json!({"StreamName": "orders", "TagKeys": ["owner"]})).await;
    assert_eq!(aws.tags("orders").len(), 1);

    let update =
        |target: u32| json!({"StreamName": "orders", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    assert_eq!(refused(&aws, KINESIS, "UpdateShardCount", update(9)).await.0, "InvalidArgumentException");
    assert_eq!(refused(&aws, KINESIS, "UpdateShardCount", update(1)).await.0, "InvalidArgumentException");
    good(&aws, KINESIS, "UpdateShardCount", update(7)).await;
    assert_eq!(aws.open_shards("orders"), 7);
    aws.reshard("orders", 5);
    aws.use_calls("orders", 9);
    assert_eq!(refused(&aws, KINESIS, "UpdateShardCount", update(6)).await.0, "LimitExceededException");
    // each closed shard is a parent, and each of the others has parents
    let shards = good(&aws, KINESIS, "ListShards", stream).await;
    let shards = shards["Shards"].as_array().unwrap();
    let parents: std::collections::BTreeSet<_> = shards
        .iter()
        .flat_map(|shard| [&shard["ParentShardId"], &shard["AdjacentParentShardId"]])
        .filter_map(serde_json::Value::as_str)
        .collect();
    let closed = shards.iter().filter(|shard| !shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null());
    assert_eq!(closed.filter(|shard| parents.contains(shard["ShardId"].as_str().unwrap())).count(), 4 + 7);
}
