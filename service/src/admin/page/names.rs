//! Names of targets and policies.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::lag::flow::Flow;
use crate::page::plot::Measure;
use crate::sampler::{CallerView, Point, TargetView};
use crate::trigger::{Policy, SourceRef, StreamName, StreamSource, TopicSelection};

/// The name of a source in parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// What is read, without the cluster or account.
    pub(super) more: String,
}

impl Names {
    pub(super) fn of(source: &SourceRef) -> Self {
        match source {
            SourceRef::Kafka(kafka) => {
                let more = match &kafka.topics {
                    TopicSelection::Named(topics) if topics.len() > 1 => format!("topics {}", topics.join(", ")),
                    TopicSelection::Named(topics) => format!("topic {}", topics.join(", ")),
                    TopicSelection::OfGroup { .. } => "all its topics".to_owned(),
                };
                Self { kind: "Kafka group", name: kafka.group.to_string(), more }
            }
            SourceRef::Shards(stream) => {
                let (kind, name) = stream_name(stream);
                Self { kind, name, more: "open shards".to_owned() }
            }
            SourceRef::Application(application) => {
                let (kind, stream) = stream_name(&application.stream);
                let more = format!("{kind} {stream}");
                Self { kind: "Application", name: application.store.table.to_string(), more }
            }
            SourceRef::Writes(writes) => {
                Self { kind: "Kinesis stream", name: writes.stream.to_string(), more: "writes".to_owned() }
            }
        }
    }

    /// The source in one line; its name is left out where the object has the same.
    pub(super) fn line(&self, lead: Option<&CallerView>) -> String {
        if lead.is_none_or(|lead| *lead.name == *self.name) {
            return format!("{} · {}", self.kind, self.more);
        }
        format!("{} {} · {}", self.kind, self.name, self.more)
    }
}

fn stream_name(stream: &StreamSource) -> (&'static str, String) {
    match &stream.stream {
        StreamName::Kinesis(name) => ("Kinesis stream", name.to_string()),
        StreamName::DynamoDb(name) => ("DynamoDB stream of table", name.to_string()),
    }
}

/// The host of the first broker, and how many more there are; other places as they are.
pub(super) fn short_place(place: &str) -> String {
    let (first, rest) = place.split_once(", ").unwrap_or((place, ""));
    let host = first.rsplit_once(':').map_or(first, |(host, _)| host);
    match rest.split(", ").filter(|more| !more.is_empty()).count() {
        0 => host.to_owned(),
        more => format!("{host} +{more}"),
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

/// Returns the goal of a policy as written in metadata: its key and value.
pub(super) fn goal(policy: &Policy) -> String {
    match policy {
        Policy::Lag(policy) => format!("lagThreshold: {}", policy.threshold),
        Policy::ShardCount(policy) => format!("shardCount: {}", policy.threshold),
        Policy::Age(policy) => format!("ageThreshold: {}", duration(policy.threshold.as_secs())),
        Policy::CatchUp(policy) => format!("maxAge: {}", duration(policy.max_age.as_secs())),
        Policy::WriteUtilization(policy) => format!("targetUtilization: {}", policy.target_utilization),
    }
}

/// Formats whole seconds as metadata has them.
fn duration(seconds: u64) -> String {
    match seconds {
        _ if seconds >= 7200 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds >= 120 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Returns what a policy's value measures.
pub(super) const fn measure_of(policy: &Policy) -> Measure {
    match policy {
        Policy::Age(_) => Measure::Seconds,
        Policy::Lag(_) | Policy::ShardCount(_) | Policy::CatchUp(_) | Policy::WriteUtilization(_) => Measure::Number,
    }
}

/// Returns the title and measure of a source's charted backlog, and its number in a point.
pub(super) const fn backlog(source: &SourceRef) -> (&'static str, Measure, fn(&Point) -> f32) {
    let of: fn(&Point) -> f32 = |point| point.behind;
    match source {
        SourceRef::Kafka(_) => ("Lag", Measure::Number, of),
        SourceRef::Shards(_) => ("Open shards", Measure::Number, of),
        SourceRef::Application(_) => ("Oldest record", Measure::Seconds, of),
        SourceRef::Writes(_) => ("Filled shards", Measure::Number, of),
    }
}

/// Returns the unit of a target's arrival and consumption rates, if they are known.
pub(super) fn rates(view: &TargetView) -> Option<&'static str> {
    match (&*view.source, view.state.sample().and_then(|(sample, _)| sample.flow.as_ref())) {
        (SourceRef::Kafka(_), _) => Some("Records"),
        (_, Some(Flow::Throughput(_))) => Some("Kilobytes"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_in_metadata() {
        assert_eq!([60, 90, 120, 3600, 7200, 7260].map(duration), ["60s", "90s", "2m", "60m", "2h", "121m"]);
    }

    #[test]
    fn a_list_of_brokers_is_named_by_its_first() {
        assert_eq!(short_place("a:9092, b:9092, c:9092"), "a +2");
        assert_eq!(short_place("kafka-1.prod:9092"), "kafka-1.prod");
        assert_eq!(short_place("connection prod"), "connection prod");
    }
}
