//! The embedded demo: everything that a scaler needs around it, in one process.
//!
//! ```text
//! producer ─▶ broker (librdkafka's mock cluster) ◀─ consumers of one group
//!                    ▲ committed and end offsets
//!              the scaler, served on localhost ◀─ gRPC ─ KEDA's side: one ScaledObject, and its HPA
//! ```

mod autoscaler;
mod broker;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::autoscaler::Autoscaler;
use self::broker::Broker;
use self::traffic::Traffic;
use crate::app::{self, Listeners, Settings};
use crate::cli::{Verdict, duration, output};
use crate::source::Connections;
use crate::telemetry::{LogFormat, init_log};

/// The arguments of `playground`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler playground
  keda-stream-scaler playground --for 30s --consumers 2

Ctrl-C ends it.")]
pub(crate) struct Arguments {
    /// End by itself after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    run_for: Option<Duration>,
    /// Consumers in the group; each handles 40 records a second
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u8).range(1..=12))]
    consumers: u8,
    /// Where the scaler is served (gRPC); port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    grpc_addr: SocketAddr,
    /// What of the scaler's own work to log, to stderr
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "error", value_name = "FILTER")]
    log: String,
}

/// Runs the demo.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    init_log(&arguments.log, LogFormat::Text).map_err(anyhow::Error::msg)?;
    let runtime = app::runtime(1)?;
    let broker = Broker::start().context("starting the embedded broker")?;
    let traffic = Arc::new(Traffic::start(&broker, usize::from(arguments.consumers))?);
    runtime.block_on(demonstrate(arguments, &broker, &traffic))?;
    runtime.shutdown_background();
    traffic.stop();
    Ok(Verdict::Good)
}

async fn demonstrate(arguments: &Arguments, broker: &Broker, traffic: &Traffic) -> anyhow::Result<()> {
    let grpc = TcpListener::bind(arguments.grpc_addr).await.context("listening for gRPC")?;
    let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listening for HTTP")?;
    let (grpc_addr, http_addr) = (grpc.local_addr()?, http.local_addr()?);
    let end = CancellationToken::new();
    let settings = Settings {
        connections: Connections::default(),
        connections_file: None,
        recording: None,
        drain_deadline: Duration::from_secs(1),
        max_connection_age: Duration::from_secs(300),
    };
    let service = tokio::spawn(app::run(settings, Listeners { grpc, http }, end.clone().cancelled_owned()));
    let autoscaler = Autoscaler::new(grpc_addr, &broker.bootstrap_servers());
    output::data(&autoscaler.introduction(http_addr, arguments.consumers))?;
    let watched = autoscaler.watch(traffic);
    let over = async {
        match arguments.run_for {
            Some(run_for) => tokio::time::sleep(run_for).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = watched => outcome,
        () = over => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C"),
    };
    end.cancel();
    service.await.context("the scaler broke off")??;
    outcome?;
    output::data("ended\n")
}
