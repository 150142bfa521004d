//! The operations of DynamoDB Streams.

use serde_json::{Value, json};

use super::call::{Call, Service};
use super::errors::Refusal;
use super::kinesis_api::timestamp_ms;
use super::shard::{self, Cursor, Record, Shard};
use super::streams::ChangeStream;
use super::{Answer, REGION, World};

impl World {
    pub(super) fn streams(&self, call: &Call) -> Answer {
        let stream = self.changes.get(&call.resource);
        let stream = || stream.ok_or_else(Refusal::no_resource);
        match &*call.operation {
            "DescribeStream" => Ok(self.describe_changes(call, stream()?)),
            "GetShardIterator" => self.change_iterator(call, stream()?),
            "GetRecords" => {
                let iterator = call.text("ShardIterator").and_then(shard::decode);
                let iterator = iterator.ok_or_else(|| Refusal::validation("Invalid ShardIterator"))?;
                self.change_records(call, iterator, stream()?)
            }
            _ => Err(Refusal::unknown_operation()),
        }
    }

    fn describe_changes(&self, call: &Call, stream: &ChangeStream) -> Value {
        let after = call.text("ExclusiveStartShardId");
        let parent = call.input["ShardFilter"]["ShardId"].as_str();
        let asked = stream.shards.iter().filter(|shard| parent.is_none_or(|id| shard.parents.iter().any(|p| p == id)));
        let from_last = asked.skip_while(|shard| after.is_some_and(|after| shard.id != after));
        let mut rest = from_last.skip(usize::from(after.is_some()));
        let page: Vec<&Shard> = rest.by_ref().take(self.page_size(call, 100, "Limit")).collect();
        let mut description = json!({
            "StreamArn": call.resource,
            "StreamLabel": call.resource.rsplit('/').next(),
            "StreamStatus": "ENABLED",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "CreationRequestDateTime": stream.created_ms / 1000,
            "TableName": stream.table,
            "Shards": page.iter().map(|shard| describe(shard)).collect::<Vec<_>>(),
        });
        if let (Some(last), Some(_)) = (page.last(), rest.next()) {
            description["LastEvaluatedShardId"] = last.id.as_str().into();
        }
        json!({"StreamDescription": description})
    }

    fn change_iterator(&self, call: &Call, stream: &ChangeStream) -> Answer {
        let shard = stream.shard(call.text("ShardId").unwrap_or_default()).ok_or_else(Refusal::no_resource)?;
        let kind = call.text("ShardIteratorType").unwrap_or_default();
        let position = shard.position(kind, call.text("SequenceNumber"), timestamp_ms(&call.input));
        let position = position.ok_or_else(|| Refusal::validation(&format!("no start for a {kind} iterator")))?;
        let iterator = Cursor {
            stream: call.resource.clone(),
            shard: shard.id.clone(),
            position,
            created_ms: self.now(),
            empty_pages: shard.empty_pages,
        };
        Ok(json!({"ShardIterator": shard::encode(&iterator)}))
    }

    fn change_records(&self, call: &Call, iterator: Cursor, stream: &ChangeStream) -> Answer {
        self.check_age(Service::Streams, &iterator)?;
        let shard = stream.shard(&iterator.shard).ok_or_else(Refusal::no_resource)?;
        if shard.trimmed.as_ref().is_some_and(|trimmed| !iterator.position.is_past(trimmed)) {
            return Err(Refusal::trimmed());
        }
        let created_ms = self.now();
        if iterator.empty_pages > 0 {
            let next = Cursor { empty_pages: iterator.empty_pages - 1, created_ms, ..iterator };
            return Ok(json!({"Records": [], "NextShardIterator": shard::encode(&next)}));
        }
        let page = shard.page(&iterator.position, self.page_size(call, 1000, "Limit"));
        let mut answer = json!({"Records": page.records.iter().map(record).collect::<Vec<_>>()});
        if let Some(position) = page.next {
            answer["NextShardIterator"] = shard::encode(&Cursor { position, created_ms, ..iterator }).into();
        }
        Ok(answer)
    }
}

fn describe(shard: &Shard) -> Value {
    let mut description =
        json!({"ShardId": shard.id, "SequenceNumberRange": {"StartingSequenceNumber": shard.starting}});
    if let Some(parent) = shard.parents.first() {
        description["ParentShardId"] = parent.as_str().into();
    }
    if let Some(ending) = &shard.ending {
        description["SequenceNumberRange"]["EndingSequenceNumber"] = json!(ending);
    }
    description
}

/// A change, with its time cut to the second, as AWS does.
fn record(record: &Record) -> Value {
    json!({
        "eventID": record.sequence,
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": record.arrival_ms / 1000,
            "Keys": {"order": {"S": "1"}},
            "SequenceNumber": record.sequence,
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}
