//! The scaler's own binary.

use std::fs;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;

use crate::aws_services::free_ports;
use crate::process::{Process, eventually};

pub struct Scaler {
    /// Where KEDA finds it.
    pub address: String,
    http: String,
    name: String,
    directory: PathBuf,
    /// Variables of its environment, as `NAME=VALUE`.
    environment: Vec<String>,
    process: Option<Process>,
}

impl Scaler {
    /// Starts it and waits until it is ready.
    pub async fn start(directory: &Path, name: &str) -> Self {
        Self::start_in(directory, name, &[]).await
    }

    /// The same, with these variables too.
    pub async fn start_in(directory: &Path, name: &str, environment: &[String]) -> Self {
        let [grpc, http] = free_ports().map(|port| format!("127.0.0.1:{port}"));
        let (name, directory) = (name.to_owned(), directory.to_owned());
        let environment = environment.to_vec();
        let mut scaler = Self { address: grpc, http, name, directory, environment, process: None };
        scaler.restart().await;
        scaler
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address.
    pub async fn restart(&mut self) {
        let connections = self.directory.join("connections.yaml");
        let rules =
            "metadata: [{namespaces: ['*'], bootstrapServers: ['127.0.0.1:*'], awsEndpoints: ['http://127.0.0.1:*']}]";
        fs::write(&connections, rules).unwrap();
        let command = format!(
            "{} serve --grpc-addr {} --http-addr {} --connections {}",
            env!("CARGO_BIN_EXE_keda-stream-scaler"),
            self.address,
            self.http,
            connections.display(),
        );
        let command = command.split(' ').map(str::to_owned);
        let command: Vec<_> = ["env".to_owned()].into_iter().chain(self.environment.clone()).chain(command).collect();
        let mut process = Process::start(&self.directory, &self.name, &command);
        eventually("the scaler listens", Duration::from_secs(20), async || {
            process.assert_running();
            self.get("/readyz").await.map(drop)
        })
        .await;
        self.process = Some(process);
    }

    /// Waits for an outcome, and prints the decisions about `source` if that fails.
    pub async fn explain<T>(&self, source: &str, wait: impl Future<Output = T>) -> T {
        let outcome = AssertUnwindSafe(wait).catch_unwind().await;
        if outcome.is_err() {
            println!("{:#}", self.targets(source).await);
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// What `/samples` has about targets whose description contains `source`.
    pub async fn targets(&self, source: &str) -> Value {
        let samples = self.get(&format!("/samples?source={source}")).await.unwrap_or_default();
        let samples: Value = serde_json::from_str(&samples).unwrap_or_default();
        samples["targets"].clone()
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let response = reqwest::get(format!("http://{}{path}", self.http)).await.map_err(|error| error.to_string())?;
        let response = response.error_for_status().map_err(|error| error.to_string())?;
        response.text().await.map_err(|error| error.to_string())
    }
}
