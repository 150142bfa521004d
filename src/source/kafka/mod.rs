//! Committed offsets and log ends of Kafka consumer groups.

mod cluster;
mod group_topics;
mod job;
mod topology;
pub mod transport;

pub use cluster::Cluster;
