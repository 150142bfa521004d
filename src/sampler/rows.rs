//! A reading row by row, as operators see it in `/samples` and `explain`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::lag::flow::{Flow, Split};
use crate::lag::streams::{AgeBasis, Backlog, ShardReport, ShardState, Timestamp, Worker};
use crate::lag::{
    Behind, CommittedOffset, GroupObservation, History, Members, Observation, PartitionId, PartitionObservation,
};
use crate::scaling::Sample;
use crate::trigger::GroupType;

/// The rows of a reading.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Rows {
    /// Of a Kafka consumer group.
    Partitions {
        /// One a partition.
        partitions: Vec<PartitionRow>,
    },
    /// Of an application on a stream.
    Shards {
        /// One a shard.
        shards: Vec<ShardRow>,
        /// One a worker that has written something of itself.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        workers: Vec<WorkerRow>,
    },
}

/// A partition of a topic.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRow {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: u32,
    /// What the group committed, if it did.
    pub committed: Option<u64>,
    /// The first offset that is still there.
    pub start: u64,
    /// The end of the log.
    pub end: u64,
    /// Records that the log holds and the group has not read; none are known without a valid commit.
    pub records_behind: Option<u64>,
    /// How long the commit has stood still.
    pub commit_unchanged_for_seconds: f64,
    /// Whose it is, by client id, where that is read; `every consumer` in a share group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Records that arrive in a second, where that is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals_per_second: Option<f64>,
}

/// A shard of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardRow {
    /// The shard.
    pub shard: String,
    /// `open`, `closed`, or `gone` where the stream does not have it.
    pub state: &'static str,
    /// How far the application is, in its own words, if it has said so.
    pub checkpoint: Option<String>,
    /// Who works on it.
    pub owner: Option<String>,
    /// What its owner reads in a second, where the store says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kilobytes_per_second: Option<f64>,
    /// Since the record of the checkpoint arrived: an upper bound of the age, told without reading.
    pub bound_seconds: Option<f64>,
    /// What is unread: `finished`, `waits`, `caughtUp`, `unread` or `noSuchShard`.
    pub backlog: &'static str,
    /// The shard that comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_on: Option<String>,
    /// How old the oldest unread record is, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// What told the age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_from: Option<AgeBasis>,
}

/// A worker of an application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRow {
    /// Its name.
    pub worker: String,
    /// The last measurements of its CPU, the newest last.
    pub cpu_percent: Vec<f64>,
    /// It is given no more work above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_cpu_percent: Option<f64>,
    /// How long ago it wrote that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_seconds_ago: Option<f64>,
}

impl Rows {
    /// The rows of a sample.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        match (&sample.observation, &sample.history, &sample.facts.behind) {
            (Observation::Kafka(group), History::Kafka(history), Behind::Records(lag)) => {
                let flow = Followed::of(sample);
                let rows = lag.with(group, history).map(|(topic, partition, past, lag)| PartitionRow {
                    topic: topic.name.to_string(),
                    partition: partition.partition.0,
                    committed: match partition.committed {
                        CommittedOffset::None => None,
                        CommittedOffset::At(offset) => Some(offset.0),
                    },
                    start: partition.watermarks.start.0,
                    end: partition.watermarks.end.0,
                    records_behind: lag.records_behind,
                    commit_unchanged_for_seconds: sample.taken_at.since(past.unchanged_since).as_secs_f64(),
                    owner: owner(group, partition),
                    arrivals_per_second: flow.arrivals(&topic.name, partition.partition),
                });
                Self::Partitions { partitions: rows.collect() }
            }
            (Observation::Application(application), ..) => Self::Shards {
                shards: application.survey.shards.iter().map(ShardRow::of).collect(),
                workers: application.workers.iter().map(|worker| WorkerRow::of(worker, application.seen)).collect(),
            },
            (Observation::Shards(_) | Observation::Writes(_) | Observation::Kafka(_), ..) => {
                Self::Shards { shards: Vec::new(), workers: Vec::new() }
            }
        }
    }
}

/// What is followed of each partition.
struct Followed<'a>(HashMap<&'a Split, f64>);

impl<'a> Followed<'a> {
    fn of(sample: &'a Sample) -> Self {
        let Some(Flow::Offsets(flow)) = &sample.flow else { return Self(HashMap::new()) };
        Self(flow.partitions().iter().map(|partition| (&partition.place, partition.arrivals())).collect())
    }

    fn arrivals(&self, topic: &Arc<str>, partition: PartitionId) -> Option<f64> {
        self.0.get(&Split::Partition(topic.clone(), partition)).copied()
    }
}

impl ShardRow {
    fn of(report: &ShardReport) -> Self {
        let (backlog, waits_on, age) = match &report.backlog {
            Backlog::Finished => ("finished", None, None),
            Backlog::Waits { on } => ("waits", Some(on.to_string()), None),
            Backlog::CaughtUp => ("caughtUp", None, None),
            Backlog::Unread { age, basis } => ("unread", None, Some((age, *basis))),
            Backlog::NoSuchShard => ("noSuchShard", None, None),
        };
        Self {
            shard: report.shard.to_string(),
            state: match report.state {
                Some(ShardState::Open) => "open",
                Some(ShardState::Closed) => "closed",
                None => "gone",
            },
            checkpoint: report.lease.as_ref().map(|lease| lease.checkpoint.to_string()),
            owner: report.lease.as_ref().and_then(|lease| lease.owner.as_ref()).map(ToString::to_string),
            kilobytes_per_second: report.lease.as_ref().and_then(|lease| lease.throughput_kbps),
            bound_seconds: report.bound.map(|bound| bound.as_secs_f64()),
            backlog,
            waits_on,
            age_seconds: age.map(|(age, _)| age.as_secs_f64()),
            age_from: age.map(|(_, basis)| basis),
        }
    }
}

impl WorkerRow {
    fn of(worker: &Worker, seen: Timestamp) -> Self {
        Self {
            worker: worker.id.to_string(),
            cpu_percent: worker.cpu_percent.clone(),
            most_cpu_percent: worker.most_cpu_percent,
            written_seconds_ago: worker.written.map(|written| seen.since(written).as_secs_f64()),
        }
    }
}

fn owner(group: &GroupObservation, partition: &PartitionObservation) -> Option<String> {
    match (group.group_type, &group.members) {
        (GroupType::Share, Members::Settled(members)) if !members.is_empty() => Some("every consumer".to_owned()),
        _ => group.owner(partition).map(|member| member.client_id.to_string()),
    }
}

impl fmt::Display for PartitionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, start, end, .. } = self;
        match self.committed {
            Some(offset) => write!(f, "{topic}/{partition}  committed {offset}, log {start}..{end}")?,
            None => write!(f, "{topic}/{partition}  committed none, log {start}..{end}")?,
        }
        if let Some(arrivals) = self.arrivals_per_second {
            write!(f, ", {arrivals:.1} a second arrive")?;
        }
        self.owner.as_ref().map_or(Ok(()), |owner| write!(f, ", owner {owner}"))
    }
}

impl fmt::Display for ShardRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        let checkpoint = self.checkpoint.clone().unwrap_or_else(none);
        let owner = self.owner.clone().unwrap_or_else(none);
        write!(f, "{}  {}, checkpoint {checkpoint}, owner {owner}", self.shard, self.state)?;
        if let Some(bound) = self.bound_seconds {
            write!(f, ", at most {bound:.1} s by its checkpoint")?;
        }
        match (self.backlog, &self.waits_on, self.age_seconds, self.age_from) {
            (_, Some(on), ..) => write!(f, "; waits for {on}"),
            (_, _, Some(age), Some(AgeBasis::Record)) => write!(f, "; first unread record {age:.1} s old"),
            (_, _, Some(age), _) => write!(f, "; unread records at most {age:.1} s old"),
            ("caughtUp", ..) => write!(f, "; nothing unread"),
            ("finished", ..) => write!(f, "; finished"),
            _ => write!(f, "; the stream has no such shard"),
        }
    }
}

impl fmt::Display for WorkerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  ", self.worker)?;
        if self.cpu_percent.is_empty() {
            f.write_str("worker, CPU not measured")?;
        } else {
            let samples: Vec<_> = self.cpu_percent.iter().map(|percent| format!("{percent:.0}")).collect();
            write!(f, "worker, CPU {} %", samples.join(", "))?;
        }
        if let Some(most) = self.most_cpu_percent {
            write!(f, " of {most:.0} %")?;
        }
        self.written_seconds_ago.map_or(Ok(()), |seconds| write!(f, "; written {seconds:.0} s ago"))
    }
}
