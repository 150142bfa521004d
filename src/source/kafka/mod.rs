//! Committed offsets and log ends of Kafka consumer groups.

pub mod librdkafka;
mod native;
pub mod transport;
