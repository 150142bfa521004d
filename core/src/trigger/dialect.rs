//! Which of KEDA's built-in triggers a source stands for.

/// Which of KEDA's two Kafka triggers is meant; they differ in what they accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KafkaDialect {
    /// `kafka`, which KEDA builds on sarama.
    Kafka,
    /// `apache-kafka`, which KEDA builds on kafka-go.
    ApacheKafka,
}

/// Which of the two AWS sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AwsDialect {
    Kinesis,
    DynamoDb,
}
