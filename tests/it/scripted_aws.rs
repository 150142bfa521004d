//! What the scripted AWS promises to the tests that stand on it.

mod dynamodb;
mod kinesis;
mod misbehaviour;
mod resharding;
mod streams;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::scripted_aws::ScriptedAws;

const KINESIS: &str = "Kinesis_20131202";
const DYNAMODB: &str = "DynamoDB_20120810";
const STREAMS: &str = "DynamoDBStreams_20120810";

/// Noon of 20 November 2026.
const NOON: u64 = 1_795_176_000_000;

fn request(aws: &ScriptedAws, service: &str, operation: &str, input: &Value) -> RequestBuilder {
    let client = Client::builder().no_proxy().build().unwrap();
    client.post(aws.endpoint()).header("X-Amz-Target", format!("{service}.{operation}")).body(input.to_string())
}

async fn ask(aws: &ScriptedAws, service: &str, operation: &str, input: Value) -> (u16, Value) {
    let answer = request(aws, service, operation, &input).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// An answer that must be good.
async fn good(aws: &ScriptedAws, service: &str, operation: &str, input: Value) -> Value {
    let (status, body) = ask(aws, service, operation, input).await;
    assert_eq!(status, 200, "{operation}: {body}");
    body
}

/// The type and the message of an answer that must be an error.
async fn refused(aws: &ScriptedAws, service: &str, operation: &str, input: Value) -> (String, String) {
    let (status, body) = ask(aws, service, operation, input).await;
    assert_ne!(status, 200, "{operation}: {body}");
    let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
    (body["__type"].as_str().unwrap().to_owned(), message.to_owned())
}

/// An iterator over a shard of the stream `orders`.
async fn iterator(aws: &ScriptedAws, shard: &str, kind: &str) -> Value {
    let input = json!({"StreamName": "orders", "ShardId": shard, "ShardIteratorType": kind});
    good(aws, KINESIS, "GetShardIterator", input).await["ShardIterator"].take()
}

async fn read(aws: &ScriptedAws, service: &str, iterator: &Value) -> Value {
    good(aws, service, "GetRecords", json!({"ShardIterator": iterator})).await
}

/// An iterator over a shard of this stream of a table.
async fn change_iterator(aws: &ScriptedAws, arn: &str, shard: &str, kind: &str, after: Option<&str>) -> Value {
    let mut input = json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind});
    if let Some(after) = after {
        input["SequenceNumber"] = after.into();
    }
    good(aws, STREAMS, "GetShardIterator", input).await["ShardIterator"].take()
}

/// The texts of one attribute of each entry.
fn each<'a>(entries: &'a Value, pointer: &str) -> Vec<&'a str> {
    entries.as_array().unwrap().iter().map(|entry| entry.pointer(pointer).unwrap().as_str().unwrap()).collect()
}

/// A server with a stream `orders` of one shard.
async fn one_shard() -> (ScriptedAws, String) {
    let aws = ScriptedAws::start().await;
    let shard = aws.create_stream("orders", 1, NOON).remove(0);
    (aws, shard)
}
