//! Committed offsets and log ends of Kafka consumer groups.
//!
//! ```text
//! client ─▶ cluster: a round ─▶ transport: rows ─▶ job: an observation
//!    └ token                       └ batched ─▶ brokers ─▶ dial ─▶ protocol
//! ```

mod batched;
mod brokers;
mod client;
mod cluster;
mod dial;
mod ends;
mod group_rows;
mod group_topics;
mod group_types;
mod log_ends;
mod log_starts;
mod model;
mod pending_reading;
pub mod protocol;
mod tls;
mod token;
mod topics;
mod topology;
pub mod transport;

pub use batched::Batched;
pub use client::KafkaClient;
pub(crate) use client::{open, system_roots};
pub use cluster::Cluster;
pub(crate) use pending_reading::failed;
pub(crate) use tls::private_key;
pub(crate) use token::{Fetched, TokenSource};
