//! One look at a stream: what it needs, what may be called, and the call.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use super::Arguments;
use crate::lag::SourceErrorKind;
use crate::lag::streams::StreamState;
use crate::resize::{Bounds, Calls, Consumer, Consumers, Plan, Progress, Situation, Stream};
use crate::scaling::write_utilization::{ShardNeed, WriteStep, shards_needed};
use crate::source::aws::{StreamControl, StreamReading};
use crate::telemetry::UpstreamMetrics;
use crate::trigger::{SourceRef, StreamName, Trigger, WriteUtilizationPolicy};

/// A lower count waits while a reader is later than this.
const MAX_CONSUMER_AGE: Duration = Duration::from_secs(300);

/// What was read, decided and done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resized {
    stream: String,
    open: u32,
    wanted: u32,
    steps: Vec<WriteStep>,
    steps_in_words: Vec<String>,
    calls_left: u32,
    #[serde(flatten)]
    action: Action,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
enum Action {
    /// The count is right.
    Nothing,
    /// The count stays, for this reason.
    Wait { reason: &'static str, message: String },
    /// The count changes: `applied` where that was called.
    Call { target: u32, applied: bool, reason: Option<&'static str>, message: Option<String> },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Resized> {
    let (bounds, control) = (bounds(arguments)?, control(arguments)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(look(&control, &bounds, arguments.apply))
}

pub(super) fn bounds(arguments: &Arguments) -> anyhow::Result<Bounds> {
    let max = arguments.max.context("--max is required")?;
    ensure!(arguments.min <= max, "--min {} is more than --max {max}", arguments.min);
    Ok(Bounds { min: arguments.min, max, calls_per_day: arguments.calls_per_day })
}

/// The stream that the arguments name, by the rules of a trigger's metadata.
pub(super) fn control(arguments: &Arguments) -> anyhow::Result<StreamControl> {
    let stream = arguments.stream.as_deref().context("--stream is required")?;
    let key = if stream.starts_with("arn:") { "streamARN" } else { "streamName" };
    ensure!(
        key == "streamARN" || arguments.region.is_some(),
        "--region is required where the stream is not given by its ARN"
    );
    let optional = [("awsRegion", &arguments.region), ("awsEndpoint", &arguments.endpoint)];
    let metadata = [("source", "aws-kinesis-stream"), ("scaleOn", "shardCount"), (key, stream)];
    let given = optional.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let metadata: HashMap<_, _> =
        metadata.into_iter().chain(given).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let trigger = Trigger::parse(&metadata)?;
    let SourceRef::Shards(source) = trigger.source else { bail!("{stream} is no Kinesis stream") };
    let StreamName::Kinesis(named) = source.stream else { bail!("{stream} is no Kinesis stream") };
    let identity = source.access.without_connection().context("--region is required")?;
    Ok(StreamControl::new(identity, named, UpstreamMetrics::default()))
}

async fn look(control: &StreamControl, bounds: &Bounds, apply: bool) -> anyhow::Result<Resized> {
    let policy = WriteUtilizationPolicy::default();
    let reading = control.read().await?;
    let need = shards_needed(&policy, &reading.writes, &reading.capacity)
        .with_context(|| format!("the need of stream {control} is unknown"))?;
    let calls = Calls::new(reading.at, &reading.capacity.changes, &[], None);
    let plan = |free, readers: &[Consumer]| planned(&reading, &need, bounds, &calls, &policy, free, readers);
    // a raise needs room in the account, and a lower count waits for readers
    let plan = match plan(None, &[]) {
        Plan::Call { target, .. } if target > reading.capacity.open => plan(Some(control.free_shards().await?), &[]),
        Plan::Call { .. } => plan(None, &readers(control).await?),
        other => other,
    };
    let action = act(control, plan, apply).await?;
    Ok(Resized {
        stream: control.to_string(),
        open: reading.capacity.open,
        wanted: need.wanted,
        steps_in_words: need.steps.iter().map(ToString::to_string).collect(),
        steps: need.steps,
        calls_left: calls.left(bounds.calls_per_day),
        action,
    })
}

/// Without names, whoever reads by `GetRecords` counts as one consumer.
async fn readers(control: &StreamControl) -> anyhow::Result<Vec<Consumer>> {
    let age = control.readers_age().await?;
    let consumer = |age| Consumer {
        application: "a reader of the stream".to_owned(),
        progress: Ok(Progress { age, reads_closed_shards: false }),
    };
    Ok(age.map(consumer).into_iter().collect())
}

fn planned(
    reading: &StreamReading,
    need: &ShardNeed,
    bounds: &Bounds,
    calls: &Calls,
    policy: &WriteUtilizationPolicy,
    free: Option<u32>,
    readers: &[Consumer],
) -> Plan {
    let stream = Stream { state: reading.state, shards: reading.capacity.clone(), free };
    let consumers = Consumers { all: readers.to_vec(), max_age: MAX_CONSUMER_AGE, retention: reading.retention };
    Situation { stream: &stream, bounds, calls, consumers: &consumers, writes: &reading.writes, policy }
        .plan(need.wanted)
}

async fn act(control: &StreamControl, plan: Plan, apply: bool) -> anyhow::Result<Action> {
    Ok(match plan {
        Plan::Nothing => Action::Nothing,
        Plan::Wait(reason) => Action::Wait { reason: reason.name(), message: reason.to_string() },
        Plan::Call { target, limited_by } => {
            if apply {
                call(control, target).await?;
            }
            let reason = limited_by.as_ref().map(crate::resize::Reason::name);
            Action::Call { target, applied: apply, reason, message: limited_by.map(|reason| reason.to_string()) }
        }
    })
}

/// A call whose answer was lost is looked up in the stream, and not repeated.
async fn call(control: &StreamControl, target: u32) -> anyhow::Result<()> {
    match control.update_shard_count(target).await {
        Err(error) if matches!(error.kind(), SourceErrorKind::TimedOut | SourceErrorKind::Unreachable) => {
            let reading = control.read().await.context(error.chain())?;
            let took_effect = reading.state == StreamState::Updating || reading.capacity.open == target;
            ensure!(took_effect, "{}", error.chain());
            Ok(())
        }
        other => Ok(other?),
    }
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stream     {}: {} shards open", self.stream, self.open)?;
        for step in &self.steps_in_words {
            writeln!(f, "because    {step}")?;
        }
        writeln!(f, "calls      {} left within 24 hours", self.calls_left)?;
        match &self.action {
            Action::Nothing => writeln!(f, "result     nothing to do"),
            Action::Wait { message, .. } => writeln!(f, "result     no call: {message}"),
            Action::Call { target, applied, message, .. } => {
                let called = if *applied { "called UpdateShardCount" } else { "would call UpdateShardCount (--apply)" };
                let why = message.as_ref().map(|message| format!("; {message}")).unwrap_or_default();
                writeln!(f, "result     {called} with {target}{why}")
            }
        }
    }
}
