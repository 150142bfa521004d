//! `UpdateShardCount` and what AWS keeps of a stream besides its shards: mode, status, tags and the account's limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::kinesis::Stream;
use super::{ACCOUNT, Answer, ScriptedAws, World};

/// Calls that AWS takes in 24 hours.
const CALLS_PER_DAY: usize = 10;
const DAY_MS: u64 = 86_400_000;

/// What can change of a stream besides its records.
#[derive(Default)]
pub(super) struct Control {
    pub(super) on_demand: bool,
    /// A change takes so long.
    takes_ms: u64,
    updating_until_ms: u64,
    /// When the count was changed.
    changed_ms: Vec<u64>,
    tags: BTreeMap<String, String>,
}

impl Control {
    pub(super) const fn status(&self, now: u64) -> &'static str {
        if now < self.updating_until_ms { "UPDATING" } else { "ACTIVE" }
    }
}

impl ScriptedAws {
    /// AWS sizes the stream from now on.
    pub fn set_on_demand(&self, stream: &str) {
        self.with_stream(stream, |stream| stream.control.on_demand = true);
    }

    /// A change of the number of shards takes so long from now on.
    pub fn resharding_takes(&self, stream: &str, milliseconds: u64) {
        self.with_stream(stream, |stream| stream.control.takes_ms = milliseconds);
    }

    /// The account may have so many open shards.
    pub fn set_shard_limit(&self, shards: usize) {
        self.world().shard_limit = Some(shards);
    }

    /// Another hand changes the number of shards.
    pub fn reshard(&self, stream: &str, target: usize) {
        let now = self.now();
        self.with_stream(stream, |stream| stream.reshard(target, now));
    }

    /// So many calls were made within a day already.
    pub fn use_calls(&self, stream: &str, calls: usize) {
        let now = self.now();
        self.with_stream(stream, |stream| stream.control.changed_ms.extend(std::iter::repeat_n(now, calls)));
    }

    pub fn tags(&self, stream: &str) -> BTreeMap<String, String> {
        self.with_stream(stream, |stream| stream.control.tags.clone())
    }

    pub fn tag(&self, stream: &str, key: &str, value: &str) {
        self.with_stream(stream, |stream| drop(stream.control.tags.insert(key.to_owned(), value.to_owned())));
    }

    pub fn open_shards(&self, stream: &str) -> usize {
        self.with_stream(stream, |stream| stream.open_shards())
    }
}

impl Stream {
    pub(super) fn open_shards(&self) -> usize {
        self.shards.iter().filter(|shard| shard.ending.is_none()).count()
    }

    /// Even ranges of hash keys; each closed shard has a child, and each new one a parent or two.
    fn reshard(&mut self, target: usize, now: u64) {
        let open = self.shards.iter().filter(|shard| shard.ending.is_none()).map(|shard| shard.id.clone());
        let ranges: Vec<_> = open.collect::<Vec<_>>().into_iter().map(|id| (self.close(&id, now), id)).collect();
        let target = u128::try_from(target).unwrap();
        let width = u128::MAX / target + u128::from(target > 1);
        let middle = |(start, end): (u128, u128)| start + (end - start) / 2;
        for nth in 0..target {
            let range = (nth * width, if nth + 1 == target { u128::MAX } else { (nth + 1) * width - 1 });
            let within = |range: (u128, u128), key: u128| (range.0..=range.1).contains(&key);
            let merged = ranges.iter().filter(|(parent, _)| within(range, middle(*parent)));
            let mut parents: Vec<_> = merged.map(|(_, id)| id.clone()).collect();
            if parents.is_empty() {
                let split = ranges.iter().find(|(parent, _)| within(*parent, middle(range)));
                parents.extend(split.map(|(_, id)| id.clone()));
            }
            self.open(now, range, parents);
        }
        self.control.updating_until_ms = now + self.control.takes_ms;
    }
}

impl World {
    /// Operations that are not about shards and records; `None` where it is no such.
    pub(super) fn kinesis_control(&mut self, call: &Call) -> Option<Answer> {
        let now = self.now();
        match &*call.operation {
            "DescribeLimits" => {
                let open: usize = self.streams.values().map(Stream::open_shards).sum();
                Some(Ok(json!({
                    "ShardLimit": self.shard_limit.unwrap_or(500), "OpenShardCount": open,
                    "OnDemandStreamCount": 0, "OnDemandStreamCountLimit": 50,
                })))
            }
            "UpdateShardCount" => Some(self.update_shard_count(call, now)),
            "AddTagsToStream" => Some(self.changed(call, |stream| {
                for (key, value) in call.input["Tags"].as_object().unwrap() {
                    stream.control.tags.insert(key.clone(), value.as_str().unwrap().to_owned());
                }
            })),
            "RemoveTagsFromStream" => Some(self.changed(call, |stream| {
                let keys = call.input["TagKeys"].as_array().unwrap();
                stream.control.tags.retain(|key, _| !keys.iter().any(|gone| gone == key));
            })),
            "ListTagsForStream" => {
                let stream = self.streams.get(&call.resource).ok_or_else(|| Refusal::no_stream(&call.resource));
                Some(stream.map(|stream| {
                    let tags = stream.control.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
                    json!({"Tags": tags.collect::<Vec<_>>(), "HasMoreTags": false})
                }))
            }
            _ => None,
        }
    }

    fn changed(&mut self, call: &Call, change: impl FnOnce(&mut Stream)) -> Answer {
        change(self.streams.get_mut(&call.resource).ok_or_else(|| Refusal::no_stream(&call.resource))?);
        Ok(json!({}))
    }

    fn update_shard_count(&mut self, call: &Call, now: u64) -> Answer {
        let name = &call.resource;
        let limit = self.shard_limit;
        let all: usize = self.streams.values().map(Stream::open_shards).sum();
        let stream = self.streams.get_mut(name).ok_or_else(|| Refusal::no_stream(name))?;
        let open = stream.open_shards();
        let target = usize::try_from(call.input["TargetShardCount"].as_u64().unwrap()).unwrap();
        if stream.control.on_demand {
            let message = format!("Request is invalid. Stream {name} under account {ACCOUNT} is in On-Demand mode.");
            return Err(Refusal::kinesis("ValidationException", &message));
        }
        if stream.control.status(now) != "ACTIVE" {
            let message = format!("Stream {name} under account {ACCOUNT} not ACTIVE, instead in state UPDATING");
            return Err(Refusal::kinesis("ResourceInUseException", &message));
        }
        if target > 2 * open || target < open.div_ceil(2) || target == 0 {
            let message = format!(
                "UpdateShardCount cannot scale below half or over double the current {open} shards: {target} requested."
            );
            return Err(Refusal::invalid_argument(&message));
        }
        stream.control.changed_ms.retain(|at| now - at < DAY_MS);
        if stream.control.changed_ms.len() >= CALLS_PER_DAY {
            let message = "Unable to scale the stream, it has been scaled 10 times within the last 24 hours";
            return Err(Refusal::kinesis("LimitExceededException", message));
        }
        if limit.is_some_and(|limit| all - open + target > limit) {
            let message = "Operation would result more shards than the configured shard limit for this account";
            return Err(Refusal::kinesis("LimitExceededException", message));
        }
        stream.control.changed_ms.push(now);
        stream.reshard(target, now);
        Ok(json!({"StreamName": name, "CurrentShardCount": open, "TargetShardCount": target, "StreamARN": Value::Null}))
    }
}
