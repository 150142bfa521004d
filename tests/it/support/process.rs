//! The scaler's own binary, run as a person or Kubernetes would.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use serde_json::Value;
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Channel;

pub const BINARY: &str = env!("CARGO_BIN_EXE_keda-stream-scaler");
const SOON: Duration = Duration::from_secs(20);

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary to its end.
pub async fn run(arguments: &[&str]) -> Ended {
    end(Command::new(BINARY).args(arguments)).await
}

/// Runs the binary to its end in this environment and nothing of the test's own.
pub async fn run_in(environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    end(Command::new(BINARY).args(arguments).env_clear().envs(environment.iter().copied())).await
}

/// The same in this folder.
pub async fn run_at(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(BINARY);
    end(command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(folder)).await
}

async fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    ended(timeout(Duration::from_secs(60), output).await.expect("the command ends").unwrap())
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary to its end with this input.
pub async fn run_with_input(arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    let output = timeout(SOON, child.wait_with_output()).await.expect("the command ends").unwrap();
    ended(output)
}

/// A connections file by which metadata may name the brokers of tests, which by default it may not.
fn brokers_of_this_machine() -> TempPath {
    let file = NamedTempFile::new().unwrap();
    let rules = "metadata: [{namespaces: ['*'], bootstrapServers: ['127.0.0.1:*', '*']}]\n";
    std::fs::write(file.path(), rules).unwrap();
    file.into_temp_path()
}

/// A running `serve`; killed when it is dropped.
pub struct Serving {
    child: Child,
    _connections: TempPath,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    log: Arc<watch::Sender<Vec<Value>>>,
}

impl Serving {
    /// Starts it on free ports and waits until it listens.
    pub async fn start(more: &[&str]) -> Self {
        Self::start_in("127.0.0.1:0", &[], more).await
    }

    /// The same with a port of one's own for gRPC.
    pub async fn start_at(grpc_addr: &str, more: &[&str]) -> Self {
        Self::start_in(grpc_addr, &[], more).await
    }

    /// The same, with these variables too.
    pub async fn start_in(grpc_addr: &str, environment: &[(&str, &str)], more: &[&str]) -> Self {
        let connections = brokers_of_this_machine();
        let file = [("--connections"), connections.to_str().unwrap()];
        let own = more.contains(&"--connections") || more.contains(&"--dev");
        let file = if own { &[][..] } else { &file[..] };
        let mut child = Command::new(BINARY)
            .args(["serve", "--grpc-addr", grpc_addr, "--http-addr", "127.0.0.1:0", "--log-format", "json"])
            .args(file)
            .args(more)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = timeout(SOON, lines.next_line()).await.expect("a log line").unwrap().expect("it listens");
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
        let (grpc, http) = (address("grpc_addr"), address("http_addr"));
        let log = Arc::new(watch::Sender::new(vec![line]));
        let seen = log.clone();
        // a log that nobody reads would hold the process up
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                seen.send_modify(|log| log.push(serde_json::from_str(&line).unwrap()));
            }
        });
        Self { child, _connections: connections, grpc, http, log }
    }

    /// Waits for a log line whose field has this value.
    pub async fn logged(&self, field: &str, value: &str) -> Value {
        let mut log = self.log.subscribe();
        let is_it = |line: &&Value| line[field] == value;
        let found = timeout(SOON, log.wait_for(|log| log.iter().any(|line| is_it(&line)))).await.map(drop);
        let log = self.log();
        found.unwrap_or_else(|_| panic!("no {value} in {log:#?}"));
        log.iter().rfind(is_it).unwrap().clone()
    }

    /// The log lines so far, as they are written.
    pub fn lines(&self) -> Vec<String> {
        self.log.borrow().iter().map(Value::to_string).collect()
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.borrow().clone()
    }

    /// A caller of the contract.
    pub async fn client(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    pub async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().await.unwrap().success());
    }

    /// Waits for the end, and tells the exit code.
    pub async fn code(mut self) -> Option<i32> {
        timeout(SOON, self.child.wait()).await.expect("it ends").unwrap().code()
    }

    /// The value of a series with whole numbers, if there is one.
    pub async fn metric(&self, series: &str) -> Option<i64> {
        let (_, metrics) = self.get("/metrics").await;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.trim_start().parse().ok())
    }

    /// What an HTTP path answers: status and text.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.http)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}
