//! KEDA's triggers that this scaler can take over: their sources, and what they count.

use clap::ValueEnum;

use crate::manifest::{TriggerKind, TriggerText};

/// The policy of the migrated trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ScaleOn {
    /// Records behind (Kafka)
    #[value(name = "lag")]
    Lag,
    /// Open shards (AWS)
    #[value(name = "shardCount")]
    ShardCount,
    /// Seconds since the oldest unread record arrived (AWS)
    #[value(name = "age")]
    Age,
    /// Consumers needed to keep the promise
    #[value(name = "catchUp")]
    CatchUp,
}

/// The parameters that KEDA v2.21 reads from the metadata of its own triggers, or from the environment.
const KAFKA: &[&str] = &[
    "bootstrapServers",
    "consumerGroup",
    "topic",
    "partitionLimitation",
    "lagThreshold",
    "activationLagThreshold",
    "offsetResetPolicy",
    "allowIdleConsumers",
    "excludePersistentLag",
    "scaleToZeroOnInvalidOffset",
    "limitToPartitionsWithLag",
    "ensureEvenDistributionOfPartitions",
    "tls",
    "sasl",
    "awsRegion",
];
const KAFKA_ALONE: &[&str] = &["fullMetadata", "version", "unsafeSsl", "saslTokenProvider"];
const AWS: &[&str] = &["shardCount", "activationShardCount", "awsRegion", "awsEndpoint"];
/// Parameters read by every trigger that uses AWS, including Kafka triggers for Amazon MSK.
pub(super) const AWS_IDENTITY: &[&str] = &["identityOwner", "awsAccessKeyID", "awsSecretAccessKey"];
/// The parameters that may come from the environment; KEDA's trigger ignores any other key that ends in `FromEnv`.
const FROM_ENV: &[&str] = &["bootstrapServers", "consumerGroup", "topic", "awsAccessKeyID", "awsSecretAccessKey"];

/// The built-in triggers that this scaler can take over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BuiltIn {
    Kafka,
    ApacheKafka,
    Kinesis,
    DynamoDb,
}

impl BuiltIn {
    /// Returns the built-in type of a trigger, if it can be migrated.
    pub(super) fn of(text: &TriggerText) -> Option<Self> {
        let TriggerKind::BuiltIn(name) = &text.kind else { return None };
        match name.as_str() {
            "kafka" => Some(Self::Kafka),
            "apache-kafka" => Some(Self::ApacheKafka),
            "aws-kinesis-stream" => Some(Self::Kinesis),
            "aws-dynamodb-streams" => Some(Self::DynamoDb),
            _ => None,
        }
    }

    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::ApacheKafka => "apache-kafka",
            Self::Kinesis => "aws-kinesis-stream",
            Self::DynamoDb => "aws-dynamodb-streams",
        }
    }

    pub(super) const fn is_kafka(self) -> bool {
        matches!(self, Self::Kafka | Self::ApacheKafka)
    }

    /// Returns whether KEDA's trigger reads the key, or the same key ending in `FromEnv`.
    pub(super) fn reads(self, key: &str) -> bool {
        if let Some(plain) = key.strip_suffix("FromEnv") {
            return FROM_ENV.contains(&plain) && self.reads(plain);
        }
        AWS_IDENTITY.contains(&key)
            || match self {
                Self::Kafka => KAFKA.contains(&key) || KAFKA_ALONE.contains(&key),
                Self::ApacheKafka => KAFKA.contains(&key),
                Self::Kinesis => AWS.contains(&key) || key == "streamName",
                Self::DynamoDb => AWS.contains(&key) || key == "tableName",
            }
    }

    /// The policy that is wished for, where this source has it.
    /// What KEDA's trigger counts.
    pub(super) const fn own_policy(self) -> ScaleOn {
        if self.is_kafka() { ScaleOn::Lag } else { ScaleOn::ShardCount }
    }

    pub(super) fn policy(self, wished: Option<ScaleOn>) -> Result<ScaleOn, &'static str> {
        match (wished.unwrap_or(self.own_policy()), self.is_kafka()) {
            (ScaleOn::ShardCount | ScaleOn::Age, true) => Err("is for streams of AWS"),
            (ScaleOn::Lag, false) => Err("is for Kafka"),
            (policy, _) => Ok(policy),
        }
    }
}
