//! The answers to the scaler's requests: `DescribeStreamSummary`, `ListShards`, `GetShardIterator` and `GetRecords` of Kinesis, and `Scan` of
//! DynamoDB.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::leases::Lease;
use super::log::Log;
use super::{Stream, name, number};
use crate::TOPIC;

const ACCOUNT: &str = "123456789012";
const RETENTION_HOURS: u32 = 24;
/// The hash keys of a stream, of which all shards have as many.
const HASH_KEYS: u128 = u128::MAX;
/// A scan of 48 leases reads about 19 KB, and half a unit covers 4 KB.
const READ_UNITS: f64 = 2.5;
/// The content of every record: `an order` in Base64.
const DATA: &str = "YW4gb3JkZXI=";

impl Stream {
    /// Answers a request.
    ///
    /// # Errors
    /// Returns AWS's error, as it is in the body of the answer.
    pub(super) fn answer(&self, target: &str, input: &Value) -> Result<Value, Value> {
        match target.split_once('.') {
            Some(("DynamoDB_20120810", "Scan")) => self.scan(input),
            Some(("Kinesis_20131202", "DescribeStreamSummary")) => Ok(self.summary()),
            Some(("Kinesis_20131202", "ListShards")) => Ok(self.list()),
            Some(("Kinesis_20131202", "GetShardIterator")) => self.iterator(input),
            Some(("Kinesis_20131202", "GetRecords")) => self.records(input),
            _ => Err(refusal("UnknownOperationException", "the stand-in of the demo does not answer this request")),
        }
    }

    fn summary(&self) -> Value {
        json!({"StreamDescriptionSummary": {
            "StreamName": TOPIC,
            "StreamARN": format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{TOPIC}"),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": RETENTION_HOURS,
            "StreamCreationTimestamp": seconds(self.created_ms()),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": self.open_shards(),
        }})
    }

    fn list(&self) -> Value {
        let created = self.created_ms() / 1000;
        let shards = usize::try_from(self.open_shards()).unwrap_or_default();
        let shard = |shard: usize| {
            let (start, end) = hash_keys(shard, shards);
            json!({
                "ShardId": id(shard),
                "HashKeyRange": {"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()},
                "SequenceNumberRange": {"StartingSequenceNumber": number::sequence_number(shard, created, 0, created)},
            })
        };
        json!({"Shards": (0..shards).map(shard).collect::<Vec<_>>()})
    }

    fn iterator(&self, input: &Value) -> Result<Value, Value> {
        let shard = input["ShardId"].as_str().and_then(index).unwrap_or(usize::MAX);
        let state = self.state();
        let log = state.shards.get(shard).ok_or_else(|| refusal("ResourceNotFoundException", "no such shard"))?;
        let counter = input["StartingSequenceNumber"].as_str().and_then(number::counter);
        let from = match (input["ShardIteratorType"].as_str(), counter) {
            (Some("TRIM_HORIZON"), _) => log.start(),
            (Some("AT_SEQUENCE_NUMBER"), Some(counter)) => counter,
            (Some("AFTER_SEQUENCE_NUMBER"), Some(counter)) => counter + 1,
            _ => return Err(refusal("InvalidArgumentException", "the stand-in of the demo has no such iterator")),
        };
        Ok(json!({"ShardIterator": format!("{shard}:{from}")}))
    }

    fn records(&self, input: &Value) -> Result<Value, Value> {
        if self.throttled.load(Ordering::Relaxed) {
            return Err(refusal("ProvisionedThroughputExceededException", "Rate exceeded for the shard."));
        }
        let place = input["ShardIterator"].as_str().and_then(|iterator| {
            let (shard, from) = iterator.split_once(':')?;
            Some((shard.parse::<usize>().ok()?, from.parse::<u64>().ok()?))
        });
        let state = self.state();
        let (shard, from, log) = place
            .and_then(|(shard, from)| Some((shard, from, state.shards.get(shard)?)))
            .ok_or_else(|| refusal("InvalidArgumentException", "Invalid ShardIterator."))?;
        let limit = input["Limit"].as_u64().unwrap_or(10_000);
        let from = from.max(log.start().saturating_sub(1));
        let next = (from + limit).min(log.end());
        let record = |counter: u64| {
            let arrived = log.arrived(counter).unwrap_or_else(|| log.before());
            json!({
                "SequenceNumber": self.sequence_number(shard, log, counter),
                "ApproximateArrivalTimestamp": seconds(self.unix_ms(arrived)),
                "Data": DATA,
                "PartitionKey": counter.to_string(),
            })
        };
        let behind = log.arrived(next).map_or(Duration::ZERO, |next| self.clock.elapsed().saturating_sub(next));
        Ok(json!({
            "Records": (from..next).map(record).collect::<Vec<_>>(),
            "NextShardIterator": format!("{shard}:{next}"),
            "MillisBehindLatest": super::milliseconds(behind).max(u64::from(next < log.end())),
        }))
    }

    fn scan(&self, input: &Value) -> Result<Value, Value> {
        let table = input["TableName"].as_str().unwrap_or_default();
        let rows = self.with(table, |leases, shards| {
            let rows = leases.all().iter().zip(shards).enumerate();
            rows.map(|(shard, (lease, log))| self.row(table, shard, shards.len(), lease, log)).collect::<Vec<_>>()
        });
        let rows = rows.ok_or_else(|| refusal("ResourceNotFoundException", "Requested resource not found"))?;
        Ok(json!({
            "Count": rows.len(),
            "ScannedCount": rows.len(),
            "Items": rows,
            "ConsumedCapacity": {"TableName": table, "CapacityUnits": READ_UNITS},
        }))
    }

    /// Returns a lease as KCL 3 writes it.
    fn row(&self, application: &str, shard: usize, shards: usize, lease: &Lease, log: &Log) -> Value {
        let checkpoint = match lease.checkpoint.checked_sub(1) {
            Some(last) => self.sequence_number(shard, log, last),
            None => "TRIM_HORIZON".to_owned(),
        };
        let (start, end) = hash_keys(shard, shards);
        let mut row = json!({
            "entityType": {"S": "LEASE"},
            "leaseKey": {"S": id(shard)},
            "checkpoint": {"S": checkpoint},
            "checkpointSubSequenceNumber": {"N": "0"},
            "leaseCounter": {"N": lease.counter.to_string()},
            "startingHashKey": {"S": start.to_string()},
            "endingHashKey": {"S": end.to_string()},
            "throughputKBps": {"N": lease.throughput.to_string()},
        });
        if let Some(worker) = lease.owner {
            row["leaseOwner"] = json!({"S": name(application, worker)});
        }
        row
    }
}

/// Returns the id of a shard.
pub(crate) fn id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

/// Returns the number inside the id of a shard.
fn index(id: &str) -> Option<usize> {
    id.strip_prefix("shardId-")?.parse().ok()
}

/// Returns the first and the last hash key of a shard.
fn hash_keys(shard: usize, shards: usize) -> (u128, u128) {
    let width = HASH_KEYS / shards.max(1) as u128;
    let start = width * shard as u128;
    (start, if shard + 1 == shards { HASH_KEYS } else { start + width - 1 })
}

/// Formats a time as AWS's JSON protocols do.
fn seconds(milliseconds: u64) -> Value {
    Duration::from_millis(milliseconds).as_secs_f64().into()
}

/// Returns the body of an error.
fn refusal(kind: &str, message: &str) -> Value {
    json!({"__type": kind, "message": message})
}
