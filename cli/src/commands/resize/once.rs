//! One check of a stream: the shards that it needs, the allowed call, and the call itself.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use tokio::time::interval;

use super::super::output::{self, Format};
use super::super::{Signals, sampler};
use super::Arguments;
use crate::controller::Planner;
use crate::lag::streams::StreamReading;
use crate::resize::{Bounds, Calls, Plan};
use crate::scaling::write_utilization::{WriteStep, shards_needed};
use crate::source::aws::{ShardChange, StreamAccount, StreamControl};
use crate::telemetry::UpstreamMetrics;
use crate::tenancy::Connections;
use crate::trigger::{SourceRef, Trigger, WriteUtilizationPolicy};

/// The shortest interval between two checks.
const SHORTEST_EVERY: Duration = Duration::from_secs(60);

/// The reading, the decision and the action.
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

/// The action that followed from the check.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
enum Action {
    /// The shard count is right.
    Nothing,
    /// The count stays for this reason.
    Wait { reason: &'static str, message: String },
    /// The count changes; `applied` is true if the call was made.
    Call { target: u32, applied: bool, reason: Option<&'static str>, message: Option<String> },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Resized> {
    let (bounds, control) = (bounds(arguments)?, control(arguments)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(look(&control, &bounds, arguments))
}

/// Checks repeatedly until a signal arrives; a signal never interrupts between the decision and the end of a call. Text output has
/// only what differs from the previous check; JSON output has one line per check.
pub(super) fn repeat(arguments: &Arguments, every: Duration) -> anyhow::Result<()> {
    ensure!(every >= SHORTEST_EVERY, "--every must be 1m at least: CloudWatch has a point per minute");
    let (bounds, control) = (bounds(arguments)?, control(arguments)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut signals, mut looks, mut shown) = (Signals::listen()?, interval(every), String::new());
        loop {
            tokio::select! {
                () = signals.next() => return Ok(()),
                _ = looks.tick() => {}
            }
            match (look(&control, &bounds, arguments).await, arguments.output) {
                (Err(error), _) => output::failure(&error),
                (Ok(resized), Format::Json) => output::data(&format!("{}\n", serde_json::to_string(&resized)?))?,
                (Ok(resized), Format::Text) => {
                    let text = resized.to_string();
                    if text != shown {
                        output::data(&text)?;
                        shown = text;
                    }
                }
            }
        }
    })
}

pub(super) fn bounds(arguments: &Arguments) -> anyhow::Result<Bounds> {
    let max = arguments.max.context("--max is required")?;
    ensure!(arguments.min <= max, "--min {} is more than --max {max}", arguments.min);
    Ok(Bounds { min: arguments.min, max, calls_per_day: arguments.calls_per_day })
}

/// Creates the control of the stream that the arguments name.
pub(super) fn control(arguments: &Arguments) -> anyhow::Result<StreamControl> {
    let SourceRef::Writes(source) = trigger(arguments, &[("scaleOn", "writeUtilization")])?.source else {
        bail!("--stream must be a Kinesis stream")
    };
    let identity = source.access.without_connection().context("--region is required")?;
    Ok(StreamAccount::new(identity, UpstreamMetrics::default(), None).stream(source.stream))
}

/// Creates a trigger on the stream that the arguments name; its metadata has its own rules for names and regions.
fn trigger(arguments: &Arguments, more: &[(&str, &str)]) -> anyhow::Result<Trigger> {
    let stream = arguments.stream.as_deref().context("--stream is required")?;
    let key = if stream.starts_with("arn:") { "streamARN" } else { "streamName" };
    ensure!(
        key == "streamARN" || arguments.region.is_some(),
        "--region is required where the stream is not given by its ARN"
    );
    let optional = [("awsRegion", &arguments.region), ("awsEndpoint", &arguments.endpoint)];
    let given = optional.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let metadata = [("source", "aws-kinesis-stream"), (key, stream)].into_iter().chain(given);
    let metadata: HashMap<_, _> =
        metadata.chain(more.iter().copied()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(Trigger::parse(&metadata)?)
}

/// Returns the triggers of the applications that the arguments name.
fn applications(arguments: &Arguments) -> anyhow::Result<Vec<(String, Trigger)>> {
    let named = arguments.consumers.iter().map(|application| {
        let trigger = trigger(arguments, &[("scaleOn", "age"), ("applicationName", application)])?;
        Ok((application.clone(), trigger))
    });
    named.collect()
}

async fn look(control: &StreamControl, bounds: &Bounds, arguments: &Arguments) -> anyhow::Result<Resized> {
    let policy = WriteUtilizationPolicy::default();
    let (reading, writes) = (control.read(Duration::ZERO).await?, control.writes().await?);
    let need = shards_needed(&policy, &writes, &reading.capacity)
        .with_context(|| format!("the need of stream {control} is unknown"))?;
    let calls = Calls::new(reading.at, reading.capacity.changes.as_deref().unwrap_or_default(), &[], None);
    let planner = Planner {
        control,
        bounds: *bounds,
        sampler: &sampler(Connections::unrestricted()),
        namespace: "resize",
        applications: &applications(arguments)?,
        max_consumer_age: arguments.max_consumer_age,
    };
    let plan = planner.plan(need.wanted, &reading, &calls, Some(&writes)).await?;
    let action = act(control, &reading, plan, arguments.apply).await?;
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

async fn act(control: &StreamControl, reading: &StreamReading, plan: Plan, apply: bool) -> anyhow::Result<Action> {
    Ok(match plan {
        Plan::Nothing => Action::Nothing,
        Plan::Wait(reason) => Action::Wait { reason: reason.name(), message: reason.to_string() },
        Plan::Call { target, limited_by } => {
            if apply {
                let why = limited_by.as_ref().map_or_else(String::new, ToString::to_string);
                control.resize(&ShardChange { at: reading.at, from: reading.capacity.open, to: target, why }).await?;
            }
            let reason = limited_by.as_ref().map(crate::resize::Reason::name);
            Action::Call { target, applied: apply, reason, message: limited_by.map(|reason| reason.to_string()) }
        }
    })
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
