//! Servers in processes of their own: this program again, with a role; and what the kernel says of them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use keda_stream_scaler::keda::proto::external_scaler_server::ExternalScaler;
use keda_stream_scaler::keda::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricValue, ScaledObjectRef,
};
use keda_stream_scaler::keda::{CallerLimits, Limits, serve, serve_service};
use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::tls::{self, Files, Tls};
use keda_stream_scaler::{admin, app, limits};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaApiKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::rounds;
use crate::source::Scripted;

const LIMITS: Limits = Limits { max_connection_age: Duration::from_secs(3600) };

const VARIABLE: &str = "FIGURES_ROLE";

/// What a child of the benchmark does.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// The scaler's own service over a scripted source; a line on stdin makes the source fall silent.
    Scaler,
    /// The scaler's own service over what there is.
    KafkaScaler,
    /// The scripted one with the pages for operators on a thread of their own, as `serve` runs them: the gRPC address, then the HTTP one.
    ScalerWithPages,
    /// The same over TLS; stdin's first line is a directory with tls.crt, tls.key and ca.crt.
    TlsScaler,
    /// The same server and contract with constant answers.
    NoOp,
    /// Three brokers of librdkafka's mock cluster; stdin's first line is how many topics of how many partitions.
    Brokers,
    /// Reads so many groups of so many clusters, which stdin's first line names, and prints what a round costs.
    Reader,
}

/// A child; killed when it is dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Its first line: an address, or what it measured.
    pub address: String,
}

impl Role {
    pub fn of_this_process() -> Option<Self> {
        match std::env::var(VARIABLE).ok()?.as_str() {
            "scaler" => Some(Self::Scaler),
            "kafka-scaler" => Some(Self::KafkaScaler),
            "scaler-with-pages" => Some(Self::ScalerWithPages),
            "tls-scaler" => Some(Self::TlsScaler),
            "no-op" => Some(Self::NoOp),
            "brokers" => Some(Self::Brokers),
            "reader" => Some(Self::Reader),
            other => panic!("no role {other}"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Scaler => "scaler",
            Self::KafkaScaler => "kafka-scaler",
            Self::ScalerWithPages => "scaler-with-pages",
            Self::TlsScaler => "tls-scaler",
            Self::NoOp => "no-op",
            Self::Brokers => "brokers",
            Self::Reader => "reader",
        }
    }

    /// Starts a child of this role, and waits for its address.
    pub fn start(self, first_line: &str) -> Running {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(VARIABLE, self.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{first_line}").unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        Running { child, stdout, address: address.trim().to_owned() }
    }

    pub fn run(self) {
        let first_line = read_line();
        match self {
            Self::Brokers => brokers(&first_line),
            Self::Scaler => measured_runtime().block_on(scaler()),
            Self::KafkaScaler => measured_runtime().block_on(kafka_scaler()),
            Self::ScalerWithPages => measured_runtime().block_on(scaler_with_pages()),
            Self::TlsScaler => measured_runtime().block_on(tls_scaler(Path::new(&first_line))),
            Self::NoOp => measured_runtime().block_on(no_op()),
            Self::Reader => measured_runtime().block_on(rounds::read(&first_line)),
        }
    }
}

impl Running {
    /// Sends a line to the child.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends a line to the child, and returns the line that it answers.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    pub fn usage(&self) -> Usage {
        Usage::of(&self.child.id().to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_mib: f64,
    /// Without the pages of the program's file, which come with the code that runs first.
    pub anonymous_mib: f64,
    pub threads: f64,
}

impl Usage {
    /// Of a process by its number, or `self`.
    pub fn of(process: &str) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |key: &str| -> f64 {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // the name, which may hold anything, ends with the last bracket; times are in hundredths of a second on Linux
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let hundredths: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Self {
            cpu: Duration::from_millis(hundredths * 10),
            resident_mib: number("VmRSS:") / 1024.0,
            anonymous_mib: number("RssAnon:") / 1024.0,
            threads: number("Threads:"),
        }
    }
}

/// For what loads a server as hard as it can.
pub fn runtime() -> tokio::runtime::Runtime {
    app::runtime(2).unwrap()
}

/// For what calls as KEDA does. Its client, grpc-go, writes a call's headers and message at once; two threads here would write
/// them apart, and the kernel of the server would acknowledge the first by itself.
pub fn caller_runtime() -> tokio::runtime::Runtime {
    app::runtime(1).unwrap()
}

/// For what is measured: as `serve` runs by default.
fn measured_runtime() -> tokio::runtime::Runtime {
    app::runtime(1).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "two processes have no other clock in common")]
pub fn time_of_day() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn read_line() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn bound() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

async fn listener() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    listener
}

async fn scaler() {
    let metrics = Metrics::new("0", "none");
    let source = Scripted::default();
    let told = source.clone();
    std::thread::spawn(move || {
        read_line();
        told.silent.store(true, Ordering::Relaxed);
        loop {
            println!("{}", told.last_reading(&read_line()).as_millis());
        }
    });
    let sampler = Sampler::new(source, metrics.sampler.clone());
    serve(listener().await, sampler, metrics.rpc.clone(), LIMITS, &CallerLimits::default(), CancellationToken::new())
        .await
        .unwrap();
}

async fn kafka_scaler() {
    let metrics = Metrics::new("0", "none");
    let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    serve(listener().await, sampler, metrics.rpc.clone(), LIMITS, &CallerLimits::default(), CancellationToken::new())
        .await
        .unwrap();
}

async fn scaler_with_pages() {
    let metrics = Arc::new(Metrics::new("0", "none"));
    let sampler = Sampler::new(Scripted::default(), metrics.sampler.clone());
    let (shown, counted) = (sampler.clone(), metrics.clone());
    let (grpc, http) = (bound(), bound());
    println!("http://{} http://{}", grpc.local_addr().unwrap(), http.local_addr().unwrap());
    std::thread::spawn(move || {
        measured_runtime().block_on(async move {
            let (http, connections) =
                (TcpListener::from_std(http).unwrap(), limits::Limits::default().http_connections);
            let ready = admin::Readiness::new(CancellationToken::new());
            admin::serve(http, shown, counted, connections, ready, None).await.unwrap();
        });
    });
    let grpc = TcpListener::from_std(grpc).unwrap();
    serve(grpc, sampler, metrics.rpc.clone(), LIMITS, &CallerLimits::default(), CancellationToken::new())
        .await
        .unwrap();
}

async fn tls_scaler(files: &Path) {
    let metrics = Metrics::new("0", "none");
    let sampler = Sampler::new(Scripted::default(), metrics.sampler.clone());
    let file = |name| files.join(name);
    let files = Files { certificate: file("tls.crt"), key: file("tls.key"), client_ca: Some(file("ca.crt")) };
    let port = tls::Listener::new(listener().await, Tls::read(files).unwrap(), metrics.tls());
    serve(port, sampler, metrics.rpc.clone(), LIMITS, &CallerLimits::default(), CancellationToken::new())
        .await
        .unwrap();
}

async fn no_op() {
    serve_service(listener().await, NoOp, LIMITS, &CallerLimits::default(), CancellationToken::new()).await.unwrap();
}

fn brokers(first_line: &str) {
    let cluster = MockCluster::new(3).unwrap();
    // a byte too many is behind its answers in the versions after
    cluster.apiversion(RDKafkaApiKey::Metadata, Some(0), Some(8)).unwrap();
    let (topics, partitions) = first_line.split_once(' ').unwrap();
    for number in 0..topics.parse().unwrap() {
        cluster.create_topic(&format!("orders-{number}"), partitions.parse().unwrap(), 3).unwrap();
    }
    println!("{}", cluster.bootstrap_servers());
    // until stdin closes or the parent kills this
    read_line();
}

struct NoOp;

type Never<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalScaler for NoOp {
    type StreamIsActiveStream = Never<IsActiveResponse>;
    type StreamMetricSpecStream = Never<GetMetricSpecResponse>;

    async fn is_active(&self, _: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        Ok(Response::new(IsActiveResponse { result: true }))
    }

    async fn get_metric_spec(&self, _: Request<ScaledObjectRef>) -> Result<Response<GetMetricSpecResponse>, Status> {
        Ok(Response::new(GetMetricSpecResponse::default()))
    }

    #[expect(deprecated, reason = "the same fields as the service's")]
    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let metric_name = request.into_inner().metric_name;
        let value = MetricValue { metric_name, metric_value: 42, metric_value_float: 42.0 };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }

    async fn stream_is_active(&self, _: Request<ScaledObjectRef>) -> Result<Response<Never<IsActiveResponse>>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn stream_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Never<GetMetricSpecResponse>>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
