//! The demo: two worlds with different triggers, side by side, with everything around a scaler in one process.
//!
//! ```text
//! producer ─▶ broker: one topic ◀─ consumers of group by-lag ◀── HPA ◀── KEDA ◀─┐
//!                  ▲    ▲                                                   gRPC ├── the scaler
//!                  │    └───────── consumers of group by-catch-up ◀── HPA ◀── KEDA ◀─┘     │
//!                  └──────────── committed and end offsets, members ───────────────────────┘
//! ```
//!
//! Consumers and the scaler are real; the HPA is simulated by its rules, and its periods are shortened. All totals come from the
//! broker's own data, not from what the scaler measures.

#![forbid(unsafe_code)]

mod arrivals;
mod broker;
mod keda;
mod page;
mod periods;
mod pods;
mod table;
mod tally;
mod world;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use keda_stream_scaler::app::{self, Listeners, Settings};
use keda_stream_scaler::cli::{self, output};
use keda_stream_scaler::limits::Limits;
use keda_stream_scaler::telemetry::{LogFormat, init_log};
use keda_stream_scaler::tenancy::Connections;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::arrivals::{Arrivals, Course};
use self::broker::Broker;
use self::page::Page;
use self::periods::Periods;
use self::world::World;

/// The namespace of the ScaledObjects.
const NAMESPACE: &str = "playground";
const TOPIC: &str = "orders";
const PARTITIONS: usize = 48;
/// The `maxReplicaCount`: twice as many as the arrivals ever need.
const MOST_REPLICAS: u32 = 24;

/// The interval between measurements at the broker.
const LOOK: Duration = Duration::from_millis(250);

/// Show a lag threshold and catch-up side by side: broker, consumers, scaler and KEDA's side in one process
#[derive(Debug, Parser)]
#[command(
    max_term_width = 120,
    after_help = "Examples:
  cargo run -p keda-stream-scaler-playground
  cargo run -p keda-stream-scaler-playground -- --for 6m --lag-threshold 200

Ctrl-C ends it. Exit code 0: it ended so, or after its time; 1: it failed; 2: wrong usage."
)]
struct Arguments {
    /// Stop after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = cli::duration)]
    run_for: Option<Duration>,
    /// How many times shorter than in a cluster the periods of KEDA, the HPA and the workload are
    #[arg(long, default_value = "5", value_parser = ["1", "2", "4", "5"])]
    speed: String,
    /// The lagThreshold of the world that scales by lag [default: the records that a consumer handles in 20 s of a cluster]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    lag_threshold: Option<u32>,
    /// Where the page is served; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    page_addr: SocketAddr,
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
    let (show, served) = runtime.block_on(Show::start(arguments))?;
    let outcome = runtime.block_on(show.play(arguments.run_for, &served));
    runtime.block_on(served.end())?;
    outcome?;
    output::data(&table::summary(&show))?;
    // its threads stop, and consumers leave their groups while the broker still runs
    drop(show.arrivals);
    show.worlds.iter().for_each(World::end);
    drop(show.broker);
    runtime.shutdown_background();
    output::data("ended\n")
}

/// All parts of the demo except the scaler.
struct Show {
    arrivals: Arrivals,
    worlds: Arc<[World; 2]>,
    broker: Broker,
    begun: Instant,
    course: Course,
    periods: Periods,
}

/// The addresses that the demo serves.
struct Served {
    grpc: SocketAddr,
    http: SocketAddr,
    page: SocketAddr,
    end: CancellationToken,
    scaler: JoinHandle<anyhow::Result<()>>,
    pages: JoinHandle<std::io::Result<()>>,
}

impl Show {
    async fn start(arguments: &Arguments) -> anyhow::Result<(Self, Served)> {
        let speed = arguments.speed.parse()?;
        let periods = Periods::of(speed);
        let broker = Broker::start().await.context("starting the embedded broker")?;
        broker.create_topic(TOPIC, PARTITIONS);
        let servers = broker.bootstrap_servers();
        let [first, second] =
            world::plans(&servers, arguments.lag_threshold.unwrap_or(periods.lag_threshold()), periods);
        let worlds = Arc::new([World::new(first, &servers, periods)?, World::new(second, &servers, periods)?]);
        let course = Course::new(speed);
        let served = Served::start(arguments, &worlds, periods, course).await?;
        let arrivals = Arrivals::start(&servers, course)?;
        Ok((Self { arrivals, worlds, broker, begun: Instant::now(), course, periods }, served))
    }

    /// Runs the demo until its time is over or Ctrl-C is pressed.
    async fn play(&self, run_for: Option<Duration>, served: &Served) -> anyhow::Result<()> {
        output::data(&table::introduction(self, served))?;
        let over = async {
            match run_for {
                Some(run_for) => tokio::time::sleep(run_for).await,
                None => std::future::pending().await,
            }
        };
        let [first, second] = &*self.worlds;
        tokio::select! {
            failed = first.scale(served.grpc) => failed,
            failed = second.scale(served.grpc) => failed,
            failed = table::show(self) => failed,
            () = self.look() => Ok(()),
            () = over => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for Ctrl-C"),
        }
    }

    /// Measures both worlds forever.
    async fn look(&self) {
        let groups = self.worlds.each_ref().map(|world| world.plan.name);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.begun;
        loop {
            let now = looks.tick().await;
            for world in &*self.worlds {
                world.count(&self.broker, now - self.begun, now - before);
            }
            before = now;
            self.broker.trim(TOPIC, &groups);
        }
    }
}

impl Served {
    async fn start(
        arguments: &Arguments,
        worlds: &Arc<[World; 2]>,
        periods: Periods,
        course: Course,
    ) -> anyhow::Result<Self> {
        let listen = async |address: SocketAddr| {
            TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
        };
        let (grpc, http) = (listen(arguments.grpc_addr).await?, listen(arguments.http_addr).await?);
        let page = listen(arguments.page_addr).await?;
        let addresses = (grpc.local_addr()?, http.local_addr()?, page.local_addr()?);
        let settings = Settings {
            connections: Connections::unrestricted(),
            limits: Limits::default(),
            connections_file: None,
            tls: None,
            recording: None,
            drain_deadline: Duration::from_secs(1),
            max_connection_age: Duration::from_secs(300),
            partition_metrics: false,
            log: None,
        };
        let end = CancellationToken::new();
        let scaler = tokio::spawn(app::run(settings, Listeners { grpc, http }, end.clone().cancelled_owned()));
        let (grpc, http, page_addr) = addresses;
        let about = Page { worlds: worlds.clone(), periods, course, scaler: http };
        let pages = tokio::spawn(page::serve(page, about));
        Ok(Self { grpc, http, page: page_addr, end, scaler, pages })
    }

    async fn end(self) -> anyhow::Result<()> {
        self.pages.abort();
        self.end.cancel();
        self.scaler.await.context("the scaler panicked")?
    }
}
