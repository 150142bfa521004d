//! Kubernetes' control plane, alone or with KEDA, as processes on 127.0.0.1; `tests/services/kubernetes` has their command lines and
//! objects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::{Api, conditions};
use crate::aws_services::free_ports;
use crate::process::{Process, eventually};
use crate::{adapter, certificates, kubelet};

const STARTS_WITHIN: Duration = Duration::from_secs(120);
const PORTS: [&str; 7] = ["ETCD", "PEER", "SERVER", "OPERATOR", "ADAPTER", "PROBE", "ADAPTER_METRICS"];
const EXTERNAL_METRICS: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";

pub struct Cluster {
    pub api: Api,
    /// Where this run has its logs and its data.
    pub directory: PathBuf,
    /// What the names between @ signs are replaced by.
    values: Vec<(&'static str, String)>,
    processes: Vec<Process>,
    tasks: Vec<JoinHandle<()>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the results of the loads go, and a directory per run.
pub fn results() -> PathBuf {
    root().join("target/kubernetes")
}

/// Command lines and objects.
pub fn services() -> PathBuf {
    root().join("tests/services/kubernetes")
}

fn programs() -> PathBuf {
    root().join("target/services/kubernetes")
}

/// Builds the programs where they are not built, and removes the directories of ended runs.
fn prepare(part: Option<&str>) {
    let fetched = Command::new(services().join("fetch.sh")).arg(programs()).args(part).status();
    assert!(fetched.unwrap().success(), "Kubernetes and KEDA could not be built");
    for entry in fs::read_dir(results()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix("run-").is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

impl Cluster {
    /// Starts everything and waits until the external metrics API is available.
    pub async fn start() -> Self {
        prepare(None);
        let begun = Instant::now();
        let mut cluster = Self::start_api_server().await;
        cluster.create_definitions().await;
        for program in ["kube-controller-manager", "operator", "adapter"] {
            cluster.run(program);
        }
        cluster.complete("Kubernetes and KEDA", begun).await
    }

    /// Starts the control plane alone, with the external metrics API of [`adapter`].
    pub async fn start_control_plane() -> Self {
        prepare(Some("control-plane"));
        let begun = Instant::now();
        let mut cluster = Self::start_api_server().await;
        cluster.run("kube-controller-manager");
        let port = cluster.value("ADAPTER").parse().unwrap();
        let served = adapter::serve(port, cluster.directory.join("pki"), cluster.api.clone());
        cluster.tasks.push(tokio::spawn(served));
        cluster.complete("Kubernetes", begun).await
    }

    /// Starts the API server alone.
    pub async fn start_api() -> Self {
        prepare(Some("control-plane"));
        Self::start_api_server().await
    }

    /// Starts etcd and the API server, and creates the objects of `keda.yaml`.
    async fn start_api_server() -> Self {
        let directory = results().join(format!("run-{}", std::process::id()));
        // of the cluster before in this process
        drop(fs::remove_dir_all(directory.join("etcd")));
        let pki = directory.join("pki");
        certificates::write(&pki, &["127.0.0.1", "localhost", "keda-operator-metrics-apiserver.keda.svc"]);
        let ports = free_ports::<{ PORTS.len() }>();
        let mut values: Vec<_> = PORTS.into_iter().zip(ports.map(|port| port.to_string())).collect();
        values.push(("DIRECTORY", directory.display().to_string()));
        values.push(("CA", BASE64_STANDARD.encode(fs::read(pki.join("ca.crt")).unwrap())));
        let api = Api::new(&format!("https://127.0.0.1:{}", ports[2]), &pki);
        let mut cluster = Self { api, directory, values, processes: Vec::new(), tasks: Vec::new() };

        fs::write(cluster.directory.join("kubeconfig"), cluster.file("kubeconfig")).unwrap();
        cluster.run("etcd");
        cluster.run("kube-apiserver");
        let api = cluster.api.clone();
        cluster.wait("the API server", async || api.is_ready().await).await;
        cluster.create_objects().await;
        cluster
    }

    /// Waits for the external metrics API, then starts to run pods.
    async fn complete(mut self, what: &str, begun: Instant) -> Self {
        let api = self.api.clone();
        let is_available = async || {
            let service = api.find(EXTERNAL_METRICS).await.unwrap();
            let available =
                conditions(&service).any(|(kind, status)| kind == "Available" && status.starts_with("True"));
            if available { Ok(()) } else { Err(service["status"].to_string()) }
        };
        self.wait("the external metrics API", is_available).await;
        self.tasks.push(tokio::spawn(kubelet::run(api, self.directory.clone())));
        let (seconds, logs) = (begun.elapsed().as_secs_f64(), self.directory.display());
        println!("{what} started in {seconds:.1} s; logs in {logs}");
        self
    }

    fn value(&self, name: &str) -> &str {
        &self.values.iter().find(|(of, _)| *of == name).unwrap().1
    }

    /// A file of `tests/services/kubernetes`, with this run's values.
    fn file(&self, name: &str) -> String {
        let text = fs::read_to_string(services().join(name)).unwrap();
        self.values.iter().fold(text, |text, (name, value)| text.replace(&format!("@{name}@"), value))
    }

    fn run(&mut self, program: &str) {
        let lines = self.file("command-lines");
        let lines = lines.split("\n\n").find(|lines| lines.lines().next() == Some(program)).unwrap();
        let arguments = lines.lines().skip(1).filter(|line| !line.starts_with('#')).map(str::to_owned);
        let path = programs().join("bin").join(program).display().to_string();
        let (variables, arguments): (Vec<_>, Vec<_>) = arguments.partition(|line| !line.starts_with("--"));
        let command: Vec<_> = ["env".to_owned()].into_iter().chain(variables).chain([path]).chain(arguments).collect();
        self.processes.push(Process::start(&self.directory, program, &command));
    }

    async fn create_definitions(&self) {
        for file in fs::read_dir(programs().join("crds")).unwrap() {
            let definition = fs::read_to_string(file.unwrap().path()).unwrap();
            self.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
        }
    }

    async fn create_objects(&self) {
        for object in self.file("keda.yaml").split("---\n") {
            let path = object.lines().find_map(|line| line.strip_prefix("# POST ")).unwrap();
            self.api.create(path, object).await;
        }
    }

    /// Waits for a part of the cluster, and fails at once when a process has ended.
    async fn wait(&mut self, what: &str, check: impl AsyncFn() -> Result<(), String>) {
        let processes = &mut self.processes;
        eventually(what, STARTS_WITHIN, async || {
            processes.iter_mut().for_each(Process::assert_running);
            check().await
        })
        .await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // before the API server ends
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
