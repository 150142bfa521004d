//! The series of each partition and shard: off by default, because there are many.

use std::sync::Arc;

use super::facts::number;
use super::labels::PartitionLabels;
use super::{Gauge, MOST_PARTITIONS};
use crate::admin::page;
use crate::sampler::{Rows, ShardRow, TargetView};
use crate::trigger::SourceRef;

/// The facts of one partition or shard of a target.
#[derive(Clone, Debug)]
pub(super) struct PartitionFacts {
    pub(super) labels: PartitionLabels,
    lag: Option<f64>,
    age: Option<f64>,
}

pub(super) const PARTITION_GAUGES: [Gauge<PartitionFacts>; 2] = [
    Gauge {
        name: "partition_lag_records",
        help: "Records in one partition that the group has not read",
        of: |of| of.lag,
    },
    Gauge {
        name: "partition_oldest_unread_age_seconds",
        help: "Since the oldest unread record of one shard arrived, at most",
        of: |of| of.age,
    },
];

/// Returns the rows of these targets, and how many rows exceed the limit.
pub(super) fn of(views: &[TargetView]) -> (Vec<PartitionFacts>, usize) {
    let mut views: Vec<_> = views.iter().map(|view| (Arc::<str>::from(page::id(&view.source)), view)).collect();
    views.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut rows = Vec::new();
    let mut left_out = 0;
    for (target, view) in views {
        let mut of_target = of_target(&target, view);
        let room = MOST_PARTITIONS - rows.len();
        left_out += of_target.len().saturating_sub(room);
        of_target.truncate(room);
        rows.append(&mut of_target);
    }
    (rows, left_out)
}

fn of_target(target: &Arc<str>, view: &TargetView) -> Vec<PartitionFacts> {
    let Some((sample, _)) = view.state.sample() else { return Vec::new() };
    let (consumer, stream) = match &*view.source {
        SourceRef::Kafka(kafka) => (kafka.group.clone(), None),
        SourceRef::Application(application) => {
            let stream = application.stream.stream.as_given();
            (application.store.table.clone(), Some(Arc::<str>::from(stream)))
        }
        SourceRef::Shards(_) | SourceRef::Writes(_) => return Vec::new(),
    };
    let labels = |stream, partition| PartitionLabels {
        source: view.source.kind(),
        target: target.clone(),
        consumer: consumer.clone(),
        stream,
        partition,
    };
    match (Rows::of(sample), stream) {
        (Rows::Partitions { partitions }, _) => partitions
            .into_iter()
            .map(|row| PartitionFacts {
                lag: row.records_behind.map(number),
                age: None,
                labels: labels(row.topic.into(), row.partition.to_string()),
            })
            .collect(),
        (Rows::Shards { shards, .. }, Some(stream)) => shards
            .into_iter()
            .filter(|row| !matches!(row.backlog, "finished" | "noSuchShard"))
            .map(|row| PartitionFacts { lag: None, age: age(&row), labels: labels(stream.clone(), row.shard) })
            .collect(),
        (Rows::Shards { .. }, None) => Vec::new(),
    }
}

/// Returns the age of a shard; a shard that waits for its parent has none of its own.
fn age(row: &ShardRow) -> Option<f64> {
    if row.backlog == "caughtUp" { Some(0.0) } else { row.age_seconds }
}
