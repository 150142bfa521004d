//! The operations of Kinesis.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Call, Service};
use super::errors::Refusal;
use super::kinesis::{Stream, shard_number};
use super::kinesis_json::{children, describe, record, summary};
use super::sequence::KinesisNumber;
use super::shard::{self, Cursor, Shard};
use super::{ACCOUNT, Answer, World};

/// Where `ListShards` goes on.
#[derive(Serialize, Deserialize)]
pub(super) struct ShardsToken {
    pub(super) stream: String,
    after: String,
}

impl World {
    pub(super) fn kinesis(&self, call: &Call) -> Answer {
        let stream = self.streams.get(&call.resource);
        let stream = || stream.ok_or_else(|| Refusal::no_stream(&call.resource));
        match &*call.operation {
            "DescribeStreamSummary" => Ok(summary(&call.resource, stream()?, self.now())),
            "ListShards" => self.list_shards(call, stream()?),
            "GetShardIterator" => self.kinesis_iterator(call, stream()?),
            "GetRecords" => {
                let iterator = call.text("ShardIterator").and_then(shard::decode);
                let iterator = iterator.ok_or_else(|| Refusal::invalid_argument("Invalid ShardIterator."))?;
                self.kinesis_records(call, iterator, stream()?)
            }
            _ => Err(Refusal::unknown_operation()),
        }
    }

    fn list_shards(&self, call: &Call, stream: &Stream) -> Answer {
        let mut beside = ["StreamName", "StreamARN", "ExclusiveStartShardId"].into_iter();
        let after = match (call.text("NextToken"), beside.find(|name| call.text(name).is_some())) {
            (Some(_), Some(name)) => {
                let message = format!("NextToken and {name} cannot be provided together.");
                return Err(Refusal::invalid_argument(&message));
            }
            (Some(token), None) => shard::decode::<ShardsToken>(token).map(|token| token.after),
            (None, _) => call.text("ExclusiveStartShardId").map(str::to_owned),
        };
        let mut rest = stream.shards.iter().filter(|shard| after.as_ref().is_none_or(|after| shard.id > *after));
        let page: Vec<&Shard> = rest.by_ref().take(self.page_size(call, 1000, "MaxResults")).collect();
        let mut answer = json!({"Shards": page.iter().map(|shard| describe(shard)).collect::<Vec<_>>()});
        if let (Some(last), Some(_)) = (page.last(), rest.next()) {
            answer["NextToken"] =
                shard::encode(&ShardsToken { stream: call.resource.clone(), after: last.id.clone() }).into();
        }
        Ok(answer)
    }

    fn kinesis_iterator(&self, call: &Call, stream: &Stream) -> Answer {
        let (name, id) = (&call.resource, call.text("ShardId").unwrap_or_default());
        let shard = stream.shard(id).ok_or_else(|| Refusal::no_shard(name, id))?;
        let sequence = call.text("StartingSequenceNumber");
        if let Some(sequence) = sequence {
            check_origin(name, shard, sequence)?;
        }
        let kind = call.text("ShardIteratorType").unwrap_or_default();
        let at_ms = timestamp_ms(&call.input);
        if let Some(at) = at_ms.filter(|at| *at > self.now()) {
            return Err(Refusal::invalid_argument(&format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {at}, currentTimestampInMillis: {}",
                self.now()
            )));
        }
        let position = shard.position(kind, sequence, at_ms);
        let position = position.ok_or_else(|| Refusal::invalid_argument(&format!("no start for a {kind} iterator")))?;
        let iterator = Cursor {
            stream: name.clone(),
            shard: id.to_owned(),
            position,
            created_ms: self.now(),
            empty_pages: shard.empty_pages,
        };
        Ok(json!({"ShardIterator": shard::encode(&iterator)}))
    }

    fn kinesis_records(&self, call: &Call, iterator: Cursor, stream: &Stream) -> Answer {
        let now = self.now();
        self.check_age(Service::Kinesis, &iterator)?;
        let shard = stream.shard(&iterator.shard);
        let shard = shard.ok_or_else(|| Refusal::no_shard(&iterator.stream, &iterator.shard))?;
        if iterator.empty_pages > 0 {
            let unread = shard.page(&iterator.position, 0).unread;
            let behind = unread.map_or(0, |record| now.saturating_sub(record.arrival_ms)).max(1000);
            let next = Cursor { empty_pages: iterator.empty_pages - 1, created_ms: now, ..iterator };
            return Ok(json!({"Records": [], "MillisBehindLatest": behind, "NextShardIterator": shard::encode(&next)}));
        }
        let page = shard.page(&iterator.position, self.page_size(call, 10_000, "Limit"));
        let behind = page.unread.and(page.records.last()).map_or(0, |last| now.saturating_sub(last.arrival_ms).max(1));
        let mut answer = json!({"Records": page.records.iter().map(record).collect::<Vec<_>>()});
        answer["MillisBehindLatest"] = behind.into();
        match page.next {
            Some(position) => {
                answer["NextShardIterator"] = shard::encode(&Cursor { position, created_ms: now, ..iterator }).into();
            }
            None => answer["ChildShards"] = children(stream, shard),
        }
        Ok(answer)
    }

    /// Refuses an iterator that is too old.
    pub(super) fn check_age(&self, service: Service, iterator: &Cursor) -> Result<(), Refusal> {
        let usual = if service == Service::Kinesis { 300_000 } else { 900_000 };
        let (now, life) = (self.now(), self.iterator_life_ms.unwrap_or(usual));
        if now.saturating_sub(iterator.created_ms) < life {
            return Ok(());
        }
        Err(Refusal::expired_iterator(service, iterator.created_ms, now, life))
    }
}

/// The time of an `AT_TIMESTAMP` iterator.
pub(super) fn timestamp_ms(input: &Value) -> Option<u64> {
    let since = Duration::try_from_secs_f64(input["Timestamp"].as_f64()?).ok()?;
    u64::try_from((since + Duration::from_micros(500)).as_millis()).ok()
}

/// Refuses a sequence number that is not of this shard.
fn check_origin(stream: &str, shard: &Shard, sequence: &str) -> Result<(), Refusal> {
    let (own, id) = (KinesisNumber::parse(&shard.starting.0).unwrap(), &shard.id);
    let used = format!(
        "StartingSequenceNumber {sequence} used in GetShardIterator on shard {id} in stream {stream} under account \
         {ACCOUNT} is invalid"
    );
    match KinesisNumber::parse(sequence) {
        None => Err(Refusal::invalid_argument(&format!("{used}."))),
        Some(number) if number.shard != shard_number(id) => Err(Refusal::invalid_argument(&format!(
            "Invalid StartingSequenceNumber. It encodes shardId-{:012}, while it was used in a call to a shard with {id}",
            number.shard
        ))),
        Some(number) if number.created_secs != own.created_secs => {
            Err(Refusal::invalid_argument(&format!("{used} because it did not come from this stream.")))
        }
        Some(_) => Ok(()),
    }
}
