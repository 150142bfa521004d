//! `controller`: `KinesisStream` objects, whose shards are set through `/scale` and kept with at most the calls that are left.
//!
//! Two replicas may run; a lease lets one of them work. An object is reconciled each minute, and at once when it changes. Its status holds
//! what was called; all else is read again, so that a restart changes nothing.

mod kinesis_stream;
pub mod readers;
mod reconcile;
mod series;
mod status;
mod subject;
mod work;

use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;

pub use self::kinesis_stream::{KinesisStream, KinesisStreamSpec, KinesisStreamStatus, definition};
pub use self::series::KinesisStreamSeries;
use self::work::work;
use crate::sampler::Sampler;
use crate::source::aws::LedgerTable;
use crate::source::{ConnectionsHandle, Sources};
use crate::telemetry::UpstreamMetrics;

/// The name of the lease.
const LEASE: &str = "keda-stream-scaler-controller";
/// A lease that is not renewed is free after this time, in seconds,
const LEASE_SECONDS: u64 = 15;
/// and the work of its holder ends this long before, in seconds.
const GRACE_SECONDS: u64 = 5;

/// What the controller works with.
#[derive(Clone)]
pub struct Settings {
    /// Where the objects are.
    pub client: Client,
    /// The namespace of the lease.
    pub namespace: String,
    /// The name of this replica.
    pub identity: String,
    /// What the operator allows.
    pub rules: ConnectionsHandle,
    /// Reads the consumers of streams.
    pub sampler: Sampler<Sources>,
    /// Counts the calls.
    pub upstream: UpstreamMetrics,
    /// Shows the objects.
    pub series: KinesisStreamSeries,
    /// Keeps each change of a stream.
    pub ledger: Option<LedgerTable>,
}

/// Works while this replica holds the lease, until `shutdown` ends.
///
/// # Errors
/// When the API server does not let the lease be read or written.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let lease = LeaseManagerBuilder::new(settings.client.clone(), LEASE)
        .with_namespace(&settings.namespace)
        .with_identity(&settings.identity)
        .with_duration(LEASE_SECONDS)
        .with_grace(GRACE_SECONDS)
        .build()
        .await
        .context("could not read the lease")?;
    let (mut held, manager) = lease.watch().await;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            held = held.wait_for(|held| *held) => drop(held.context("the lease is no longer renewed")?),
        }
        tracing::info!(identity = settings.identity, "holds the lease and works");
        tokio::select! {
            () = &mut shutdown => break,
            worked = work(&settings) => worked?,
            // dropped before the lease's time is over: no call is made after that
            lost = held.wait_for(|held| !*held) => drop(lost.context("the lease is no longer renewed")?),
        }
        settings.series.show(None);
        tracing::warn!(identity = settings.identity, "has lost the lease and waits");
    }
    // the manager lets go of the lease when its channel is closed
    drop(held);
    drop(tokio::time::timeout(Duration::from_secs(GRACE_SECONDS), manager).await);
    Ok(())
}
