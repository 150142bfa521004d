use serde_json::{Value, json};

use super::{DYNAMODB, NOON, each, good, refused};
use crate::support::scripted_aws::ScriptedAws;

async fn leases(keys: &[&str]) -> ScriptedAws {
    let aws = ScriptedAws::start().await;
    aws.create_table("app", "leaseKey");
    for key in keys {
        aws.put_item("app", &json!({"leaseKey": {"S": key}, "checkpoint": {"S": "TRIM_HORIZON"}}));
    }
    aws
}

fn scan(more: &Value) -> Value {
    let mut input = json!({"TableName": "app"});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

#[tokio::test]
async fn a_scan_goes_on_after_its_last_key_until_none_is_given() {
    let aws = leases(&["a", "b", "c", "d"]).await;
    aws.set_page_size("Scan", 2);
    let (mut seen, mut pages, mut input) = (Vec::new(), 0, scan(&json!({})));
    loop {
        let page = good(&aws, DYNAMODB, "Scan", input.clone()).await;
        seen.extend(each(&page["Items"], "/leaseKey/S").into_iter().map(str::to_owned));
        pages += 1;
        if page["LastEvaluatedKey"].is_null() {
            break;
        }
        input = scan(&json!({"ExclusiveStartKey": page["LastEvaluatedKey"]}));
    }
    assert_eq!((seen.concat(), pages), ("abcd".to_owned(), 3), "a full page is followed by an empty one");
}

#[tokio::test]
async fn a_scan_keeps_leases_only_if_it_is_asked_to_and_counts_the_rest() {
    let aws = leases(&["shardId-0"]).await;
    aws.put_item("app", &json!({"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}}));
    aws.put_item("app", &json!({"leaseKey": {"S": "shardId-1"}, "entityType": {"S": "LEASE"}}));
    assert_eq!(good(&aws, DYNAMODB, "Scan", scan(&json!({}))).await["Count"], 3);
    let filtered = scan(&json!({
        "FilterExpression": "attribute_not_exists(#e) OR #e = :lease",
        "ProjectionExpression": "#k, leaseOwner",
        "ExpressionAttributeNames": {"#e": "entityType", "#k": "leaseKey"},
        "ExpressionAttributeValues": {":lease": {"S": "LEASE"}},
    }));
    let page = good(&aws, DYNAMODB, "Scan", filtered).await;
    assert_eq!(page["Items"], json!([{"leaseKey": {"S": "shardId-0"}}, {"leaseKey": {"S": "shardId-1"}}]));
    assert_eq!((&page["Count"], &page["ScannedCount"]), (&json!(2), &json!(3)));
    let other = scan(&json!({"FilterExpression": "size(leaseKey) > :n"}));
    let (kind, _) = refused(&aws, DYNAMODB, "Scan", other).await;
    assert_eq!(kind, "com.amazon.coral.validate#ValidationException");
}

#[tokio::test]
async fn a_row_is_replaced_or_deleted_by_its_key_and_a_query_finds_it() {
    let aws = leases(&["a", "b"]).await;
    aws.put_item("app", &json!({"leaseKey": {"S": "a"}, "checkpoint": {"S": "SHARD_END"}}));
    aws.delete_item("app", "b");
    let query = |key: &str| {
        json!({"TableName": "app", "KeyConditionExpression": "leaseKey = :k",
            "ExpressionAttributeValues": {":k": {"S": key}}})
    };
    let found = good(&aws, DYNAMODB, "Query", query("a")).await;
    assert_eq!(each(&found["Items"], "/checkpoint/S"), ["SHARD_END"]);
    assert_eq!(good(&aws, DYNAMODB, "Query", query("b")).await["Count"], 0);
    assert_eq!(good(&aws, DYNAMODB, "Scan", scan(&json!({}))).await["Count"], 1);
}

#[tokio::test]
async fn a_table_names_its_latest_stream_and_one_that_is_missing_is_not_found() {
    let aws = leases(&[]).await;
    let table = json!({"TableName": "app"});
    let before = good(&aws, DYNAMODB, "DescribeTable", table.clone()).await;
    assert_eq!(before["Table"]["LatestStreamArn"], Value::Null);
    let arn = aws.create_table_stream("app", NOON);
    assert_eq!(arn, "arn:aws:dynamodb:us-east-1:123456789012:table/app/stream/2026-11-20T12:00:00.000");
    let after = good(&aws, DYNAMODB, "DescribeTable", table).await;
    assert_eq!(after["Table"]["LatestStreamArn"], arn.as_str());
    let (kind, message) = refused(&aws, DYNAMODB, "DescribeTable", json!({"TableName": "other"})).await;
    assert_eq!(kind, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException");
    assert_eq!(message, "Requested resource not found");
}
