//! `/samples`: what is known of each target, as JSON.

use serde::{Deserialize, Serialize};

use crate::lag::{CommittedOffset, History, Moment, Observation};
use crate::sampler::{Sample, TargetView, ViewState};
use crate::trigger::SourceRef;

/// Which targets to show.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    /// Only targets whose description contains this text; these are shown with their partitions.
    source: Option<String>,
}

/// Every target.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Samples {
    targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    source: String,
    #[serde(flatten)]
    kafka: KafkaTarget,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KafkaTarget {
    consumer_group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bootstrap_servers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    kind: &'static str,
    message: String,
    failing_for_seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reading {
    partitions: usize,
    /// End less commit over all partitions that have a commit.
    records_behind: u64,
    without_commit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partition_rows: Vec<PartitionRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartitionRow {
    topic: String,
    partition: u32,
    committed: Option<u64>,
    start: u64,
    end: u64,
    commit_unchanged_for_seconds: f64,
}

impl Samples {
    pub(super) fn new(mut views: Vec<TargetView>, filter: &Filter) -> Self {
        let wanted = filter.source.as_deref();
        views.retain(|view| wanted.is_none_or(|wanted| view.source.to_string().contains(wanted)));
        let mut targets: Vec<_> = views.iter().map(|view| Target::new(view, wanted.is_some())).collect();
        targets.sort_by(|one, other| one.source.cmp(&other.source));
        Self { targets }
    }
}

impl Target {
    fn new(view: &TargetView, rows: bool) -> Self {
        let SourceRef::Kafka(kafka) = view.source.as_ref();
        let kafka = KafkaTarget {
            consumer_group: kafka.group.to_string(),
            connection: kafka.cluster.connection.as_ref().map(ToString::to_string),
            bootstrap_servers: kafka.cluster.bootstrap_servers.iter().map(ToString::to_string).collect(),
        };
        let (state, sample, error) = match &view.state {
            ViewState::Pending => ("pending", None, None),
            ViewState::Good { sample, age } => ("good", Some((sample, age)), None),
            ViewState::Failing { error, failing_for, last_good } => {
                let error = Failure {
                    kind: error.kind().as_str(),
                    message: error.chain(),
                    failing_for_seconds: failing_for.as_secs_f64(),
                };
                ("failing", last_good.as_ref().map(|(sample, age)| (sample, age)), Some(error))
            }
        };
        Self {
            source: view.source.to_string(),
            kafka,
            state,
            age_seconds: sample.map(|(_, age)| age.as_secs_f64()),
            error,
            reading: sample.map(|(sample, _)| Reading::new(sample, rows)),
        }
    }
}

impl Reading {
    fn new(sample: &Sample, rows: bool) -> Self {
        let (Observation::Kafka(observation), History::Kafka(history)) = (&sample.observation, &sample.history);
        let all: Vec<_> = history
            .with(observation)
            .map(|(topic, partition, past)| PartitionRow {
                topic: topic.name.to_string(),
                partition: partition.partition.0,
                committed: match partition.committed {
                    CommittedOffset::None => None,
                    CommittedOffset::At(offset) => Some(offset.0),
                },
                start: partition.watermarks.start.0,
                end: partition.watermarks.end.0,
                commit_unchanged_for_seconds: unchanged(sample.taken_at, past.unchanged_since),
            })
            .collect();
        Self {
            partitions: all.len(),
            records_behind: all.iter().filter_map(|row| Some(row.end.saturating_sub(row.committed?))).sum(),
            without_commit: all.iter().filter(|row| row.committed.is_none()).count(),
            partition_rows: if rows { all } else { Vec::new() },
        }
    }
}

fn unchanged(now: Moment, since: Moment) -> f64 {
    now.since(since).as_secs_f64()
}
