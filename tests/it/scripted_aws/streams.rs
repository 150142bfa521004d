use serde_json::{Value, json};

use super::{NOON, STREAMS, change_iterator, each, good, read, refused};
use crate::support::scripted_aws::ScriptedAws;

async fn table_stream() -> (ScriptedAws, String) {
    let aws = ScriptedAws::start().await;
    aws.create_table("orders", "order");
    let arn = aws.create_table_stream("orders", NOON);
    (aws, arn)
}

#[tokio::test]
async fn a_stream_is_described_a_hundred_shards_a_page() {
    let (aws, arn) = table_stream().await;
    let shards: Vec<String> = (0..101).map(|nth| aws.open_change_shard(&arn, None, NOON + nth)).collect();
    let first = good(&aws, STREAMS, "DescribeStream", json!({"StreamArn": arn})).await;
    let first = &first["StreamDescription"];
    assert_eq!(each(&first["Shards"], "/ShardId"), shards[..100]);
    let rest = json!({"StreamArn": arn, "ExclusiveStartShardId": first["LastEvaluatedShardId"]});
    let rest = good(&aws, STREAMS, "DescribeStream", rest).await;
    assert_eq!(each(&rest["StreamDescription"]["Shards"], "/ShardId"), shards[100..]);
    assert_eq!(rest["StreamDescription"]["LastEvaluatedShardId"], Value::Null);
    assert_eq!((shards[7].len(), &shards[7][..28]), (37, "shardId-00000001795176000007"));
}

#[tokio::test]
async fn a_rolled_shard_has_an_end_and_a_child_that_a_filter_finds() {
    let (aws, arn) = table_stream().await;
    let parent = aws.open_change_shard(&arn, None, NOON);
    let put = aws.put_change(&arn, &parent, NOON + 1999);
    aws.close_change_shard(&arn, &parent);
    let child = aws.open_change_shard(&arn, Some(&parent), NOON + 3000);
    let start = change_iterator(&aws, &arn, &parent, "TRIM_HORIZON", None).await;
    let page = read(&aws, STREAMS, &start).await;
    assert_eq!(each(&page["Records"], "/dynamodb/SequenceNumber"), [&*put]);
    let second = NOON / 1000 + 1;
    assert_eq!(page["Records"][0]["dynamodb"]["ApproximateCreationDateTime"], second, "cut to the second");
    assert_eq!(page["NextShardIterator"], Value::Null);
    let filter = json!({"Type": "CHILD_SHARDS", "ShardId": parent});
    let found = good(&aws, STREAMS, "DescribeStream", json!({"StreamArn": arn, "ShardFilter": filter})).await;
    let shards = &found["StreamDescription"]["Shards"];
    assert_eq!((each(shards, "/ShardId"), each(shards, "/ParentShardId")), (vec![&*child], vec![&*parent]));
    let all = good(&aws, STREAMS, "DescribeStream", json!({"StreamArn": arn})).await;
    let ending = all.pointer("/StreamDescription/Shards/0/SequenceNumberRange/EndingSequenceNumber");
    assert!(ending.unwrap().as_str().unwrap() > &*put);
}

#[tokio::test]
async fn who_is_before_the_oldest_change_can_get_an_iterator_but_not_read() {
    let (aws, arn) = table_stream().await;
    let shard = aws.open_change_shard(&arn, None, NOON);
    let put: Vec<String> = (1..=3).map(|nth| aws.put_change(&arn, &shard, NOON + nth * 10_000)).collect();
    aws.trim_changes(&arn, NOON + 30_000);
    let lost = change_iterator(&aws, &arn, &shard, "AFTER_SEQUENCE_NUMBER", Some(&put[0])).await;
    let (kind, message) = refused(&aws, STREAMS, "GetRecords", json!({"ShardIterator": lost})).await;
    assert_eq!(kind, "com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException");
    assert_eq!(message, "The operation attempted to read past the oldest stream record in a shard.");
    let just_before = change_iterator(&aws, &arn, &shard, "AFTER_SEQUENCE_NUMBER", Some(&put[1])).await;
    for start in [just_before, change_iterator(&aws, &arn, &shard, "TRIM_HORIZON", None).await] {
        assert_eq!(each(&read(&aws, STREAMS, &start).await["Records"], "/eventID"), put[2..]);
    }
}

#[tokio::test]
async fn empty_pages_come_before_the_first_change() {
    let (aws, arn) = table_stream().await;
    let shard = aws.open_change_shard(&arn, None, NOON);
    aws.put_change(&arn, &shard, NOON);
    aws.set_empty_change_pages(&arn, &shard, 2);
    let mut next = change_iterator(&aws, &arn, &shard, "TRIM_HORIZON", None).await;
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let mut page = read(&aws, STREAMS, &next).await;
        sizes.push(page["Records"].as_array().unwrap().len());
        next = page["NextShardIterator"].take();
    }
    assert_eq!(sizes, [0, 0, 1]);
}
