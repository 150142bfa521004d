//! The demo: the same traffic for two autoscalers, side by side, with everything around them in one process. This is the scene on Kafka:
//!
//! ```text
//! producer ─▶ brokers: one topic ◀─ pods of group by-lag ◀── HPA ◀── KEDA's lag threshold
//!                  ▲    ▲
//!                  │    └────────── pods of group by-age ◀── HPA ◀── KEDA ◀── gRPC ── the scaler
//!                  └──────────── committed and end offsets, members ─────────────────────┘
//! ```
//!
//! In the scene on Kinesis a stand-in for Kinesis and DynamoDB takes the place of the brokers, workers that follow KCL that of the
//! consumers, and KEDA's shard count that of its lag threshold.
//!
//! Clients of Kafka and the scaler are real; KEDA's triggers and the HPA are their rules, and all periods are shortened. All
//! totals come from the source's own data, not from what the scaler measures.

#![forbid(unsafe_code)]

mod autoscaler;
mod broker;
mod clock;
mod course;
mod history;
mod keda;
mod kinesis;
mod page;
mod periods;
mod pods;
mod producer;
mod reason;
mod scaler;
mod scene;
mod score;
mod session;
mod source;
mod table;
mod trouble;
mod verdict;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use keda_stream_scaler::app;
use keda_stream_scaler::cli::{self, output};
use keda_stream_scaler::telemetry::{LogFormat, init_log};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use self::page::{Command, Stage};
use self::scaler::Listeners;
use self::scene::Scene;
use self::session::{Options, Session};

/// The namespace of the `ScaledObject`.
const NAMESPACE: &str = "playground";
/// The topic or stream.
const TOPIC: &str = "orders";
/// The `maxReplicaCount`: about twice as many as the arrivals ever need.
const MOST_REPLICAS: u32 = 24;
/// The page has the first free one of these ports.
const PORTS: std::ops::RangeInclusive<u16> = 8000..=8099;

/// Show the same traffic with two autoscalers: a source, consumers, KEDA's side and the scaler in one process
#[derive(Debug, Parser)]
#[command(
    max_term_width = 80,
    after_help = "Examples:
  make demo
  cargo run -p keda-stream-scaler-playground -- --for 6m --lag-threshold 200
  cargo run -p keda-stream-scaler-playground -- --scene kinesis
  cargo run -p keda-stream-scaler-playground -- --scale-down-window 75s

Ctrl-C ends it. Exit code 0: it ended so, or after its time; 1: it failed;
2: wrong usage."
)]
struct Arguments {
    /// Stop after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = cli::duration)]
    run_for: Option<Duration>,
    /// The source that both sides read: a Kafka topic, or a Kinesis stream with KCL
    #[arg(long, default_value = "kafka")]
    scene: Scene,
    /// How many times shorter than in a cluster all periods are
    #[arg(long, default_value = "5", value_parser = ["1", "2", "5"])]
    speed: String,
    /// The lagThreshold of KEDA's side [default: the best of six for this traffic]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    lag_threshold: Option<u32>,
    /// The shardCount of KEDA's side on Kinesis [default: the best of six for this traffic]
    #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u32).range(1..))]
    shard_count: Option<u32>,
    /// The scale-down stabilization window of both HPAs, in a cluster
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = cli::duration)]
    scale_down_window: Duration,
    /// Where the page is served [default: 127.0.0.1:8000, or the next free port]
    #[arg(long, value_name = "ADDRESS")]
    page_addr: Option<SocketAddr>,
    /// Where the scaler is served (gRPC); port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    grpc_addr: SocketAddr,
    /// Where the scaler's own pages are (HTTP); port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    http_addr: SocketAddr,
    /// Log filter of the scaler's own work, to stderr
    #[arg(long, env = "STREAM_SCALER_LOG", default_value = "error", value_name = "FILTER")]
    log: String,
}

/// Why a run of the demo ended.
enum Ended {
    /// The demo is over.
    Over,
    /// A person restarts it with these options.
    Restarted(Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    init_log(&arguments.log, LogFormat::Text, None).map_err(anyhow::Error::msg)?;
    let runtime = app::runtime(2)?;
    runtime.block_on(show(arguments))?;
    runtime.shutdown_background();
    output::data("ended\n")
}

async fn show(arguments: &Arguments) -> anyhow::Result<()> {
    let page = listen(arguments.page_addr).await?;
    let address = page.local_addr()?;
    output::data(&format!("Open http://{address}/ (the demo starts within a few seconds)\n"))?;
    let listeners = Listeners::bind(arguments.grpc_addr, arguments.http_addr)?;
    let (sessions, current) = watch::channel(None);
    let (send, mut commands) = mpsc::unbounded_channel();
    let pages = tokio::spawn(page::serve(page, Stage { current, send }));
    let mut options = Options {
        scene: arguments.scene,
        speed: arguments.speed.parse()?,
        lag_threshold: arguments.lag_threshold,
        shard_count: arguments.shard_count,
        down_window: arguments.scale_down_window,
    };
    let over = async {
        match arguments.run_for {
            Some(run_for) => tokio::time::sleep(run_for).await,
            None => std::future::pending().await,
        }
    };
    let mut over = std::pin::pin!(async {
        tokio::select! {
            () = over => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C"),
        }
    });
    let mut restarted = false;
    loop {
        let session = tokio::select! {
            session = Session::start(options, &listeners) => Arc::new(session?),
            ended = &mut over => { ended?; break }
        };
        sessions.send_replace(Some(session.clone()));
        output::data(&table::introduction(&session, address, restarted))?;
        let ended = tokio::select! {
            failed = session.run() => failed.map(|()| Ended::Over),
            failed = table::show(&session) => failed.map(|()| Ended::Over),
            options = restart(&session, &mut commands) => Ok(Ended::Restarted(options)),
            ended = &mut over => ended.map(|()| Ended::Over),
        };
        output::data(&table::summary(&session))?;
        sessions.send_replace(None);
        end(session).await?;
        match ended? {
            Ended::Over => break,
            Ended::Restarted(next) => (options, restarted) = (next, true),
        }
    }
    pages.abort();
    Ok(())
}

/// Obeys commands until one of them restarts the demo.
async fn restart(session: &Session, commands: &mut mpsc::UnboundedReceiver<Command>) -> Options {
    loop {
        match commands.recv().await {
            Some(Command::Make(trouble)) => session.make(trouble),
            Some(Command::Pause(paused)) => session.clock.pause(paused),
            Some(Command::Restart) => return session.options,
            Some(Command::Speed(speed)) => return Options { speed, ..session.options },
            Some(Command::Scene(scene)) => return Options { scene, ..session.options },
            None => std::future::pending().await,
        }
    }
}

/// Ends a run, once no page shows it.
async fn end(mut session: Arc<Session>) -> anyhow::Result<()> {
    loop {
        match Arc::try_unwrap(session) {
            Ok(session) => return session.end().await,
            Err(shared) => session = shared,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Listens on the address, or without one on the first free port.
async fn listen(address: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = address {
        return TcpListener::bind(address).await.with_context(|| format!("listening on {address}"));
    }
    for port in PORTS {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    let (first, last) = (PORTS.start(), PORTS.end());
    anyhow::bail!("no port from {first} to {last} is free; choose one with --page-addr")
}
