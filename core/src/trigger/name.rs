//! The metric's name and target: pure functions of the metadata that never fail.
//!
//! The name appears in the HPA, and KEDA requests it before the metadata is checked; so it is the built-in's name, even for metadata that
//! is otherwise invalid.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::ScaleOn;
use super::aws_names::last_name;
use super::metadata::Metadata;
use super::syntax;

/// KEDA's default for `lagThreshold`.
pub(super) const DEFAULT_LAG_THRESHOLD: i64 = 10;
/// KEDA's default for `shardCount`.
pub(super) const DEFAULT_SHARD_COUNT: i64 = 2;
/// The default of `ageThreshold`, in seconds.
pub(super) const DEFAULT_AGE_SECONDS: i64 = 60;
/// The target of `scaleOn: catchUp` and `writeUtilization`: the value is the number of replicas or shards itself.
const ONE: i64 = 1;

const KINESIS: &str = "aws-kinesis";
const DYNAMODB: &str = "aws-dynamodb-streams";

/// A metric's name: by construction without `/` and `%`, which Kubernetes rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName(Arc<str>);

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of the metadata that determines the name, where no mistake hides it.
enum Kind {
    Kafka,
    ApacheKafka,
    Aws { prefix: &'static str, name_key: &'static str },
}

impl Kind {
    fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.text("source") {
            Some("apache-kafka") => Self::ApacheKafka,
            Some("aws-kinesis-stream") => Self::Aws { prefix: KINESIS, name_key: "streamName" },
            Some("aws-dynamodb-streams") => Self::Aws { prefix: DYNAMODB, name_key: "tableName" },
            _ => Self::Kafka,
        }
    }

    fn scale_on(&self, metadata: &Metadata<'_>) -> ScaleOn {
        match (self, metadata.text("scaleOn")) {
            (_, Some("catchUp")) => ScaleOn::CatchUp,
            (Self::Kafka | Self::ApacheKafka, _) => ScaleOn::Lag,
            (Self::Aws { .. }, Some("age")) => ScaleOn::Age,
            (Self::Aws { .. }, Some("writeUtilization")) => ScaleOn::WriteUtilization,
            (Self::Aws { .. }, _) => ScaleOn::ShardCount,
        }
    }
}

/// The built-in's name for this trigger, without KEDA's `s0-`; with the suffix `-age`, `-catch-up` or `-write-utilization` where the value
/// is not the built-in's.
#[must_use]
pub fn metric_name(metadata: &HashMap<String, String>) -> MetricName {
    MetricName::of(&Metadata::new(metadata))
}

impl MetricName {
    pub(super) fn of(metadata: &Metadata<'_>) -> Self {
        let kind = Kind::of(metadata);
        let ending = ending(kind.scale_on(metadata));
        let name = match (kind, metadata.text("topic"), metadata.text("consumerGroup")) {
            (Kind::Aws { prefix, name_key }, ..) => {
                let arn = || metadata.text("streamARN").filter(|_| name_key == "streamName").map(last_name);
                let name = metadata.text(name_key).or_else(arn);
                name.map_or_else(|| prefix.to_owned(), |name| format!("{prefix}-{name}"))
            }
            (Kind::ApacheKafka, Some(topics), _) => {
                let topics: Vec<_> = topics.split(',').map(str::trim).collect();
                format!("kafka-{}", topics.join(","))
            }
            (Kind::Kafka, Some(topic), _) => format!("kafka-{topic}"),
            (Kind::Kafka | Kind::ApacheKafka, None, Some(group)) => format!("kafka-{group}-topics"),
            (Kind::Kafka | Kind::ApacheKafka, None, None) => "kafka".to_owned(),
        };
        Self(normalize(&format!("{name}{ending}")).into())
    }
}

/// The suffix that distinguishes a value from the built-in's.
const fn ending(scale_on: ScaleOn) -> &'static str {
    match scale_on {
        ScaleOn::Lag | ScaleOn::ShardCount => "",
        ScaleOn::Age => "-age",
        ScaleOn::CatchUp => "-catch-up",
        ScaleOn::WriteUtilization => "-write-utilization",
    }
}

/// The target of the metric: the threshold, in seconds where it is an age; or its default where the threshold is invalid.
#[must_use]
pub fn metric_target(metadata: &HashMap<String, String>) -> NonZeroU64 {
    let metadata = Metadata::new(metadata);
    let integer = |key: &str| metadata.text(key).and_then(syntax::parse_integer);
    let (threshold, default) = match Kind::of(&metadata).scale_on(&metadata) {
        ScaleOn::Lag => (integer("lagThreshold"), DEFAULT_LAG_THRESHOLD),
        ScaleOn::ShardCount => (integer("shardCount"), DEFAULT_SHARD_COUNT),
        ScaleOn::Age => {
            let age = metadata.text("ageThreshold").and_then(syntax::parse_duration);
            (age.and_then(|age| i64::try_from(age.as_secs()).ok()), DEFAULT_AGE_SECONDS)
        }
        ScaleOn::CatchUp | ScaleOn::WriteUtilization => (None, ONE),
    };
    threshold.and_then(positive).or_else(|| positive(default)).unwrap_or(NonZeroU64::MIN)
}

pub(super) fn positive(number: i64) -> Option<NonZeroU64> {
    u64::try_from(number).ok().and_then(NonZeroU64::new)
}

/// KEDA's `NormalizeString`: exactly these characters. Kubernetes rejects only `/` and `%` in a metric's name; its clients escape the rest.
fn normalize(name: &str) -> String {
    name.replace(['/', '.', ':', '%', '(', ')'], "-")
}
