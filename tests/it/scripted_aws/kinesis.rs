use std::time::Duration;

use serde_json::{Value, json};

use super::{KINESIS, NOON, each, good, iterator, one_shard, read, refused};
use crate::support::scripted_aws::{KinesisNumber, ScriptedAws};

#[test]
fn a_sequence_number_of_the_real_kinesis_is_read_as_what_it_says() {
    let text = "49590338271490256608559692538361571095921575989136588898";
    let said = KinesisNumber::parse(text).unwrap();
    // AWS's own sample: shardId-000000000006, which got it at 1545084650.987.
    assert_eq!((said.created_secs, said.secs, said.shard), (1_542_776_258, 1_545_084_650, 6));
    assert_eq!(KinesisNumber::parse("100000000000000000001"), None);
    assert_eq!(KinesisNumber::parse("SHARD_END"), None);
}

#[tokio::test]
async fn a_sequence_number_tells_its_shard_and_a_time_just_before_the_arrival() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 20, NOON);
    let text = aws.put_record("orders", &shards[17], NOON + 60_500);
    let expected = KinesisNumber { created_secs: NOON / 1000, index: 1, secs: NOON / 1000 + 59, shard: 17 };
    assert_eq!(KinesisNumber::parse(&text), Some(expected));
    assert_eq!((expected.text(), text.len()), (text, 56));
}

#[tokio::test]
async fn shards_are_listed_page_by_page() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 5, NOON);
    let filter = json!({"Type": "AT_LATEST"});
    let first = json!({"StreamName": "orders", "MaxResults": 3, "ShardFilter": filter});
    let first = good(&aws, KINESIS, "ListShards", first).await;
    assert_eq!(each(&first["Shards"], "/ShardId"), shards[..3]);
    aws.set_page_size("ListShards", 1);
    let next = good(&aws, KINESIS, "ListShards", json!({"NextToken": first["NextToken"]})).await;
    assert_eq!(each(&next["Shards"], "/ShardId"), shards[3..4]);
    let last = good(&aws, KINESIS, "ListShards", json!({"NextToken": next["NextToken"]})).await;
    assert_eq!(each(&last["Shards"], "/ShardId"), shards[4..]);
    assert_eq!(last["NextToken"], Value::Null);
    let both = json!({"NextToken": first["NextToken"], "StreamName": "orders"});
    assert_eq!(refused(&aws, KINESIS, "ListShards", both).await.0, "InvalidArgumentException");
    assert_eq!(aws.calls_of("ListShards", "orders"), 4);
}

#[tokio::test]
async fn a_summary_says_what_the_stream_was_given() {
    let (aws, shard) = one_shard().await;
    aws.set_retention("orders", 48);
    aws.set_max_record_size("orders", 10_240);
    aws.split_shard("orders", &shard, NOON + 1000);
    let arn = json!({"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/orders"});
    let summary = &good(&aws, KINESIS, "DescribeStreamSummary", arn).await["StreamDescriptionSummary"];
    assert_eq!(summary["StreamName"], "orders");
    assert_eq!(summary["OpenShardCount"], 2);
    assert_eq!(summary["RetentionPeriodHours"], 48);
    assert_eq!(summary["MaxRecordSizeInKiB"], 10_240);
}

#[tokio::test]
async fn every_type_of_iterator_begins_where_its_name_says() {
    let (aws, shard) = one_shard().await;
    let put: Vec<String> = (1..=3).map(|nth| aws.put_record("orders", &shard, NOON + nth * 10_000)).collect();
    let at_second = json!((NOON + 20_000) / 1000);
    let cases = [
        (json!({"ShardIteratorType": "TRIM_HORIZON"}), 0),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": put[1]}), 1),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": put[1]}), 2),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at_second}), 1),
        (json!({"ShardIteratorType": "LATEST"}), 3),
    ];
    aws.skew_clock((i64::try_from(NOON).unwrap() - i64::try_from(aws.now()).unwrap()) / 1000 + 60);
    for (mut input, skipped) in cases {
        input["StreamName"] = "orders".into();
        input["ShardId"] = shard.as_str().into();
        let iterator = good(&aws, KINESIS, "GetShardIterator", input.clone()).await;
        let page = read(&aws, KINESIS, &iterator["ShardIterator"]).await;
        assert_eq!(each(&page["Records"], "/SequenceNumber"), put[skipped..], "{input}");
        assert_eq!(page["MillisBehindLatest"], 0);
    }
}

#[tokio::test]
async fn a_limited_read_goes_on_at_the_next_record_and_says_how_far_behind_it_is() {
    let (aws, shard) = one_shard().await;
    let now = aws.now();
    let put = [now - 90_000, now - 30_000].map(|at| aws.put_record("orders", &shard, at));
    let start = iterator(&aws, &shard, "TRIM_HORIZON").await;
    let first = good(&aws, KINESIS, "GetRecords", json!({"ShardIterator": start, "Limit": 1})).await;
    assert_eq!(each(&first["Records"], "/SequenceNumber"), put[..1]);
    assert!(first["MillisBehindLatest"].as_u64().unwrap() >= 90_000, "{first}");
    let arrival = Duration::from_millis(now - 90_000).as_secs_f64();
    assert_eq!(first["Records"][0]["ApproximateArrivalTimestamp"], arrival);
    let second = read(&aws, KINESIS, &first["NextShardIterator"]).await;
    assert_eq!(each(&second["Records"], "/SequenceNumber"), put[1..]);
    assert_eq!(aws.inputs("GetRecords")[0]["Limit"], 1);
}

#[tokio::test]
async fn a_closed_shard_ends_with_its_last_record_and_names_its_children() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 2, NOON);
    aws.put_record("orders", &shards[0], NOON + 5000);
    let children = aws.split_shard("orders", &shards[0], NOON + 10_000);
    let start = iterator(&aws, &shards[0], "TRIM_HORIZON").await;
    let page = read(&aws, KINESIS, &start).await;
    assert_eq!((page["Records"].as_array().unwrap().len(), &page["NextShardIterator"]), (1, &Value::Null));
    assert_eq!(each(&page["ChildShards"], "/ShardId"), children);
    let merged = aws.merge_shards("orders", &children[1], &shards[1], NOON + 20_000);
    let listed = good(&aws, KINESIS, "ListShards", json!({"StreamName": "orders"})).await;
    let last = &listed["Shards"][4];
    assert_eq!(last["ShardId"], merged.as_str());
    assert_eq!((&last["ParentShardId"], &last["AdjacentParentShardId"]), (&json!(children[1]), &json!(shards[1])));
    assert_eq!(last["HashKeyRange"]["EndingHashKey"], u128::MAX.to_string());
    assert_eq!(last["SequenceNumberRange"]["EndingSequenceNumber"], Value::Null);
    let ending = listed["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"].as_str().unwrap();
    assert_eq!(KinesisNumber::parse(ending).unwrap().secs, NOON / 1000 + 10);
}

#[tokio::test]
async fn a_trimmed_checkpoint_silently_goes_on_at_the_oldest_record() {
    let (aws, shard) = one_shard().await;
    let put: Vec<String> = (1..=3).map(|nth| aws.put_record("orders", &shard, NOON + nth * 10_000)).collect();
    aws.trim_stream("orders", NOON + 30_000);
    let input = json!({"StreamName": "orders", "ShardId": shard,
        "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": put[0]});
    let after = good(&aws, KINESIS, "GetShardIterator", input).await;
    for start in [after["ShardIterator"].clone(), iterator(&aws, &shard, "TRIM_HORIZON").await] {
        assert_eq!(each(&read(&aws, KINESIS, &start).await["Records"], "/SequenceNumber"), put[2..]);
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_stream_or_shard_is_refused_as_such() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 2, NOON);
    let old = aws.put_record("orders", &shards[0], NOON + 5000);
    aws.delete_stream("orders");
    aws.create_stream("orders", 2, NOON + 60_000);
    let start = |shard: usize, sequence: &str| {
        json!({"StreamName": "orders", "ShardId": shards[shard],
            "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence})
    };
    let (kind, message) = refused(&aws, KINESIS, "GetShardIterator", start(0, &old)).await;
    assert_eq!(kind, "InvalidArgumentException");
    assert!(message.ends_with("is invalid because it did not come from this stream."), "{message}");
    let (_, message) = refused(&aws, KINESIS, "GetShardIterator", start(1, &old)).await;
    assert!(message.contains("It encodes shardId-000000000000"), "{message}");
    let (_, message) = refused(&aws, KINESIS, "GetShardIterator", start(0, "42")).await;
    assert!(message.ends_with("is invalid."), "{message}");
}

#[tokio::test]
async fn a_stream_or_shard_that_is_gone_is_not_found() {
    let (aws, shard) = one_shard().await;
    let start = iterator(&aws, &shard, "TRIM_HORIZON").await;
    aws.remove_shard("orders", &shard);
    let (kind, message) = refused(&aws, KINESIS, "GetRecords", json!({"ShardIterator": start})).await;
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(message, "Shard shardId-000000000000 in stream orders under account 123456789012 does not exist");
    aws.delete_stream("orders");
    let (_, message) = refused(&aws, KINESIS, "ListShards", json!({"StreamName": "orders"})).await;
    assert_eq!(message, "Stream orders under account 123456789012 not found.");
}
