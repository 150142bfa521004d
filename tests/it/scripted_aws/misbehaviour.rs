use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    DYNAMODB, KINESIS, NOON, STREAMS, ask, change_iterator, each, good, iterator, one_shard, read, refused, request,
};
use crate::support::scripted_aws::{Behaviour, ScriptedAws, http_date};

const SUMMARY: &str = "DescribeStreamSummary";

fn orders() -> Value {
    json!({"StreamName": "orders"})
}

#[tokio::test]
async fn each_service_throttles_in_its_own_words() {
    let (aws, shard) = one_shard().await;
    let start = iterator(&aws, &shard, "LATEST").await;
    for operation in ["ListShards", "GetRecords", "Scan", "DescribeStream"] {
        aws.on(operation).does(Behaviour::Throttled);
    }
    let provisioned = "ProvisionedThroughputExceededException";
    let per_shard = "Rate exceeded for Shard - 123456789012/orders/shardId-000000000000";
    let per_stream = "Rate exceeded for stream orders under account 123456789012.";
    let expected = |kind: &str, message: &str| (kind.to_owned(), message.to_owned());
    let records = refused(&aws, KINESIS, "GetRecords", json!({"ShardIterator": start})).await;
    assert_eq!(records, expected(provisioned, per_shard));
    let shards = refused(&aws, KINESIS, "ListShards", orders()).await;
    assert_eq!(shards, expected("LimitExceededException", per_stream));
    let (scan, _) = refused(&aws, DYNAMODB, "Scan", json!({"TableName": "app"})).await;
    assert_eq!(scan, format!("com.amazonaws.dynamodb.v20120810#{provisioned}"));
    let changes = refused(&aws, STREAMS, "DescribeStream", json!({"StreamArn": "arn"})).await;
    assert_eq!(changes, expected("com.amazon.coral.availability#ThrottlingException", "Rate exceeded"));
    aws.forget_script();
    good(&aws, KINESIS, "ListShards", orders()).await;
}

#[tokio::test]
async fn a_rule_holds_for_so_many_calls_and_for_its_shard_only() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 2, NOON);
    let starts = [iterator(&aws, &shards[0], "LATEST").await, iterator(&aws, &shards[1], "LATEST").await];
    aws.on("Kinesis.GetRecords").about(&format!("orders/{}", shards[1])).times(2).does(Behaviour::Throttled);
    let mut answers = Vec::new();
    for nth in [0, 1, 1, 0, 1] {
        answers.push(ask(&aws, KINESIS, "GetRecords", json!({"ShardIterator": starts[nth]})).await.0);
    }
    assert_eq!(answers, [200, 400, 400, 200, 200]);
    assert_eq!((aws.calls("GetRecords"), aws.calls_of("GetRecords", &shards[1])), (5, 3));
    assert_eq!(aws.calls("DynamoDBStreams.GetRecords"), 0);
    aws.forget_calls();
    assert_eq!(aws.calls("GetRecords"), 0);
}

#[tokio::test]
async fn a_sixth_read_of_a_shard_within_a_second_is_throttled() {
    let aws = ScriptedAws::start().await;
    let shards = aws.create_stream("orders", 2, NOON);
    let starts = [iterator(&aws, &shards[0], "LATEST").await, iterator(&aws, &shards[1], "LATEST").await];
    aws.keep_aws_limits();
    let mut answers = Vec::new();
    while aws.busiest_second("GetRecords", Some(&shards[0])) < 6 {
        answers.push(ask(&aws, KINESIS, "GetRecords", json!({"ShardIterator": starts[0]})).await.0);
    }
    assert_eq!(answers.iter().rposition(|status| *status == 400), Some(answers.len() - 1), "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 400).count(), 1, "{answers:?}");
    read(&aws, KINESIS, &starts[1]).await;
}

#[tokio::test]
async fn a_twenty_first_summary_within_a_second_is_throttled() {
    let (aws, _) = one_shard().await;
    aws.create_stream("returns", 1, NOON);
    aws.keep_aws_limits();
    let mut last = 200;
    while aws.busiest_second(SUMMARY, None) < 21 {
        assert_eq!(last, 200);
        let stream = if aws.calls(SUMMARY) % 2 == 0 { "orders" } else { "returns" };
        last = ask(&aws, KINESIS, SUMMARY, json!({"StreamName": stream})).await.0;
    }
    assert_eq!(last, 400);
}

#[tokio::test]
async fn an_eleventh_description_of_a_tables_stream_within_a_second_is_throttled() {
    let aws = ScriptedAws::start().await;
    aws.create_table("app", "id");
    let arn = aws.create_table_stream("app", NOON);
    aws.keep_aws_limits();
    let mut last = 200;
    while aws.busiest_second("DescribeStream", None) < 11 {
        assert_eq!((last, aws.calls_over_limits()), (200, 0));
        last = ask(&aws, STREAMS, "DescribeStream", json!({"StreamArn": arn})).await.0;
        good(&aws, DYNAMODB, "DescribeTable", json!({"TableName": "app"})).await;
    }
    assert_eq!((last, aws.calls_over_limits()), (400, 1));
}

#[tokio::test]
#[should_panic(expected = "2 calls of DescribeStreamSummary about anything in a second, not 1")]
async fn a_rate_that_is_too_high_fails_the_test() {
    let (aws, _) = one_shard().await;
    while aws.busiest_second(SUMMARY, None) < 2 {
        good(&aws, KINESIS, SUMMARY, orders()).await;
    }
    aws.assert_rate(SUMMARY, Some("returns"), 0);
    aws.assert_rate(SUMMARY, None, 1);
}

#[tokio::test]
async fn refusals_of_the_caller_are_those_of_aws() {
    let (aws, _) = one_shard().await;
    aws.on("ListShards").times(1).does(Behaviour::AccessDenied);
    aws.on("ListShards").times(1).does(Behaviour::ExpiredToken);
    aws.on("ListShards").does(Behaviour::UnknownKey);
    let (status, denied) = ask(&aws, KINESIS, "ListShards", orders()).await;
    assert_eq!((status, &denied["__type"]), (400, &json!("AccessDeniedException")));
    let message = "User: arn:aws:sts::123456789012:assumed-role/scaler/s is not authorized to perform: \
                   kinesis:ListShards on resource: arn:aws:kinesis:us-east-1:123456789012:stream/orders because no \
                   identity-based policy allows the kinesis:ListShards action";
    assert_eq!(denied["Message"], message);
    assert_eq!(refused(&aws, KINESIS, "ListShards", orders()).await.0, "ExpiredTokenException");
    assert_eq!(refused(&aws, KINESIS, "ListShards", orders()).await.0, "UnrecognizedClientException");
    aws.on("Scan").does(Behaviour::AccessDenied);
    let (kind, message) = refused(&aws, DYNAMODB, "Scan", json!({"TableName": "app"})).await;
    assert_eq!(kind, "com.amazon.coral.service#AccessDeniedException");
    assert!(message.contains("dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:123456789012:table/app"));
}

#[tokio::test]
async fn failures_are_those_of_the_service() {
    let aws = ScriptedAws::start().await;
    aws.on(SUMMARY).does(Behaviour::InternalFailure);
    aws.on("Scan").does(Behaviour::InternalFailure);
    aws.on("DynamoDBStreams.DescribeStream").does(Behaviour::TooManyReaders);
    assert_eq!(ask(&aws, KINESIS, SUMMARY, orders()).await, (500, json!({"__type": "InternalFailure"})));
    let (status, body) = ask(&aws, DYNAMODB, "Scan", json!({"TableName": "app"})).await;
    let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
    assert_eq!((status, body), (500, json!({"__type": kind, "message": "Internal server error"})));
    let (kind, _) = refused(&aws, STREAMS, "DescribeStream", json!({"StreamArn": "arn"})).await;
    assert_eq!(kind, "com.amazonaws.dynamodb.v20120810#LimitExceededException");
    let (kind, _) = refused(&aws, "Firehose_20150804", "PutRecord", json!({})).await;
    assert_eq!(kind, "com.amazon.coral.service#UnknownOperationException");
}

#[tokio::test]
async fn a_silent_operation_never_answers_while_others_do() {
    let (aws, _) = one_shard().await;
    aws.on("ListShards").does(Behaviour::Silent);
    let silent = request(&aws, KINESIS, "ListShards", &orders()).timeout(Duration::from_millis(300)).send().await;
    assert!(silent.unwrap_err().is_timeout());
    good(&aws, KINESIS, SUMMARY, orders()).await;
    assert_eq!(aws.calls("ListShards"), 1);
}

#[tokio::test]
async fn a_closed_connection_is_no_answer_and_the_next_one_works() {
    let (aws, _) = one_shard().await;
    aws.on("ListShards").times(1).does(Behaviour::Closed);
    let closed = request(&aws, KINESIS, "ListShards", &orders()).send().await.unwrap_err();
    assert!(closed.is_request() && !closed.is_timeout(), "{closed:?}");
    good(&aws, KINESIS, "ListShards", orders()).await;
}

#[tokio::test]
async fn a_delayed_answer_comes_late_and_is_the_usual_one() {
    let (aws, shard) = one_shard().await;
    aws.on("ListShards").does(Behaviour::Delayed(Duration::from_millis(120)));
    let asked = Instant::now();
    let answer = good(&aws, KINESIS, "ListShards", orders()).await;
    assert!(asked.elapsed() >= Duration::from_millis(120));
    assert_eq!(each(&answer["Shards"], "/ShardId"), [shard]);
}

#[tokio::test]
async fn empty_pages_come_before_the_first_record_of_each_iterator() {
    let (aws, shard) = one_shard().await;
    aws.put_record("orders", &shard, aws.now() - 60_000);
    aws.set_empty_pages("orders", &shard, 2);
    let mut next = iterator(&aws, &shard, "TRIM_HORIZON").await;
    let mut pages = Vec::new();
    for _ in 0..4 {
        let mut page = read(&aws, KINESIS, &next).await;
        pages.push((page["Records"].as_array().unwrap().len(), page["MillisBehindLatest"].as_u64() >= Some(60_000)));
        next = page["NextShardIterator"].take();
    }
    assert_eq!(pages, [(0, true), (0, true), (1, false), (0, false)]);
}

#[tokio::test]
async fn an_iterator_expires_when_the_servers_clock_says_so() {
    let (aws, shard) = one_shard().await;
    let start = iterator(&aws, &shard, "LATEST").await;
    aws.skew_clock(280);
    read(&aws, KINESIS, &start).await;
    aws.skew_clock(300);
    let (kind, message) = refused(&aws, KINESIS, "GetRecords", json!({"ShardIterator": start})).await;
    assert_eq!(kind, "ExpiredIteratorException");
    assert!(message.starts_with("Iterator expired. The iterator was created at time "), "{message}");
    assert!(message.ends_with(" which is further in the future than the tolerated delay of 300000 milliseconds."));
    read(&aws, KINESIS, &iterator(&aws, &shard, "LATEST").await).await;
}

#[tokio::test]
async fn the_age_of_an_expired_iterator_can_be_set() {
    let aws = ScriptedAws::start().await;
    aws.create_table("orders", "order");
    let arn = aws.create_table_stream("orders", NOON);
    let shard = aws.open_change_shard(&arn, None, NOON);
    let start = change_iterator(&aws, &arn, &shard, "LATEST", None).await;
    read(&aws, STREAMS, &start).await;
    aws.expire_iterators_after(0);
    let (kind, message) = refused(&aws, STREAMS, "GetRecords", json!({"ShardIterator": start})).await;
    assert_eq!(kind, "com.amazonaws.dynamodb.v20120810#ExpiredIteratorException");
    assert_eq!(message, "The shard iterator has expired.");
}

#[tokio::test]
async fn a_wrong_clock_shows_in_the_date_of_answers() {
    let (aws, _) = one_shard().await;
    aws.skew_clock(-7200);
    let before = aws.now();
    let answer = request(&aws, KINESIS, SUMMARY, &orders()).send().await.unwrap();
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    let possible: Vec<String> = (before / 1000..=aws.now() / 1000).map(|secs| http_date(secs * 1000)).collect();
    assert!(possible.contains(&date), "{date} is none of {possible:?}");
    assert_eq!(http_date(NOON), "Fri, 20 Nov 2026 12:00:00 GMT");
    assert_eq!(http_date(1_709_251_199_000), "Thu, 29 Feb 2024 23:59:59 GMT");
    aws.skew_clock(0);
    assert!(aws.now() >= before + 7_200_000);
}

#[tokio::test]
async fn answers_have_the_headers_of_their_service() {
    let (aws, _) = one_shard().await;
    let kinesis = request(&aws, KINESIS, SUMMARY, &orders()).send().await.unwrap();
    assert_eq!(kinesis.headers()["content-type"], "application/x-amz-json-1.1");
    assert!(kinesis.headers().contains_key("x-amz-id-2"));
    let dynamodb = request(&aws, DYNAMODB, "Scan", &json!({"TableName": "none"})).send().await.unwrap();
    assert_eq!(dynamodb.headers()["content-type"], "application/x-amz-json-1.0");
    assert_eq!(dynamodb.headers()["x-amzn-requestid"].len(), 52);
    let crc = dynamodb.headers()["x-amz-crc32"].to_str().unwrap().to_owned();
    let body = dynamodb.text().await.unwrap();
    let kind = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
    assert_eq!(body, format!(r#"{{"__type":"{kind}","message":"Requested resource not found"}}"#));
    assert_eq!(crc, "3737639027");
}

#[tokio::test]
async fn the_signers_of_calls_are_known() {
    let (aws, _) = one_shard().await;
    for (key, region) in [("AKIAONE", "eu-west-1"), ("AKIAONE", "eu-west-1"), ("AKIATWO", "us-east-1")] {
        let credential = format!("{key}/20261120/{region}/kinesis/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00");
        let signed = request(&aws, KINESIS, SUMMARY, &orders()).header("Authorization", authorization);
        assert_eq!(signed.send().await.unwrap().status(), 200);
    }
    good(&aws, KINESIS, SUMMARY, orders()).await;
    let signers = aws.signers(SUMMARY);
    let signers: Vec<_> = signers.iter().map(|one| (&*one.access_key_id, &*one.region)).collect();
    assert_eq!(signers, [("AKIAONE", "eu-west-1"), ("AKIATWO", "us-east-1")]);
}
