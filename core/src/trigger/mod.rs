//! Parses the metadata of one trigger, or reports all of its problems at once.
//!
//! Pure: no I/O, no clock. [`SourceRef`] is what to observe, and the key by which readings are shared; [`Policy`] is how to evaluate it,
//! and never part of that key. The rules of KEDA's triggers are test data in `cases/`.

mod addresses;
mod aws;
mod aws_access;
mod aws_names;
#[cfg(test)]
mod aws_tests;
mod catch_up;
#[cfg(test)]
mod catch_up_tests;
mod checkpoint_store;
mod dialect;
mod kafka;
pub mod keys;
mod metadata;
mod name;
mod partitions;
pub mod schema;
mod secret;
mod security;
mod shard_pattern;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod write_utilization;
#[cfg(test)]
mod write_utilization_tests;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

pub use self::aws::{AgeFrom, AgesOf, ApplicationSource, InitialPosition, StreamName, StreamSource};
pub use self::aws_access::{AwsAccess, AwsIdentity};
pub use self::aws_names::{KinesisStream, TABLE_WORDS, is_table};
pub use self::catch_up::{Activation, CatchUpPolicy};
pub use self::checkpoint_store::{CheckpointStore, RowFilter, RowSelection, ShardKey, StoreLayout, WithoutCheckpoint};
use self::dialect::AwsDialect;
pub use self::dialect::KafkaDialect;
pub use self::kafka::{
    AbsentTopics, Cap, ClusterRef, GroupType, IsolationLevel, KafkaSource, OffsetReset, PersistentLag, ResetRules,
    TopicSelection, WithoutCommit, WithoutCommits,
};
use self::keys::Reader;
pub use self::metadata::{About, Problem, TriggerError};
use self::metadata::{Metadata, Words};
pub use self::name::{MetricName, metric_name, metric_target};
pub use self::partitions::PartitionSelection;
pub use self::secret::Secret;
pub use self::security::{
    AwsCredentials, CertificateVerification, ClientIdentity, Credentials, KafkaSecurity, RequestedSecurity, Sasl, Tls,
    check_connection, resolve,
};
pub use self::syntax::{Decimal, parse_duration};
pub use self::values::{Absence, Values};
pub use self::write_utilization::{WriteUtilizationPolicy, WritesSource};

/// One trigger, parsed from its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The source to observe.
    pub source: SourceRef,
    /// The policy that evaluates its readings.
    pub policy: Policy,
    /// How often the source is read, and how long an answer is valid.
    pub pace: Pace,
    /// The name of the metric in KEDA, without `s0-`.
    pub metric: MetricName,
}

/// The source to observe: only what changes the reading, so that triggers on one stream share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceRef {
    /// A Kafka consumer group.
    Kafka(KafkaSource),
    /// The shards of a stream.
    Shards(StreamSource),
    /// An application on a stream.
    Application(Box<ApplicationSource>),
    /// The writes to a Kinesis stream.
    Writes(WritesSource),
}

/// The policy that evaluates a reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Scales by records behind.
    Lag(LagPolicy),
    /// Scales by open shards.
    ShardCount(ShardCountPolicy),
    /// Scales by the age of the oldest unread record.
    Age(AgePolicy),
    /// Scales to the consumers that are needed.
    CatchUp(CatchUpPolicy),
    /// Scales to the shards that the writes need.
    WriteUtilization(WriteUtilizationPolicy),
}

impl Policy {
    /// Whether the value is one number for the whole workload, by which the HPA multiplies the present replicas, as an age is. Any other value
    /// is divided by its target and gives the replicas.
    #[must_use]
    pub const fn is_for_the_whole_workload(&self) -> bool {
        match self {
            Self::Age(_) => true,
            Self::Lag(_) | Self::ShardCount(_) | Self::CatchUp(_) | Self::WriteUtilization(_) => false,
        }
    }
}

/// `scaleOn: shardCount`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShardCountPolicy {
    /// The target: open shards for one replica.
    pub threshold: NonZeroU64,
    /// The workload is active above this count; always if the count is negative, as in KEDA.
    pub activation_threshold: i64,
    /// Whether the value is corrected or equal to the built-in's.
    pub compat: Compat,
}

/// `scaleOn: age`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgePolicy {
    /// The target: how old the oldest unread record may be; whole seconds.
    pub threshold: Duration,
    /// The workload is active above this age.
    pub activation_threshold: Duration,
}

/// `scaleOn: lag`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LagPolicy {
    /// The target: records behind that one replica may have.
    pub threshold: NonZeroU64,
    /// The workload is active above this lag.
    pub activation_threshold: u64,
    /// Where consumers start without a valid commit.
    pub offset_reset: OffsetReset,
    /// What a partition without a valid commit counts.
    pub without_commit: WithoutCommit,
    /// The limit of the value.
    pub cap: Cap,
    /// What a partition without progress of its commit counts.
    pub persistent_lag: PersistentLag,
    /// Whether the value is corrected or equal to the built-in's.
    pub compat: Compat,
}

/// `compat`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compat {
    /// The corrected number.
    Fixed,
    /// The number of KEDA v2.21, defects included.
    Strict,
}

/// How often a source is read, and how long an answer is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `pollInterval`: 2 s to 10 min.
    pub poll_interval: Duration,
    /// `maxStaleness`: up to 1 h, no shorter than twice the poll interval.
    pub max_staleness: Duration,
}

/// `source`
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Kafka(KafkaDialect),
    Aws(AwsDialect),
}

/// `scaleOn`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScaleOn {
    Lag,
    ShardCount,
    Age,
    CatchUp,
    WriteUtilization,
}

const SOURCES: Words<Dialect> = &[
    ("kafka", Dialect::Kafka(KafkaDialect::Kafka)),
    ("apache-kafka", Dialect::Kafka(KafkaDialect::ApacheKafka)),
    ("aws-kinesis-stream", Dialect::Aws(AwsDialect::Kinesis)),
    ("aws-dynamodb-streams", Dialect::Aws(AwsDialect::DynamoDb)),
];
const COMPATS: Words<Compat> = &[("fixed", Compat::Fixed), ("strict", Compat::Strict)];
const KAFKA_SCALE_ON: Words<ScaleOn> = &[("lag", ScaleOn::Lag), ("catchUp", ScaleOn::CatchUp)];
const AWS_SCALE_ON: Words<ScaleOn> = &[
    ("shardCount", ScaleOn::ShardCount),
    ("age", ScaleOn::Age),
    ("catchUp", ScaleOn::CatchUp),
    ("writeUtilization", ScaleOn::WriteUtilization),
];

/// The default intervals and the limit for reading a source.
const READINGS: Paces = Paces {
    poll_interval: Duration::from_secs(10),
    shortest_poll_interval: Duration::from_secs(2),
    max_staleness: Duration::from_secs(60),
};
/// `CloudWatch` has one point per minute, and each metric that is read is billed.
const WRITES: Paces = Paces {
    poll_interval: Duration::from_secs(60),
    shortest_poll_interval: Duration::from_secs(60),
    max_staleness: Duration::from_secs(300),
};
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(600);
const LONGEST_MAX_STALENESS: Duration = Duration::from_secs(3600);

/// The defaults and a limit of a [`Pace`].
struct Paces {
    poll_interval: Duration,
    shortest_poll_interval: Duration,
    max_staleness: Duration,
}

// === impl Trigger ===

impl Trigger {
    /// Parses a trigger from its metadata.
    ///
    /// # Errors
    /// Reports every problem of the metadata at once.
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, TriggerError> {
        let metadata = Metadata::new(map);
        let Some(dialect) = source(&metadata) else { return metadata.finish(None, Reader::UnknownSource) };
        let compat = metadata.word("compat", COMPATS).unwrap_or(Compat::Fixed);
        match dialect {
            Dialect::Kafka(dialect) => {
                let scale_on = metadata.word("scaleOn", KAFKA_SCALE_ON).unwrap_or(ScaleOn::Lag);
                let trigger = Self::kafka(&metadata, dialect, scale_on, compat);
                metadata.finish(trigger, Reader::Kafka(scale_on))
            }
            Dialect::Aws(stream) => {
                let scale_on = metadata.word("scaleOn", AWS_SCALE_ON).unwrap_or(ScaleOn::ShardCount);
                let trigger = Self::aws(&metadata, stream, scale_on, compat);
                metadata.finish(trigger, Reader::Aws(stream, scale_on))
            }
        }
    }

    fn kafka(metadata: &Metadata<'_>, dialect: KafkaDialect, scale_on: ScaleOn, compat: Compat) -> Option<Self> {
        let pace = Pace::read(metadata, &READINGS);
        let source = kafka::source(metadata, dialect, compat);
        let (source, policy) = if scale_on == ScaleOn::CatchUp {
            has_no_built_in(metadata, compat);
            let rules = kafka::reset_rules(metadata);
            let activation = kafka::catch_up_activation(metadata);
            let source = source.map(|source| KafkaSource { consumers: Some(rules), ..source });
            (source, CatchUpPolicy::read(metadata, activation).map(Policy::CatchUp))
        } else {
            (source, kafka::lag_policy(metadata, dialect, compat, pace.poll_interval).map(Policy::Lag))
        };
        Some(Self { source: SourceRef::Kafka(source?), policy: policy?, pace, metric: MetricName::of(metadata) })
    }

    fn aws(metadata: &Metadata<'_>, stream: AwsDialect, scale_on: ScaleOn, compat: Compat) -> Option<Self> {
        let metric = MetricName::of(metadata);
        if scale_on == ScaleOn::WriteUtilization {
            has_no_built_in(metadata, compat);
            let pace = Pace::read(metadata, &WRITES);
            let policy = Policy::WriteUtilization(WriteUtilizationPolicy::read(metadata));
            return Some(Self {
                source: SourceRef::Writes(WritesSource::read(metadata, stream)?),
                policy,
                pace,
                metric,
            });
        }
        let pace = Pace::read(metadata, &READINGS);
        if scale_on == ScaleOn::ShardCount {
            let policy = aws::shard_count_policy(metadata, compat).map(Policy::ShardCount);
            let source = SourceRef::Shards(aws::stream(metadata, stream)?);
            return Some(Self { source, policy: policy?, pace, metric });
        }
        has_no_built_in(metadata, compat);
        let (ages, policy) = if scale_on == ScaleOn::CatchUp {
            let activation = Activation::Age(aws::activation_threshold(metadata));
            (AgesOf::Each, CatchUpPolicy::read(metadata, Some(activation)).map(Policy::CatchUp))
        } else {
            let policy = aws::age_policy(metadata);
            (AgesOf::Oldest { exact_above: policy.exact_above() }, Some(Policy::Age(policy)))
        };
        let source = aws::application(metadata, stream, ages);
        Some(Self { source: SourceRef::Application(Box::new(source?)), policy: policy?, pace, metric })
    }
}

/// Reads `source`. Without it nothing else can be judged; the keys that are there show which source is meant.
fn source(metadata: &Metadata<'_>) -> Option<Dialect> {
    const SHOWN_BY: [(&str, &str); 6] = [
        ("streamName", "aws-kinesis-stream"),
        ("streamARN", "aws-kinesis-stream"),
        ("tableName", "aws-dynamodb-streams"),
        ("bootstrapServers", "kafka"),
        ("consumerGroup", "kafka"),
        ("topic", "kafka"),
    ];
    if metadata.text("source").is_none() {
        let words: Vec<_> = SOURCES.iter().map(|(word, _)| *word).collect();
        let shown_by = SHOWN_BY.iter().find(|(key, _)| metadata.text(key).is_some());
        let hint = shown_by.map_or_else(String::new, |(key, source)| format!("; {key} is a key of {source}"));
        metadata.problem("source", format!("is required, one of {}{hint}", words.join(", ")));
    }
    metadata.word("source", SOURCES)
}

/// Reports `compat: strict` for a policy that KEDA does not have.
fn has_no_built_in(metadata: &Metadata<'_>, compat: Compat) {
    if compat == Compat::Strict {
        metadata.problem("compat", "strict is for scaleOn lag and shardCount: KEDA has no other");
    }
}

impl Pace {
    fn read(metadata: &Metadata<'_>, paces: &Paces) -> Self {
        let (default, shortest) = (paces.poll_interval, paces.shortest_poll_interval);
        let poll_interval = metadata.duration("pollInterval", default, shortest, LONGEST_POLL_INTERVAL);
        // an answer is usually up to one interval old, and slightly older while the next reading is in progress
        let shortest = poll_interval * 2;
        let default = paces.max_staleness.max(shortest);
        let max_staleness = metadata.duration("maxStaleness", default, shortest, LONGEST_MAX_STALENESS);
        Self { poll_interval, max_staleness }
    }
}

impl SourceRef {
    /// The value of `source` in its metadata.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let stream = match self {
            Self::Kafka(KafkaSource { cluster: ClusterRef { dialect, .. }, .. }) => {
                return match dialect {
                    KafkaDialect::Kafka => "kafka",
                    KafkaDialect::ApacheKafka => "apache-kafka",
                };
            }
            Self::Shards(stream) => stream,
            Self::Application(application) => &application.stream,
            Self::Writes(_) => return "aws-kinesis-stream",
        };
        match stream.stream {
            StreamName::Kinesis(_) => "aws-kinesis-stream",
            StreamName::DynamoDb(_) => "aws-dynamodb-streams",
        }
    }
}

impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(source) => source.fmt(f),
            Self::Shards(source) => source.fmt(f),
            Self::Application(source) => source.fmt(f),
            Self::Writes(source) => source.fmt(f),
        }
    }
}
