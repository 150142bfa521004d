//! Committed offsets and log ends of Kafka consumer groups.
//!
//! ```text
//! cluster: a round ─▶ transport: rows ─▶ job: an observation
//!                        └ librdkafka ─▶ native (all unsafe code)
//! ```

mod client;
mod cluster;
mod group_topics;
mod job;
mod librdkafka;
mod native;
mod outstanding;
mod properties;
mod row_error;
mod token;
mod topology;
pub mod transport;

pub use client::KafkaClient;
pub use cluster::Cluster;
pub use librdkafka::{Librdkafka, Token};
pub use properties::{Properties, Unsupported};
