//! Committed offsets and log ends of Kafka consumer groups.
//!
//! ```text
//! client ─▶ cluster: a round ─▶ transport: rows ─▶ job: an observation
//!    └ token                       └ librdkafka ─▶ native (all unsafe code)
//! ```

mod client;
mod cluster;
mod ends;
mod group_rows;
mod group_topics;
mod job;
pub mod librdkafka;
mod native;
mod properties;
pub mod protocol;
mod reach;
mod token;
mod topics;
mod topology;
pub mod transport;

pub use client::KafkaClient;
pub(in crate::source) use client::{open, system_roots};
pub use cluster::Cluster;
pub(in crate::source) use job::failed;
pub use properties::{Properties, Unsupported};
pub(in crate::source) use reach::OUT_OF_REACH;
pub use reach::Reach;
pub(in crate::source) use token::{Fetched, TokenSource};
