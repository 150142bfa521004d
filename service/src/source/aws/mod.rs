//! Kinesis, DynamoDB Streams and checkpoint tables of one account and region, called with one identity.
//!
//! All readings that need the same data share one read: the shards of a stream, the rows of a table, the result of a probe of a
//! shard.

mod account;
mod application;
pub mod budget;
mod checkpoints;
pub mod clients;
mod clock;
pub mod cloudwatch;
mod control;
pub mod credentials;
pub mod dynamodb_streams;
pub mod failure;
pub mod kinesis;
pub mod listing;
pub mod page;
mod probe_request;
mod prober;
mod resharding;
mod round;
pub mod service;
mod stream;
pub mod tables;
#[cfg(test)]
mod tests;
mod turns;
mod write_metrics;

use std::sync::Arc;

pub use self::control::{StreamAccount, StreamControl};
pub use self::resharding::{LedgerTable, ShardChange};

use self::account::Account;
use self::clients::Aws;
use crate::lag::Report;
use crate::telemetry::UpstreamMetrics;
use crate::trigger::{AwsIdentity, SourceRef};

/// Reads the streams of one account and region with one identity.
pub(super) struct AwsClient(Arc<Account<Aws>>);

impl AwsClient {
    /// Creates a client; it connects when a source is read.
    pub(super) fn new(identity: AwsIdentity, metrics: UpstreamMetrics) -> Self {
        Self(Arc::new(Account::new(Aws::new(identity, metrics))))
    }

    /// Reads the `due` sources side by side, as one round, and reports each exactly once.
    pub(super) async fn observe(&self, due: Vec<Arc<SourceRef>>, report: &Report) {
        self.0.observe(due, report).await;
    }
}
