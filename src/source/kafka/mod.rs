//! Committed offsets and log ends of Kafka consumer groups.

pub mod transport;
