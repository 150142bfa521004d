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

#[tokio::test]
async fn a_page_reports_the_read_units_of_all_rows_that_it_scanned_if_it_is_asked_to() {
    let aws = leases(&[]).await;
    assert_eq!(good(&aws, DYNAMODB, "Scan", scan(&json!({}))).await["ConsumedCapacity"], Value::Null);
    let units = async |more: Value| {
        let mut input = scan(&json!({"ReturnConsumedCapacity": "TOTAL"}));
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let page = good(&aws, DYNAMODB, "Scan", input).await;
        assert_eq!(page["ConsumedCapacity"]["TableName"], "app");
        page["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap()
    };
    assert!((units(json!({})).await - 0.5).abs() < f64::EPSILON, "an empty table costs as much as 4 KiB");
    // names of 8 and 1 bytes, a key of 1 byte: two of these items are 4,096 bytes
    for (key, bytes) in [("a", 2038), ("b", 2038)] {
        aws.put_item("app", &json!({"leaseKey": {"S": key}, "x": {"S": "y".repeat(bytes)}}));
    }
    assert!((units(json!({})).await - 0.5).abs() < f64::EPSILON);
    aws.put_item("app", &json!({"leaseKey": {"S": "c"}}));
    assert!((units(json!({})).await - 1.0).abs() < f64::EPSILON);
    assert!((units(json!({"ConsistentRead": true})).await - 2.0).abs() < f64::EPSILON);
    let none = json!({"FilterExpression": "leaseKey = :k", "ExpressionAttributeValues": {":k": {"S": "other"}}});
    assert!((units(none).await - 1.0).abs() < f64::EPSILON, "what is left out costs as much");
    assert!((units(json!({"Limit": 1})).await - 0.5).abs() < f64::EPSILON);
    assert!((aws.read_units("app") - 6.0).abs() < f64::EPSILON, "{}", aws.read_units("app"));
}

#[tokio::test]
async fn a_page_ends_with_the_row_that_reaches_a_mebibyte() {
    let aws = leases(&[]).await;
    // 300 KiB each, with the names and the key
    for key in ["a", "b", "c", "d", "e"] {
        aws.put_item("app", &json!({"leaseKey": {"S": key}, "x": {"S": "y".repeat((300 << 10) - 10)}}));
    }
    let first = good(&aws, DYNAMODB, "Scan", scan(&json!({"ReturnConsumedCapacity": "TOTAL"}))).await;
    assert_eq!((&first["Count"], &first["LastEvaluatedKey"]), (&json!(4), &json!({"leaseKey": {"S": "d"}})));
    assert_eq!(first["ConsumedCapacity"]["CapacityUnits"], json!(150.0));
    let rest = good(&aws, DYNAMODB, "Scan", scan(&json!({"ExclusiveStartKey": first["LastEvaluatedKey"]}))).await;
    assert_eq!((&rest["Count"], &rest["LastEvaluatedKey"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn each_kind_of_value_has_its_size() {
    let aws = leases(&[]).await;
    // 8 + 1 for the key; then 1 for each name, and: 7, 2 + 1, 3, 1, 1, 3 + 2 * (1 + 1), 3 + (1 + 1 + 2), 3
    let row = json!({
        "leaseKey": {"S": "k"}, "a": {"S": "sieben!"}, "b": {"N": "-12.3400"}, "c": {"B": "AAAA"}, "d": {"NULL": true},
        "e": {"BOOL": false}, "f": {"L": [{"BOOL": true}, {"NULL": true}]}, "g": {"M": {"n": {"S": "ab"}}},
        "h": {"SS": ["x", "yz"]},
    });
    aws.put_item("app", &row);
    let small = 9 + 8 + 7 + 3 + 3 + 1 + 1 + 7 + 7 + 3;
    for (more, units) in [(0, 0.5), (1, 1.0)] {
        // 8 + 2 for the key, 1 for the name
        let filling = "y".repeat(4096 - small - 11 + more);
        aws.put_item("app", &json!({"leaseKey": {"S": "k2"}, "z": {"S": filling}}));
        let page = good(&aws, DYNAMODB, "Scan", scan(&json!({"ReturnConsumedCapacity": "TOTAL"}))).await;
        assert_eq!(page["ConsumedCapacity"]["CapacityUnits"], json!(units));
    }
}
