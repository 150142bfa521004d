//! A real Apache Kafka on free ports of this machine: one node, three, or one with every way to log in.
//!
//! Servers run under `run-while-stdin-is-open.sh`: they end with the test process, however that ends. Each kind is started once
//! and shared; tests use topics and groups of their own (see [`unique`]).

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const STARTS_WITHIN: Duration = Duration::from_secs(90);
const JVM: [&str; 7] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xms64m",
    "-Xmx256m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka=error",
];

/// The listeners of the secured broker besides its plain one.
pub const LISTENERS: [&str; 8] = ["SASL", "SASLTLS", "TLS", "MTLS", "WRONGHOST", "OAUTH", "EXPIRED", LOST];
/// The broker tells clients of this listener to go on at a host that is not there.
const LOST: &str = "LOST";

pub struct KafkaCluster {
    directory: PathBuf,
    nodes: Vec<Node>,
    controller_port: u16,
    listeners: Vec<(&'static str, u16)>,
}

struct Node {
    port: u16,
    directory: PathBuf,
    running: Mutex<Option<Child>>,
}

/// A broker that is its own controller.
pub fn one_node() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start("one", 1, &[]))
}

/// Three brokers; the first one is also the controller, so it is the others that tests may kill.
pub fn three_nodes() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start("three", 3, &[]))
}

/// A broker with TLS, SASL and ACLs.
pub fn secured() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start("secured", 1, &LISTENERS))
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

// === impl KafkaCluster ===

impl KafkaCluster {
    fn start(name: &str, nodes: usize, listeners: &[&'static str]) -> Self {
        jars();
        let directory = root().join(format!("target/services/kafka/run-{}", std::process::id())).join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut ports = free_ports(1 + nodes + listeners.len()).into_iter();
        let controller_port = ports.next().unwrap();
        let nodes: Vec<_> = (1..=nodes)
            .map(|number| {
                let directory = directory.join(number.to_string());
                fs::create_dir_all(&directory).unwrap();
                Node { port: ports.next().unwrap(), directory, running: Mutex::default() }
            })
            .collect();
        let listeners: Vec<_> = listeners.iter().copied().zip(ports).collect();
        let cluster = Self { directory, nodes, controller_port, listeners };
        if !cluster.listeners.is_empty() {
            cluster.make_certificates();
        }
        for number in 1..=cluster.nodes.len() {
            cluster.format(number);
        }
        for number in 1..=cluster.nodes.len() {
            cluster.run(number);
        }
        for number in 1..=cluster.nodes.len() {
            cluster.wait_until_open(number);
        }
        cluster
    }

    /// The brokers to ask first.
    pub fn bootstrap_servers(&self) -> String {
        let servers: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        servers.join(",")
    }

    /// The address of one of [`LISTENERS`].
    pub fn listener(&self, name: &str) -> String {
        let (_, port) = self.listeners.iter().find(|(listener, _)| *listener == name).unwrap();
        format!("127.0.0.1:{port}")
    }

    /// A file that `certificates.sh` made.
    pub fn certificate(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap()
    }

    /// Kills a node at once.
    pub fn kill(&self, number: usize) {
        self.signal(number, "KILL");
        let mut child = self.node(number).running.lock().unwrap().take().unwrap();
        child.wait().unwrap();
    }

    /// Stops a node: it keeps its connections and answers nothing.
    pub fn stop(&self, number: usize) {
        self.signal(number, "STOP");
    }

    /// Lets a stopped node go on.
    pub fn resume(&self, number: usize) {
        self.signal(number, "CONT");
    }

    /// Starts a killed node again.
    pub fn restart(&self, number: usize) {
        self.run(number);
        self.wait_until_open(number);
    }

    /// Lets alice see this topic and this group.
    pub fn show_alice(&self, topic: &str, group: &str) {
        let grant =
            ["--add", "--allow-principal", "User:alice", "--operation", "Describe", "--topic", topic, "--group", group];
        self.command("org.apache.kafka.tools.AclCommand", &grant);
    }

    /// Runs one of Kafka's command line classes with the plain listener's servers, and returns what it prints.
    pub fn command(&self, class: &str, arguments: &[&str]) -> String {
        let servers = self.bootstrap_servers();
        let output = java(class).args(["--bootstrap-server", &servers]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    fn make_certificates(&self) {
        let script = root().join("tests/services/kafka/certificates.sh");
        let made = Command::new(script).arg(&self.directory).status().expect("openssl is needed for the tests of TLS");
        assert!(made.success(), "certificates could not be made");
    }

    fn format(&self, number: usize) {
        let node = self.node(number);
        fs::write(node.directory.join("server.properties"), self.properties(number)).unwrap();
        let mut format = java("kafka.tools.StorageTool");
        format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(node.directory.join("server.properties"));
        if !self.listeners.is_empty() {
            for user in ["alice", "bob"] {
                for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                    format.args(["--add-scram", &format!("{mechanism}=[name={user},password={user}-secret]")]);
                }
            }
        }
        let output = format.output().unwrap();
        assert!(output.status.success(), "format: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn properties(&self, number: usize) -> String {
        let services = root().join("tests/services/kafka");
        let mut text = fs::read_to_string(services.join("node.properties")).unwrap();
        if !self.listeners.is_empty() {
            text.push_str(&fs::read_to_string(services.join("secured.properties")).unwrap());
        }
        let node = self.node(number);
        let controls = number == 1;
        let more: Vec<_> = self.listeners.iter().map(|(name, port)| format!(",{name}://127.0.0.1:{port}")).collect();
        let advertised = more.concat().replace("LOST://127.0.0.1", "LOST://lost.invalid");
        let directory = if self.listeners.is_empty() { &node.directory } else { &self.directory };
        let controller = format!("CONTROLLER://127.0.0.1:{},", self.controller_port);
        for (name, value) in [
            ("ROLES", if controls { "broker,controller" } else { "broker" }.to_owned()),
            ("NODE", number.to_string()),
            ("CONTROLLER_PORT", self.controller_port.to_string()),
            ("CONTROLLER_LISTENER", if controls { controller } else { String::new() }),
            ("PORT", node.port.to_string()),
            ("MORE_LISTENERS", more.concat()),
            ("MORE_ADVERTISED", advertised),
            ("DIRECTORY", directory.display().to_string()),
            ("REPLICAS", self.nodes.len().min(3).to_string()),
        ] {
            text = text.replace(&format!("@{name}@"), &value);
        }
        text
    }

    fn run(&self, number: usize) {
        let node = self.node(number);
        let log = fs::File::options().create(true).append(true).open(node.directory.join("log")).unwrap();
        let mut server = Command::new(root().join("tests/services/run-while-stdin-is-open.sh"));
        server.arg(node.directory.join("pid")).arg("java").args(JVM).arg("-cp").arg(class_path());
        server.arg("kafka.Kafka").arg(node.directory.join("server.properties"));
        server.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        drop(fs::remove_file(node.directory.join("pid")));
        *node.running.lock().unwrap() = Some(server.spawn().unwrap());
    }

    fn wait_until_open(&self, number: usize) {
        let node = self.node(number);
        let begun = tokio::time::Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node.port));
        while TcpStream::connect(address).is_err() {
            let ended = node.running.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > STARTS_WITHIN {
                let mut log = String::new();
                fs::File::open(node.directory.join("log")).unwrap().read_to_string(&mut log).unwrap();
                panic!("node {number} did not start ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, number: usize, signal: &str) {
        let pid = fs::read_to_string(self.node(number).directory.join("pid")).unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap();
        assert!(sent.success(), "kill -{signal} {pid}");
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn class_path() -> PathBuf {
    root().join("target/services/kafka/libs/*")
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(JVM).arg("-cp").arg(class_path()).arg(class).stdin(Stdio::null());
    command
}

/// A Java program of one file, with Kafka's classes.
pub fn java_source(file: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(JVM).arg("-cp").arg(class_path()).arg(file);
    command
}

/// Fetches the jars where `make test` has not done so, and removes what earlier runs left behind.
fn jars() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let folder = root().join("target/services/kafka");
        let fetched = Command::new(root().join("tests/services/kafka/fetch.sh")).arg(folder.join("libs")).status();
        assert!(fetched.unwrap().success(), "the jars of Kafka could not be fetched");
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(pid) = name.strip_prefix("run-")
                && !Path::new("/proc").join(pid).exists()
            {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
    });
}

fn free_ports(count: usize) -> Vec<u16> {
    // all at once, so that they differ
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
