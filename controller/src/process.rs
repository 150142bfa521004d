//! Builds, runs and stops the controller of Kinesis streams.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::KinesisStreamSeries;
use crate::admin;
use crate::app::{COMMIT, VERSION, reload};
use crate::limits::Limits;
use crate::sampler::Sampler;
use crate::source::Sources;
use crate::source::aws::LedgerTable;
use crate::telemetry::{LogFilter, Metrics};
use crate::tenancy::Connections;

/// The settings of the controller.
pub struct ControllerSettings {
    /// The client of the API server that has the objects.
    pub client: kube::Client,
    /// The namespace of the lease.
    pub namespace: String,
    /// The name of this replica in the lease.
    pub identity: String,
    /// The connections file, read before the port opens.
    pub connections: Connections,
    /// The path of the connections file, which is watched for changes.
    pub connections_file: Option<PathBuf>,
    /// The log filter, which operators can change.
    pub log: Option<LogFilter>,
    /// The table that records each change of a stream.
    pub ledger: Option<LedgerTable>,
}

/// Runs the controller, and serves operators on `http`, until `shutdown` completes.
///
/// # Errors
/// Fails if the lease cannot be read or written, or if a task ends by itself.
pub async fn run_controller(
    settings: ControllerSettings,
    http: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(VERSION, COMMIT));
    let sources = Sources::new(settings.connections, metrics.upstream.clone());
    let rules = sources.connections();
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let series = KinesisStreamSeries::default();
    metrics.add(series.clone());
    let mut tasks = JoinSet::new();
    if let Some(path) = settings.connections_file {
        tasks.spawn(reload::connections(path, rules.clone()));
    }
    let readiness = admin::Readiness::new(CancellationToken::new());
    let bounds = Limits::default().http_connections;
    tasks.spawn(admin::serve(http, sampler.clone(), metrics.clone(), bounds, readiness, settings.log));
    let controlled = super::Settings {
        client: settings.client,
        namespace: settings.namespace,
        identity: settings.identity,
        rules,
        sampler,
        upstream: metrics.upstream.clone(),
        series,
        ledger: settings.ledger,
    };
    tokio::select! {
        ended = super::run(controlled, shutdown) => ended?,
        Some(ended) = tasks.join_next() => return ended.context("a task panicked")?.context("a task ended"),
    }
    tracing::info!("ended");
    Ok(())
}
