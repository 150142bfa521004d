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
pub mod transport;

pub use batched::Batched;
pub use client::KafkaClient;
pub use client::{open, system_roots};
pub use cluster::Cluster;
pub use pending_reading::failed;
pub use tls::private_key;
pub use token::{Fetched, TokenSource};
