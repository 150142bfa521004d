//! `controller`: reconciles `KinesisStream` objects, whose shards are requested through `/scale`, within the calls that are left.
//!
//! Two replicas may run; a lease lets one of them work. An object is reconciled once per minute, and at once when it changes. Its
//! status records the calls that were made; all other state is read again, so that a restart changes nothing.

#![forbid(unsafe_code)]

mod kinesis_stream;
mod planner;
mod process;
mod reconcile;
mod series;
mod status;
mod subject;
mod work;

use std::time::Duration;

use anyhow::Context as _;
use keda_stream_scaler_core::{lag, resize, trigger};
use keda_stream_scaler_service::{admin, app, limits, sampler, source, telemetry, tenancy};
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;

pub use self::kinesis_stream::{KinesisStream, KinesisStreamSpec, KinesisStreamStatus, definition};
pub use self::planner::Planner;
pub use self::process::{ControllerSettings, run_controller};
pub use self::series::KinesisStreamSeries;
use self::work::work;
use crate::sampler::Sampler;
use crate::source::aws::LedgerTable;
use crate::source::{ConnectionsHandle, Sources};
use crate::telemetry::UpstreamMetrics;

/// The name of the lease.
const LEASE: &str = "keda-stream-scaler-controller";
/// A lease that is not renewed expires after this time, in seconds,
const LEASE_SECONDS: u64 = 15;
/// and its holder stops working this long before, in seconds.
const GRACE_SECONDS: u64 = 5;

/// The settings of the controller.
#[derive(Clone)]
pub struct Settings {
    /// The client of the API server that has the objects.
    pub client: Client,
    /// The namespace of the lease.
    pub namespace: String,
    /// The name of this replica in the lease.
    pub identity: String,
    /// The operator's connections file.
    pub rules: ConnectionsHandle,
    /// The sampler that reads the consumers of streams.
    pub sampler: Sampler<Sources>,
    /// The metrics of calls to AWS.
    pub upstream: UpstreamMetrics,
    /// The series of the objects.
    pub series: KinesisStreamSeries,
    /// The table that records each change of a stream.
    pub ledger: Option<LedgerTable>,
}

/// Works while this replica holds the lease, until `shutdown` completes.
///
/// # Errors
/// Fails if the lease cannot be read or written.
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
            // dropped before the lease expires: no call is made after that
            lost = held.wait_for(|held| !*held) => drop(lost.context("the lease is no longer renewed")?),
        }
        settings.series.show(None);
        tracing::warn!(identity = settings.identity, "has lost the lease and waits");
    }
    // the manager releases the lease when its channel is closed
    drop(held);
    drop(tokio::time::timeout(Duration::from_secs(GRACE_SECONDS), manager).await);
    Ok(())
}
