//! Which of KEDA's built-in triggers a source corresponds to.

/// The two Kafka triggers of KEDA, which differ in what they accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KafkaDialect {
    /// `kafka`, which KEDA builds on sarama.
    Kafka,
    /// `apache-kafka`, which KEDA builds on kafka-go.
    ApacheKafka,
}

/// The two AWS sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AwsDialect {
    Kinesis,
    DynamoDb,
}
