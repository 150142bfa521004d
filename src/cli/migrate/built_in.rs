//! KEDA's triggers that this scaler can take over: what they read, and what they count.

use clap::ValueEnum;

use super::super::manifest::{TriggerKind, TriggerText};

/// What the value of the new trigger is to count.
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
    /// The consumers that are needed
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
/// Read wherever a trigger has to do with AWS, so for Amazon MSK too.
pub(super) const AWS_IDENTITY: &[&str] = &["identityOwner", "awsAccessKeyID", "awsSecretAccessKey"];
/// What may come from the environment; anything else that ends in `FromEnv` KEDA's trigger passes over.
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
    /// The built-in that a trigger is, if it can be taken over.
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

    /// Whether KEDA's trigger reads the key, or the one that ends in `FromEnv`.
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
