//! Real servers for AWS's services on free ports of this machine, and real consumers that write checkpoints to them.
//!
//! Everything runs under `run-while-stdin-is-open.sh`: it ends with the test process, however that ends. The servers are started
//! once and shared; tests use streams, tables and applications of their own.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use tokio::time::Instant;

const WITHIN: Duration = Duration::from_secs(90);
const JVM: [&str; 7] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xms64m",
    "-Xmx256m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.software.amazon.kinesis.lifecycle.ProcessTask=error",
];

/// The servers.
pub struct AwsServices {
    kinesis: String,
    dynamodb: String,
    control: String,
    directory: PathBuf,
    _running: [Child; 2],
}

/// One address for both servers, and the requests that went through it.
pub struct Endpoint {
    pub address: String,
    pub requests: Requests,
    /// By how many seconds answers are dated later than they are.
    #[allow(dead_code, reason = "for tests/kubernetes")]
    later: Arc<AtomicI64>,
}

/// How many requests were sent, by operation.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<HashMap<String, usize>>>);

/// A consumer: KCL's, or the DynamoDB Streams adapter's.
pub struct Consumer {
    child: Child,
    pid: PathBuf,
    delay: PathBuf,
    /// Its lines, and when each was read.
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

/// The SDK's clients of the servers.
pub struct Clients {
    pub kinesis: aws_sdk_kinesis::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
}

/// The servers, started where they are not.
pub fn aws_services() -> &'static AwsServices {
    static SERVICES: OnceLock<AwsServices> = OnceLock::new();
    SERVICES.get_or_init(|| AwsServices::start(run_directory()))
}

/// Other servers, on which no test rolls the shards of all tables.
pub fn unrolled_aws_services() -> &'static AwsServices {
    static SERVICES: OnceLock<AwsServices> = OnceLock::new();
    SERVICES.get_or_init(|| {
        let directory = run_directory().join("unrolled");
        fs::create_dir_all(&directory).unwrap();
        AwsServices::start(directory)
    })
}

impl AwsServices {
    fn start(directory: PathBuf) -> Self {
        let programs = programs();
        let [kinesis, dynamodb, control] = free_ports();
        let module = programs.join("kinesis/node_modules/kinesis-local");
        let mut server = guarded(&directory.join("kinesis.pid"));
        server.arg("node").arg("-r").arg(programs.join("kinesis/loopback.js")).arg(module.join("main.js"));
        server.env("KINESIS_MOCK_CERT_PATH", module.join("server.json")).env("LOG_LEVEL", "ERROR");
        server.env("KINESIS_MOCK_PLAIN_PORT", kinesis.to_string()).env("KINESIS_MOCK_TLS_PORT", "0");
        // all tests share an account, and their streams stay
        server.env("SHARD_LIMIT", "1000");
        for operation in ["CREATE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS", "UPDATE_SHARD_COUNT"] {
            server.env(format!("{operation}_DURATION"), "50ms");
        }
        let kinesis_server = logged(&mut server, &directory.join("kinesis.log"));
        let mut server = guarded(&directory.join("dynamodb.pid"));
        let libraries = programs.join("dynamodb");
        server.arg("java").args(JVM).arg(format!("-Dsqlite4java.library.path={}/lib", libraries.display()));
        server.arg("-cp").arg(format!("{0}/classes:{0}/lib/*", libraries.display())).arg("LocalDynamoDb");
        server.args([dynamodb.to_string(), control.to_string()]);
        let dynamodb_server = logged(&mut server, &directory.join("dynamodb.log"));
        for port in [kinesis, dynamodb, control] {
            wait_until_open(port, &directory);
        }
        let address = |port| format!("http://127.0.0.1:{port}");
        Self {
            kinesis: address(kinesis),
            dynamodb: address(dynamodb),
            control: address(control),
            directory,
            _running: [kinesis_server, dynamodb_server],
        }
    }

    /// One address for both servers, as `awsEndpoint` wants it; it ends with the test's runtime.
    pub async fn endpoint(&self) -> Endpoint {
        let (requests, later) = (Requests::default(), Arc::<AtomicI64>::default());
        // the servers close connections that were idle for half a minute, and a request that is sent just then is lost
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let servers = (self.kinesis.clone(), self.dynamodb.clone(), http, requests.clone(), later.clone());
        let router = Router::new().fallback(forward).with_state(servers);
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Endpoint { address: format!("http://{address}"), requests, later }
    }

    pub async fn clients(&self) -> Clients {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .load()
            .await;
        let kinesis = aws_sdk_kinesis::config::Builder::from(&config).endpoint_url(&self.kinesis).build();
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&self.dynamodb).build();
        Clients {
            kinesis: aws_sdk_kinesis::Client::from_conf(kinesis),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
        }
    }

    /// Closes every open shard of every table's stream and opens a child for each.
    pub async fn roll_shards(&self) {
        let answer = reqwest::Client::new().post(format!("{}/rollover", self.control)).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// A consumer of a Kinesis stream that starts at the oldest record.
    pub fn kcl(&self, application: &str, stream: &str, worker: &str) -> Consumer {
        self.kcl_from("TRIM_HORIZON", application, stream, worker)
    }

    /// A consumer of a Kinesis stream that starts at `position`.
    pub fn kcl_from(&self, position: &str, application: &str, stream: &str, worker: &str) -> Consumer {
        let settings = [("STREAM", stream), ("KINESIS_ENDPOINT", &self.kinesis), ("INITIAL_POSITION", position)];
        self.consumer("kcl", "KclConsumer", application, worker, &settings)
    }

    /// A consumer of a table's stream.
    pub fn adapter(&self, application: &str, table: &str, worker: &str) -> Consumer {
        self.consumer("adapter", "AdapterConsumer", application, worker, &[("TABLE", table)])
    }

    fn consumer(&self, part: &str, class: &str, application: &str, worker: &str, more: &[(&str, &str)]) -> Consumer {
        let delay = self.directory.join(format!("{application}-{worker}.delay"));
        fs::write(&delay, "0").unwrap();
        let programs = programs().join(part);
        let pid = self.directory.join(format!("{application}-{worker}.pid"));
        let mut command = guarded(&pid);
        command.arg("java").args(JVM).arg("-cp");
        command.arg(format!("{0}/classes:{0}/lib/*", programs.display())).arg(class);
        command.env("DYNAMODB_ENDPOINT", &self.dynamodb).env("APP", application).env("WORKER_ID", worker);
        command.env("DELAY_FILE", &delay).envs(more.iter().copied());
        let log = fs::File::create(self.directory.join(format!("{application}-{worker}.log"))).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (into, stdout) = (lines.clone(), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| into.lock().unwrap().push((Instant::now(), line)));
        });
        Consumer { child, pid, delay, lines }
    }
}

impl Consumer {
    /// From now on each record takes so long.
    pub fn delay(&self, each: Duration) {
        fs::write(&self.delay, each.as_millis().to_string()).unwrap();
    }

    /// What it has printed about one kind of event: the rest of each line.
    pub fn events(&self, kind: &str) -> Vec<String> {
        self.events_by(kind, Instant::now())
    }

    /// The same, of what it had printed by `then`.
    pub fn events_by(&self, kind: &str, then: Instant) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let printed = lines.iter().filter(|(at, _)| *at <= then);
        printed.filter_map(|(_, line)| line.strip_prefix(kind)?.strip_prefix(' ').map(str::to_owned)).collect()
    }

    /// Ends it as Kubernetes would: it finishes the batches at hand and gives its leases back. Its events stay.
    pub async fn stop(&mut self) {
        let pid = fs::read_to_string(&self.pid).unwrap();
        assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < WITHIN, "it does not end: {:?}", self.lines.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(self.child.stdin.take());
    }

    pub async fn wait_for(&self, kind: &str, count: usize) {
        let begun = Instant::now();
        while self.events(kind).len() < count {
            assert!(begun.elapsed() < WITHIN, "{count} x {kind}: {:?}", self.lines.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Endpoint {
    /// From now on answers are dated this number of seconds later than they are.
    #[allow(dead_code, reason = "for tests/kubernetes")]
    pub fn skew_clock(&self, seconds: i64) {
        self.later.store(seconds, Ordering::Relaxed);
    }
}

impl Requests {
    /// The requests of one operation, such as `GetRecords`.
    pub fn count(&self, operation: &str) -> usize {
        self.0.lock().unwrap().get(operation).copied().unwrap_or_default()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // the guard kills the consumer when its stdin closes
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// What the servers and consumers are made of, fetched where it is not there.
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let programs = root().join("target/services/aws");
        let fetched = Command::new(root().join("tests/services/aws/fetch.sh")).arg(&programs).status();
        assert!(fetched.unwrap().success(), "the programs for AWS's services could not be fetched");
        programs
    })
}

/// Where this process has its logs.
pub fn run_directory() -> PathBuf {
    let directory = programs().join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

type Servers = (String, String, reqwest::Client, Requests, Arc<AtomicI64>);

async fn forward(
    State((kinesis, dynamodb, http, requests, later)): State<Servers>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    *requests.0.lock().unwrap().entry(operation).or_default() += 1;
    let server = if target.starts_with("Kinesis_") { kinesis } else { dynamodb };
    let mut request = http.post(server).body(body);
    for (name, value) in &headers {
        if name != "host" && name != "content-length" {
            request = request.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = request.send().await.unwrap();
    let mut response = Response::builder().status(answer.status().as_u16());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" && name != "date" {
            response = response.header(name.as_str(), value.as_bytes());
        }
    }
    if let Some(date) = answer.headers().get("date") {
        let date = DateTime::from_str(date.to_str().unwrap(), Format::HttpDate).unwrap().secs();
        let later = DateTime::from_secs(date + later.load(Ordering::Relaxed));
        response = response.header("date", later.fmt(Format::HttpDate).unwrap());
    }
    response.body(axum::body::Body::from(answer.bytes().await.unwrap())).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn guarded(pid: &Path) -> Command {
    let mut command = Command::new(root().join("tests/services/run-while-stdin-is-open.sh"));
    command.arg(pid);
    command
}

pub fn logged(command: &mut Command, log: &Path) -> Child {
    let log = fs::File::create(log).unwrap();
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

pub fn wait_until_open(port: u16, logs: &Path) {
    let begun = Instant::now();
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        assert!(begun.elapsed() < WITHIN, "nothing listens on {port}; see the logs in {}", logs.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ports that nobody listens on. They are below those that connections and listeners get by chance, so that none of these takes
/// one before its server has started.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = 10_000 + std::process::id() % 2_000 * 10;
    [(); N].map(|()| {
        loop {
            let port = u16::try_from(first + NEXT.fetch_add(1, Ordering::Relaxed)).unwrap();
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return port;
            }
        }
    })
}
