//! `/samples`: the state of each target, as JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::page;
use crate::lag::Behind;
use crate::sampler::{CallerView, Judged, PartitionRow, RefusalView, Rows, ShardRow, TargetView, ViewState, WorkerRow};
use crate::scaling::{Quantity, Sample, Step};
use crate::trigger::{AwsAccess, SourceRef, StreamName};

/// Selects which targets to show.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    /// Only targets whose description contains this text; these are shown with their partitions and every step of the decisions.
    source: Option<String>,
}

impl Filter {
    pub(super) fn selects(&self, source: &SourceRef) -> bool {
        self.source.as_deref().is_none_or(|wanted| source.to_string().contains(wanted))
    }
}

/// The response: all selected targets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Samples {
    targets: Vec<Target>,
    /// The triggers whose calls are refused before anything is read; only in an answer with all targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refusal>,
}

/// The triggers that are refused for one reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    reason: Arc<str>,
    refused_for_seconds: f64,
    scaled_objects: Vec<ObjectName>,
}

#[derive(Debug, Serialize)]
struct ObjectName {
    namespace: Box<str>,
    name: Box<str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    source: String,
    #[serde(flatten)]
    subject: Subject,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
    scaled_objects: Vec<CallerSample>,
    /// The number of further ScaledObjects that query the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_scaled_objects: Option<usize>,
}

/// The result for one trigger, as KEDA gets it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CallerSample {
    namespace: Arc<str>,
    name: Arc<str>,
    policy: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all_fields = "camelCase", rename_all = "camelCase", tag = "outcome")]
enum Outcome {
    Pending,
    Failed {
        kind: &'static str,
        message: String,
    },
    Valued {
        value: Quantity,
        target: Quantity,
        active: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        steps: Vec<Step>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        steps_in_words: Vec<String>,
    },
}

/// The observed source, under the names of its parameters.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Subject {
    Kafka {
        consumer_group: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        bootstrap_servers: Vec<String>,
    },
    Stream {
        #[serde(skip_serializing_if = "Option::is_none")]
        stream_name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        table_name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        lease_table: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aws_region: Option<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    kind: &'static str,
    message: String,
    failing_for_seconds: f64,
}

/// A reading: totals, and rows if the request selected them.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Reading {
    Group {
        partitions: usize,
        /// The total over all partitions with a valid commit; absent if no partition has one.
        records_behind: Option<u64>,
        lost_records: u64,
        /// The number of partitions without a valid commit.
        without_commit: u64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        partition_rows: Vec<PartitionRow>,
    },
    Shards {
        open: u64,
        closed: u64,
    },
    Writes {
        open: u32,
        /// The number of shards that the writes of the last minutes fill.
        filled: f64,
        /// The capacity in shards.
        capacity: f64,
        /// The share of throttled records.
        throttled: f64,
    },
    Application {
        shards: usize,
        /// The age of the oldest unread record, as an upper bound.
        oldest_unread_seconds: f64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        shard_rows: Vec<ShardRow>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        worker_rows: Vec<WorkerRow>,
    },
}

impl Samples {
    pub(super) fn new(views: &[TargetView], refusals: Vec<RefusalView>, filter: &Filter) -> Self {
        let rows = filter.source.is_some();
        let mut targets: Vec<_> = views.iter().map(|view| Target::new(view, rows)).collect();
        targets.sort_by(|one, other| one.source.cmp(&other.source));
        let refused = if rows { Vec::new() } else { refusals.into_iter().map(Refusal::new).collect() };
        Self { targets, refused }
    }
}

impl Refusal {
    fn new(view: RefusalView) -> Self {
        let name = |(namespace, name)| ObjectName { namespace, name };
        Self {
            reason: view.reason,
            refused_for_seconds: view.since.as_secs_f64(),
            scaled_objects: view.objects.into_iter().map(name).collect(),
        }
    }
}

impl Target {
    fn new(view: &TargetView, rows: bool) -> Self {
        let state = match &view.state {
            ViewState::Pending => "pending",
            ViewState::Good { .. } => "good",
            ViewState::Failing { .. } => "failing",
        };
        let error = view.state.failure().map(|(error, failing_for)| Failure {
            kind: error.kind().as_str(),
            message: error.chain(),
            failing_for_seconds: failing_for.as_secs_f64(),
        });
        let sample = view.state.sample();
        Self {
            source: view.source.to_string(),
            subject: Subject::of(&view.source),
            state,
            age_seconds: sample.map(|(_, age)| age.as_secs_f64()),
            error,
            reading: sample.map(|(sample, _)| Reading::new(sample, rows)),
            scaled_objects: view.callers.shown.iter().map(|caller| CallerSample::new(view, caller, rows)).collect(),
            more_scaled_objects: Some(view.callers.more).filter(|more| *more > 0),
        }
    }
}

impl CallerSample {
    fn new(view: &TargetView, caller: &CallerView, steps: bool) -> Self {
        let outcome = match view.judge(caller) {
            Judged::Pending => Outcome::Pending,
            Judged::Failed { error, .. } => Outcome::Failed { kind: error.kind().as_str(), message: error.chain() },
            Judged::Valued(decision) => {
                let steps = if steps { decision.steps.clone() } else { Vec::new() };
                Outcome::Valued {
                    value: decision.value,
                    target: decision.target,
                    active: decision.active,
                    steps_in_words: steps.iter().map(ToString::to_string).collect(),
                    steps,
                }
            }
        };
        let (namespace, name) = (caller.namespace.clone(), caller.name.clone());
        Self { namespace, name, policy: page::policy(&caller.policy), outcome }
    }
}

impl Subject {
    fn of(source: &SourceRef) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
        match source {
            SourceRef::Kafka(kafka) => Self::Kafka {
                consumer_group: kafka.group.to_string(),
                connection: text(&kafka.cluster.connection),
                bootstrap_servers: kafka.cluster.bootstrap_servers.iter().map(ToString::to_string).collect(),
            },
            SourceRef::Shards(source) => Self::stream(&source.stream, &source.access, None),
            SourceRef::Application(application) => {
                let source = &application.stream;
                Self::stream(&source.stream, &source.access, Some(application.store.table.to_string()))
            }
            SourceRef::Writes(source) => {
                Self::stream(&StreamName::Kinesis(source.stream.clone()), &source.access, None)
            }
        }
    }

    fn stream(stream: &StreamName, access: &AwsAccess, lease_table: Option<String>) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
        let (stream_name, table_name) = match stream {
            StreamName::Kinesis(name) => (Some(name.to_string()), None),
            StreamName::DynamoDb(name) => (None, Some(name.to_string())),
        };
        let (connection, aws_region) = (text(&access.connection), text(&access.region));
        Self::Stream { stream_name, table_name, lease_table, connection, aws_region }
    }
}

impl Reading {
    fn new(sample: &Sample, rows: bool) -> Self {
        let (mut partition_rows, mut shard_rows, mut worker_rows) = (Vec::new(), Vec::new(), Vec::new());
        if rows {
            match Rows::of(sample) {
                Rows::Partitions { partitions } => partition_rows = partitions,
                Rows::Shards { shards, workers } => (shard_rows, worker_rows) = (shards, workers),
            }
        }
        match &sample.facts.behind {
            Behind::Records(lag) => Self::Group {
                partitions: lag.partitions(),
                records_behind: lag.records_behind(),
                lost_records: lag.lost(),
                without_commit: lag.without_commit(),
                partition_rows,
            },
            Behind::Age { shards, oldest, .. } => Self::Application {
                shards: *shards,
                oldest_unread_seconds: oldest.as_secs_f64(),
                shard_rows,
                worker_rows,
            },
            Behind::Shards { open, closed } => Self::Shards { open: *open, closed: *closed },
            Behind::Writes { open, filled, capacity, throttled } => {
                Self::Writes { open: *open, filled: *filled, capacity: *capacity, throttled: *throttled }
            }
        }
    }
}
