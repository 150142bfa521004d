//! `serve`: runs the service.

mod arguments;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::arguments::{LimitArguments, Observability, TlsArguments};
use super::{Signals, Verdict};
use crate::app::{self, COMMIT, Listeners, Recording, Settings, VERSION};
use crate::telemetry::{LogFormat, Traces, init_log};
use crate::tenancy::Connections;

/// The time that a collector has to accept the last spans.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler serve --dev   # with a broker on your own machine
  keda-stream-scaler serve --connections /etc/stream-scaler/connections.yaml --log info,keda_stream_scaler=debug
  keda-stream-scaler serve --tls-cert tls.crt --tls-key tls.key --tls-client-ca ca.crt   # KEDA must show a certificate
  keda-stream-scaler serve --record /var/lib/stream-scaler   # for keda-stream-scaler replay
  keda-stream-scaler serve --grpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0   # free ports, see the log

Exit code 0: clean shutdown; 1: it could not start, failed, or got a second signal while draining; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Where KEDA finds the scaler (gRPC)
    #[arg(
        long,
        env = "STREAM_SCALER_GRPC_ADDR",
        default_value = "[::]:50051",
        default_value_if("dev", "true", "127.0.0.1:50051"),
        value_name = "ADDRESS"
    )]
    grpc_addr: SocketAddr,
    /// Where operators find metrics, probes and samples (HTTP)
    #[arg(
        long,
        env = "STREAM_SCALER_HTTP_ADDR",
        default_value = "[::]:8080",
        default_value_if("dev", "true", "127.0.0.1:8080"),
        value_name = "ADDRESS"
    )]
    http_addr: SocketAddr,
    /// For a first try on your own machine: triggers may name brokers on it, and any role and endpoint of AWS; listens on 127.0.0.1
    #[arg(long, conflicts_with = "connections")]
    dev: bool,
    /// The connections file: addresses, credentials, and who may use them
    #[arg(long, env = "STREAM_SCALER_CONNECTIONS", value_name = "FILE")]
    connections: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArguments,
    /// How many seconds open calls may take after SIGTERM
    #[arg(long, env = "STREAM_SCALER_DRAIN_SECONDS", default_value = "10", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(0..=600))]
    drain_seconds: u64,
    /// After how many seconds a connection is asked to end, so that callers find new replicas
    #[arg(long, env = "STREAM_SCALER_MAX_CONNECTION_AGE_SECONDS", default_value = "300", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_connection_age_seconds: u64,
    /// Threads that answer; more than one helps only if one is fully used
    #[arg(long, env = "STREAM_SCALER_WORKER_THREADS", default_value = "1", value_name = "THREADS",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    worker_threads: u16,
    /// Record readings into this directory, for replay
    #[arg(long, env = "STREAM_SCALER_RECORD", value_name = "DIRECTORY")]
    record: Option<PathBuf>,
    /// The maximum size of all recordings in MiB; the oldest are deleted first
    #[arg(long, env = "STREAM_SCALER_RECORD_MIB", default_value = "1024", value_name = "MIB",
          value_parser = clap::value_parser!(u64).range(32..=1_048_576))]
    record_mib: u64,
    #[command(flatten)]
    limits: LimitArguments,
    /// What to log: a level, or levels by module
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to write log lines
    #[arg(long, env = "STREAM_SCALER_LOG_FORMAT", value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
    #[command(flatten)]
    observability: Observability,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let Arguments {
        grpc_addr,
        http_addr,
        dev,
        connections,
        tls,
        drain_seconds,
        max_connection_age_seconds,
        worker_threads,
        record,
        record_mib,
        limits,
        log,
        log_format,
        observability,
    } = arguments;
    let runtime = app::runtime(usize::from(worker_threads))?;
    let traces = {
        let _on = runtime.enter();
        Traces::from_environment().map_err(anyhow::Error::msg)?
    };
    let log = init_log(&log, log_format, traces.as_ref()).map_err(anyhow::Error::msg)?;
    let settings = Settings {
        connections: match &connections {
            Some(file) => Connections::read(file)?,
            None if dev => Connections::unrestricted(),
            None => Connections::default(),
        },
        connections_file: connections,
        tls: tls.read()?,
        recording: record.map(|directory| Recording { directory, most_bytes: record_mib << 20 }),
        limits: limits.into(),
        drain_deadline: Duration::from_secs(drain_seconds),
        max_connection_age: Duration::from_secs(max_connection_age_seconds),
        partition_metrics: observability.partition_metrics,
        log: Some(log),
    };
    let served = runtime.block_on(async {
        let served = serve(settings, grpc_addr, http_addr).await?;
        if let (Ended::Drained, Some(traces)) = (&served, traces) {
            // the runtime keeps running meanwhile, because it sends the last spans
            tokio::task::spawn_blocking(move || traces.end(LAST_SPANS)).await?;
        }
        anyhow::Ok(served)
    });
    // a client of a source that does not answer must not keep the process alive
    runtime.shutdown_background();
    match served? {
        Ended::Drained => Ok(Verdict::Good),
        Ended::BySecondSignal => bail!("ended by a second signal during the drain; open calls were cut"),
    }
}

/// The way in which the service ended.
enum Ended {
    /// Open calls had ended, or the drain deadline had passed.
    Drained,
    /// The process got another signal during the drain.
    BySecondSignal,
}

/// Returns the address of the status page, as a browser on this machine opens it.
fn page(listens: SocketAddr) -> String {
    if listens.ip().is_unspecified() {
        format!("http://localhost:{}/", listens.port())
    } else {
        format!("http://{listens}/")
    }
}

async fn serve(settings: Settings, grpc_addr: SocketAddr, http_addr: SocketAddr) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let grpc = TcpListener::bind(grpc_addr).await.with_context(|| format!("listening for gRPC on {grpc_addr}"))?;
    let http = TcpListener::bind(http_addr).await.with_context(|| format!("listening for HTTP on {http_addr}"))?;
    let http_addr = http.local_addr()?;
    tracing::info!(
        version = VERSION,
        commit = COMMIT,
        grpc_addr = %grpc.local_addr()?,
        %http_addr,
        status_page = page(http_addr),
        tls = settings.tls_in_words(),
        "listening"
    );
    let service = app::run(settings, Listeners { grpc, http }, shutdown.clone().cancelled_owned());
    tokio::select! {
        served = service => served.map(|()| Ended::Drained),
        () = async {
            signals.next().await;
            shutdown.cancel();
            signals.next().await;
        } => Ok(Ended::BySecondSignal),
    }
}
