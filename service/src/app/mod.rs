//! Builds the service, supervises its tasks, and drains it.
//!
//! This module contains no domain logic. Listeners and the shutdown signal come from outside, so that a test can run the whole
//! service.

mod own_thread;
mod recorder;
pub mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::own_thread::on_own_thread;
use self::recorder::Recorder;
use crate::admin;
use crate::keda::{self, CallerLimits};
use crate::limits::Limits;
use crate::sampler::{Quotas, ReadingObserver, Sampler};
use crate::source::Sources;
use crate::telemetry::{LogFilter, Metrics};
use crate::tenancy::Connections;
use crate::tls::{self, Tls};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit of this build, or `unknown` if built outside a checkout.
pub const COMMIT: &str = env!("STREAM_SCALER_COMMIT");
/// Version and commit, as `--version` prints them.
pub const RELEASE: &str = concat!(env!("CARGO_PKG_VERSION"), "\ncommit ", env!("STREAM_SCALER_COMMIT"));

/// The settings of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The connections file, read before any port opens.
    pub connections: Connections,
    /// The path of the connections file, which is watched for changes.
    pub connections_file: Option<PathBuf>,
    /// TLS on the gRPC port, read before it opens; plaintext if absent.
    pub tls: Option<Tls>,
    /// Where readings are recorded, if recording is enabled.
    pub recording: Option<Recording>,
    /// The limits for callers.
    pub limits: Limits,
    /// The time that open calls have after the shutdown signal.
    pub drain_deadline: Duration,
    /// The age at which the server sends GOAWAY on a connection.
    pub max_connection_age: Duration,
    /// Whether each partition and shard has series of its own.
    pub partition_metrics: bool,
    /// The log filter, which operators can change.
    pub log: Option<LogFilter>,
}

impl Settings {
    /// Describes TLS on the gRPC port, for people.
    pub fn tls_in_words(&self) -> &'static str {
        match self.tls.as_ref().map(|tls| tls.files().client_ca.is_some()) {
            None => "off",
            Some(false) => "on",
            Some(true) => "on, with client certificates",
        }
    }
}

/// Where readings are recorded, and how much space they may use.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The directory; it is created if it does not exist.
    pub directory: PathBuf,
    /// The maximum size of all files together in bytes; the oldest files are deleted first.
    pub most_bytes: u64,
}

/// Creates the runtime of the service. Answers come from memory: one thread serves tens of thousands per second, and more threads
/// wake each other for a part of every answer.
///
/// # Errors
/// Fails if the system cannot start a thread.
pub fn runtime(worker_threads: usize) -> std::io::Result<Runtime> {
    match worker_threads {
        1 => Builder::new_current_thread().enable_all().build(),
        more => Builder::new_multi_thread().worker_threads(more).enable_all().build(),
    }
}

/// The listeners of the service.
#[derive(Debug)]
pub struct Listeners {
    /// The gRPC listener for KEDA.
    pub grpc: TcpListener,
    /// The HTTP listener for operators.
    pub http: TcpListener,
}

/// Serves until `shutdown` completes, then drains.
///
/// # Errors
/// Fails if a server or another task ends by itself.
pub async fn run(
    settings: Settings,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(VERSION, COMMIT));
    let sources = Sources::new(settings.connections, metrics.upstream.clone());
    let handle = sources.connections();
    let recorder = settings.recording.map(|Recording { directory, most_bytes }| {
        let recorder = Recorder::start(&directory, most_bytes);
        let recorder = recorder.with_context(|| format!("recording into {}", directory.display()))?;
        anyhow::Ok(Arc::new(recorder) as Arc<dyn ReadingObserver>)
    });
    let shares = Quotas::new(&settings.limits, &metrics.limits);
    let sampler = Sampler::within(shares, sources, metrics.sampler.clone(), recorder.transpose()?);
    metrics.add(admin::LiveSeries::new(sampler.clone(), settings.partition_metrics));
    let drain = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let readiness = admin::Readiness::new(drain.clone());
    let connections = settings.limits.http_connections;
    let (log, http) = (settings.log, listeners.http.into_std().context("could not hand over the HTTP port")?);
    let (shown, counted) = (sampler.clone(), metrics.clone());
    // rendering pages and metrics of thousands of targets takes time, and KEDA's answers must not wait for it
    tasks.spawn(on_own_thread("http", move || async move {
        let http = TcpListener::from_std(http).context("could not listen for HTTP")?;
        admin::serve(http, shown, counted, connections, readiness, log).await
    }));
    if let Some(path) = settings.connections_file {
        tasks.spawn(reload::connections(path, handle));
    }
    let grpc = match settings.tls {
        Some(tls) => {
            let metrics = metrics.tls();
            tasks.spawn(reload::tls(tls.clone(), metrics.clone()));
            tls::Listener::new(listeners.grpc, tls, metrics).into()
        }
        None => keda::Incoming::from(listeners.grpc),
    };
    let ages = keda::Limits { max_connection_age: settings.max_connection_age };
    let callers = CallerLimits { limits: settings.limits, metrics: metrics.limits.clone() };
    let (rpc, end) = (metrics.rpc.clone(), drain.clone());
    let mut grpc = tokio::spawn(async move { keda::serve(grpc, sampler, rpc, ages, &callers, end).await });

    tokio::select! {
        () = shutdown => {}
        ended = &mut grpc => return ended.context("the gRPC server panicked")?.context("the gRPC server ended"),
        Some(ended) = tasks.join_next() => return ended.context("a task panicked")?.context("a task ended"),
    }
    tracing::info!(deadline_ms = settings.drain_deadline.as_millis(), "draining");
    drain.cancel();
    // an idle connection may keep the server from ending; it must not keep the process alive
    if let Ok(ended) = timeout(settings.drain_deadline, grpc).await {
        ended.context("the gRPC server panicked")?.context("the gRPC server ended")?;
    } else {
        tracing::warn!("the drain deadline is over; open connections are cut");
    }
    tracing::info!("ended");
    Ok(())
}
