//! An application on a stream, one line per reading.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LineError;
use crate::lag::streams::{AgeBasis, Backlog, Checkpoint, Lease, ShardId, ShardReport, ShardState, Survey, Timestamp};
use crate::lag::{ApplicationObservation, Checkpoints};

/// One reading of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationLine {
    shards: Vec<ShardLine>,
    checkpoints: Checkpoints,
    retention_ms: Option<u64>,
    /// The time by the service's clock: milliseconds since 1970.
    seen: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShardLine {
    shard: String,
    open: Option<bool>,
    backlog: BacklogLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum BacklogLine {
    Finished,
    Waits { on: String },
    CaughtUp,
    Unread { age_ms: u64, basis: AgeBasis },
    NoSuchShard,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaseLine {
    checkpoint: String,
    owner: Option<Arc<str>>,
    counter: Option<u64>,
    throughput_kbps: Option<f64>,
}

impl From<&ApplicationObservation> for ApplicationLine {
    fn from(application: &ApplicationObservation) -> Self {
        Self {
            shards: application.survey.shards.iter().map(ShardLine::from).collect(),
            checkpoints: application.checkpoints,
            retention_ms: application.retention.map(milliseconds),
            seen: application.seen.unix_ms(),
        }
    }
}

impl TryFrom<ApplicationLine> for ApplicationObservation {
    type Error = LineError;

    fn try_from(line: ApplicationLine) -> Result<Self, LineError> {
        let shards: Result<_, _> = line.shards.into_iter().map(ShardReport::try_from).collect();
        Ok(Self {
            survey: Survey { shards: shards?, wanted: Vec::new() },
            checkpoints: line.checkpoints,
            // no decision depends on them, so they are not recorded
            workers: Vec::new(),
            table: None,
            retention: line.retention_ms.map(Duration::from_millis),
            seen: Timestamp::from_unix_ms(line.seen),
        })
    }
}

impl From<&ShardReport> for ShardLine {
    fn from(report: &ShardReport) -> Self {
        Self {
            shard: report.shard.to_string(),
            open: report.state.map(|state| state == ShardState::Open),
            backlog: match &report.backlog {
                Backlog::Finished => BacklogLine::Finished,
                Backlog::Waits { on } => BacklogLine::Waits { on: on.to_string() },
                Backlog::CaughtUp => BacklogLine::CaughtUp,
                Backlog::Unread { age, basis } => BacklogLine::Unread { age_ms: milliseconds(*age), basis: *basis },
                Backlog::NoSuchShard => BacklogLine::NoSuchShard,
            },
            bound_ms: report.bound.map(milliseconds),
            lease: report.lease.as_ref().map(|lease| LeaseLine {
                checkpoint: lease.checkpoint.to_string(),
                owner: lease.owner.clone(),
                counter: lease.counter,
                throughput_kbps: lease.throughput_kbps,
            }),
        }
    }
}

impl TryFrom<ShardLine> for ShardReport {
    type Error = LineError;

    fn try_from(line: ShardLine) -> Result<Self, LineError> {
        let shard = ShardId::new(&line.shard);
        let lease = line.lease.map(|lease| {
            let checkpoint = Checkpoint::parse(&lease.checkpoint);
            let checkpoint = checkpoint.ok_or(LineError::Word(lease.checkpoint, "checkpoint"))?;
            let LeaseLine { owner, counter, throughput_kbps, .. } = lease;
            // ages are recorded as they were read
            let (sub_sequence, parents) = (None, Vec::new());
            Ok(Lease { shard: shard.clone(), checkpoint, sub_sequence, parents, owner, counter, throughput_kbps })
        });
        let backlog = match line.backlog {
            BacklogLine::Finished => Backlog::Finished,
            BacklogLine::Waits { on } => Backlog::Waits { on: ShardId::new(&on) },
            BacklogLine::CaughtUp => Backlog::CaughtUp,
            BacklogLine::Unread { age_ms, basis } => Backlog::Unread { age: Duration::from_millis(age_ms), basis },
            BacklogLine::NoSuchShard => Backlog::NoSuchShard,
        };
        let state = line.open.map(|open| if open { ShardState::Open } else { ShardState::Closed });
        let bound = line.bound_ms.map(Duration::from_millis);
        Ok(Self { shard, state, lease: lease.transpose()?, bound, backlog })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
