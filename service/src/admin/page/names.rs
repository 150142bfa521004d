//! Names of targets and policies.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::lag::flow::Flow;
use crate::page::plot::Measure;
use crate::sampler::TargetView;
use crate::trigger::{Policy, SourceRef, StreamName, StreamSource, TopicSelection};

/// The name of a source in two lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) more: String,
}

impl Names {
    pub(super) fn of(source: &SourceRef) -> Self {
        match source {
            SourceRef::Kafka(kafka) => {
                let topics = match &kafka.topics {
                    TopicSelection::Named(topics) => format!("topic {}", topics.join(", ")),
                    TopicSelection::OfGroup { .. } => "all its topics".to_owned(),
                };
                let more = format!("{topics}, {}", kafka.cluster);
                Self { kind: "Kafka group", name: kafka.group.to_string(), more }
            }
            SourceRef::Shards(stream) => {
                let (kind, name) = stream_name(stream);
                Self { kind, name, more: stream.access.to_string() }
            }
            SourceRef::Application(application) => {
                let (kind, stream) = stream_name(&application.stream);
                let more = format!("{kind} {stream}, {}", application.stream.access);
                Self { kind: "Application", name: application.store.table.to_string(), more }
            }
            SourceRef::Writes(writes) => {
                Self { kind: "Kinesis stream", name: writes.stream.to_string(), more: writes.access.to_string() }
            }
        }
    }
}

fn stream_name(stream: &StreamSource) -> (&'static str, String) {
    match &stream.stream {
        StreamName::Kinesis(name) => ("Kinesis stream", name.to_string()),
        StreamName::DynamoDb(name) => ("DynamoDB stream of table", name.to_string()),
    }
}

/// The identifier of a target in addresses: the same in every scaler of this build while the source is the same.
pub(in crate::admin) fn id(source: &SourceRef) -> String {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    format!("{:012x}", hasher.finish() >> 16)
}

/// Returns the name of a policy as written in metadata.
pub(in crate::admin) const fn policy(policy: &Policy) -> &'static str {
    match policy {
        Policy::Lag(_) => "lag",
        Policy::ShardCount(_) => "shardCount",
        Policy::Age(_) => "age",
        Policy::CatchUp(_) => "catchUp",
        Policy::WriteUtilization(_) => "writeUtilization",
    }
}

/// Returns what a policy's value measures.
pub(super) const fn measure_of(policy: &Policy) -> Measure {
    match policy {
        Policy::Age(_) => Measure::Seconds,
        Policy::Lag(_) | Policy::ShardCount(_) | Policy::CatchUp(_) | Policy::WriteUtilization(_) => Measure::Number,
    }
}

/// Returns the title, the unit and the measure of a source's backlog.
pub(super) const fn behind(source: &SourceRef) -> (&'static str, &'static str, Measure) {
    match source {
        SourceRef::Kafka(_) => ("Behind", "records", Measure::Number),
        SourceRef::Shards(_) => ("Open shards", "shards", Measure::Number),
        SourceRef::Application(_) => ("Oldest unread record", "its age", Measure::Seconds),
        SourceRef::Writes(_) => ("Written", "shards filled", Measure::Number),
    }
}

/// Returns the unit of a target's arrival and consumption rates, if they are known.
pub(super) fn rates(view: &TargetView) -> Option<&'static str> {
    match (&*view.source, view.state.sample().and_then(|(sample, _)| sample.flow.as_ref())) {
        (SourceRef::Kafka(_), _) => Some("records per second"),
        (_, Some(Flow::Throughput(_))) => Some("kilobytes per second"),
        _ => None,
    }
}
