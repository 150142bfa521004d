//! What Kinesis says about streams, shards and records.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kinesis::{Stream, stream_arn};
use super::shard::{Record, Shard};

/// What `DescribeStreamSummary` says.
pub(super) fn summary(name: &str, stream: &Stream, now: u64) -> Value {
    let mode = if stream.control.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
    json!({"StreamDescriptionSummary": {
        "StreamName": name,
        "StreamARN": stream_arn(name),
        "StreamStatus": stream.control.status(now),
        "StreamModeDetails": {"StreamMode": mode},
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": seconds(stream.created_ms),
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": stream.shards.iter().filter(|shard| shard.ending.is_none()).count(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": stream.max_record_kib,
    }})
}

/// What `ListShards` says of a shard.
pub(super) fn describe(shard: &Shard) -> Value {
    let mut description = json!({
        "ShardId": shard.id,
        "HashKeyRange": hash_range(shard),
        "SequenceNumberRange": {"StartingSequenceNumber": shard.starting},
    });
    for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&shard.parents) {
        description[name] = parent.as_str().into();
    }
    if let Some(ending) = &shard.ending {
        description["SequenceNumberRange"]["EndingSequenceNumber"] = json!(ending);
    }
    description
}

/// What the last page of a closed shard says.
pub(super) fn children(stream: &Stream, parent: &Shard) -> Value {
    let children = stream.shards.iter().filter(|shard| shard.parents.contains(&parent.id));
    let describe =
        |shard: &Shard| json!({"ShardId": shard.id, "ParentShards": shard.parents, "HashKeyRange": hash_range(shard)});
    children.map(describe).collect()
}

fn hash_range(shard: &Shard) -> Value {
    let (start, end) = shard.hash_range;
    json!({"StartingHashKey": start.to_string(), "EndingHashKey": end.to_string()})
}

/// What `GetRecords` says of a record.
pub(super) fn record(record: &Record) -> Value {
    json!({
        "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": seconds(record.arrival_ms),
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": "customer",
    })
}

/// A time as AWS's JSON writes it.
fn seconds(ms: u64) -> Value {
    Duration::from_millis(ms).as_secs_f64().into()
}
