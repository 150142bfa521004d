//! A reading row by row, as `/samples` and `explain` show it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::lag::flow::{Flow, Split};
use crate::lag::streams::{AgeBasis, Backlog, ShardReport, ShardState, Timestamp, Worker};
use crate::lag::{
    Behind, CommittedOffset, GroupObservation, History, Member, Members, Observation, PartitionObservation,
};
use crate::scaling::Sample;
use crate::trigger::GroupType;

/// The number of characters of a member id that distinguish consumers with one client id.
const ID_END: usize = 8;

/// The rows of a reading.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Rows {
    /// The rows of a Kafka consumer group.
    Partitions {
        /// One row per partition.
        partitions: Vec<PartitionRow>,
    },
    /// The rows of an application on a stream.
    Shards {
        /// One row per shard.
        shards: Vec<ShardRow>,
        /// One row per worker that has published its metrics.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        workers: Vec<WorkerRow>,
    },
}

/// The row of one partition of a topic.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRow {
    /// The name of the topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The committed offset of the group, if there is one.
    pub committed: Option<u64>,
    /// The first offset that the log still holds.
    pub start: u64,
    /// The end offset of the log.
    pub end: u64,
    /// The records that the log holds and the group has not read; absent without a valid commit.
    pub records_behind: Option<u64>,
    /// The time since the commit last changed, in seconds.
    pub commit_unchanged_for_seconds: f64,
    /// The client id of the owner, if members are read, with the end of its member id where several members have that client id;
    /// `every consumer` in a share group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The arrivals in records per second, if they are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals_per_second: Option<f64>,
    /// The progress of the commit in records per second, if it is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumed_per_second: Option<f64>,
    /// The age of the oldest unread record in seconds, as `catchUp` estimates it from lag and arrivals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
}

/// The row of one shard of a stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardRow {
    /// The id of the shard.
    pub shard: String,
    /// `open`, `closed`, or `gone` if the stream does not have it.
    pub state: &'static str,
    /// The application's checkpoint as stored, if there is one.
    pub checkpoint: Option<String>,
    /// The worker that owns the lease, if there is one.
    pub owner: Option<String>,
    /// The arrivals in kilobytes per second, if they are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arriving_kilobytes_per_second: Option<f64>,
    /// The throughput of its owner in kilobytes per second, if the checkpoint store has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kilobytes_per_second: Option<f64>,
    /// The time since the record of the checkpoint arrived, in seconds: an upper bound of the age that needs no read of the shard.
    pub bound_seconds: Option<f64>,
    /// The state of the backlog: `finished`, `waits`, `caughtUp`, `unread` or `noSuchShard`.
    pub backlog: &'static str,
    /// The parent shard that must be finished first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_on: Option<String>,
    /// The age of the oldest unread record in seconds, as an upper bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// The basis on which the age was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_from: Option<AgeBasis>,
}

/// The row of one worker of an application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRow {
    /// The name of the worker.
    pub worker: String,
    /// Its last CPU measurements in percent, the newest last.
    pub cpu_percent: Vec<f64>,
    /// The CPU limit in percent above which the worker gets no more leases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_cpu_percent: Option<f64>,
    /// The time since it wrote these values, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_seconds_ago: Option<f64>,
}

impl Rows {
    /// Returns the rows of a sample.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        match (&sample.observation, &sample.history, &sample.facts.behind) {
            (Observation::Kafka(group), History::Kafka(history), Behind::Records(lag)) => {
                let (flow, owners) = (Rates::all(sample), OwnerNames::new(group));
                let rows = lag.with(group, history).map(|(topic, partition, past, lag)| {
                    let rates = flow.get(&Split::Partition(topic.name.clone(), partition.partition));
                    let committed = match partition.committed {
                        CommittedOffset::None => None,
                        CommittedOffset::At(offset) => Some(offset.0),
                    };
                    PartitionRow {
                        topic: topic.name.to_string(),
                        partition: partition.partition.0,
                        committed,
                        start: partition.watermarks.start.0,
                        end: partition.watermarks.end.0,
                        records_behind: lag.records_behind,
                        commit_unchanged_for_seconds: sample.taken_at.since(past.unchanged_since).as_secs_f64(),
                        owner: owners.of(partition),
                        arrivals_per_second: rates.and_then(|rates| rates.arrivals),
                        consumed_per_second: rates.and_then(|rates| rates.consumption).filter(|_| committed.is_some()),
                        age_seconds: rates.and_then(|rates| rates.age).filter(|_| lag.records_behind.is_some()),
                    }
                });
                Self::Partitions { partitions: rows.collect() }
            }
            (Observation::Application(application), ..) => {
                let flow = Rates::all(sample);
                let row = |report: &ShardReport| {
                    let rates = flow.get(&Split::Shard(report.shard.clone()));
                    ShardRow::of(report, rates.and_then(|rates| rates.arrivals))
                };
                Self::Shards {
                    shards: application.survey.shards.iter().map(row).collect(),
                    workers: application.workers.iter().map(|worker| WorkerRow::of(worker, application.seen)).collect(),
                }
            }
            (Observation::Shards(_) | Observation::Writes(_) | Observation::Kafka(_), ..) => {
                Self::Shards { shards: Vec::new(), workers: Vec::new() }
            }
        }
    }
}

/// What is measured of one partition or shard per second, and the age of its oldest unread record.
struct Rates {
    arrivals: Option<f64>,
    consumption: Option<f64>,
    age: Option<f64>,
}

impl Rates {
    fn all(sample: &Sample) -> HashMap<&Split, Self> {
        let flow = match &sample.flow {
            Some(Flow::Offsets(flow)) => flow,
            Some(Flow::Throughput(flow)) => flow.flow(),
            Some(Flow::Ages(_)) | None => return HashMap::new(),
        };
        let rates = flow.partitions().iter().zip(flow.ages()).map(|(partition, age)| {
            let (arrivals, consumption) = (partition.known_arrivals(), partition.consumption());
            Self { arrivals, consumption, age }
        });
        flow.splits().iter().zip(rates).collect()
    }
}

impl ShardRow {
    fn of(report: &ShardReport, arrivals: Option<f64>) -> Self {
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
            arriving_kilobytes_per_second: arrivals,
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

/// Names the consumers of a group by their client ids, and those that share one by the end of their own ids too.
struct OwnerNames<'a> {
    group: &'a GroupObservation,
    /// The client ids of several members.
    shared: HashSet<&'a str>,
}

impl<'a> OwnerNames<'a> {
    fn new(group: &'a GroupObservation) -> Self {
        let Members::Settled(members) = &group.members else { return Self { group, shared: HashSet::new() } };
        let mut seen = HashSet::new();
        let shared = members.iter().map(|member| &*member.client_id).filter(|id| !seen.insert(*id)).collect();
        Self { group, shared }
    }

    fn of(&self, partition: &PartitionObservation) -> Option<String> {
        match (self.group.group_type, &self.group.members) {
            (GroupType::Share, Members::Settled(members)) if !members.is_empty() => Some("every consumer".to_owned()),
            _ => self.group.owner(partition).map(|member| self.name(member)),
        }
    }

    fn name(&self, Member { id, client_id }: &Member) -> String {
        if !self.shared.contains(&**client_id) {
            return client_id.to_string();
        }
        let end = id.char_indices().rev().nth(ID_END - 1).map_or(0, |(at, _)| at);
        format!("{client_id} …{}", &id[end..])
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
            write!(f, ", arrivals {arrivals:.1} records/s")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{MemberIndex, Offset, PartitionId, Watermarks};

    #[test]
    fn consumers_with_one_client_id_are_two_owners() {
        let member = |id: &str, client_id: &str| Member { id: id.into(), client_id: client_id.into() };
        let members =
            vec![member("app-1f00-aaaaaaaa", "app"), member("app-1f00-bbbbbbbb", "app"), member("x", "other")];
        let group = GroupObservation { members: Members::Settled(members), ..GroupObservation::default() };
        let names = OwnerNames::new(&group);
        let partition = |owner| PartitionObservation {
            partition: PartitionId(0),
            committed: CommittedOffset::None,
            watermarks: Watermarks { start: Offset(0), end: Offset(0) },
            owner: Some(MemberIndex(owner)),
        };
        let name = |owner| names.of(&partition(owner));
        assert_eq!(name(0).as_deref(), Some("app …aaaaaaaa"));
        assert_eq!(name(1).as_deref(), Some("app …bbbbbbbb"));
        assert_eq!(name(2).as_deref(), Some("other"));
    }
}
