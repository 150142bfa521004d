//! A real Apache Kafka on free ports of this machine: one node of each version, three nodes, or one with every way to log in.
//!
//! Servers run under `run-while-stdin-is-open.sh`: they end with the test process, however that ends. Each kind is started once
//! and shared; tests use topics and groups of their own (see [`unique`]).

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
/// A starved one takes a minute.
const STARTS_WITHIN: Duration = Duration::from_secs(180);
const JVM: [&str; 7] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xms64m",
    "-Xmx256m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka=error",
];

const BROKER: &str = "kafka.Kafka";

/// The listeners of the secured broker besides its plain one.
pub const LISTENERS: [&str; 8] = ["SASL", "SASLTLS", "TLS", "MTLS", "WRONGHOST", "OAUTH", "EXPIRED", LOST];
/// The broker tells clients of this listener to go on at a host that is not there.
const LOST: &str = "LOST";

/// A version of Apache Kafka; `tests/services/kafka/pom.xml` names the patch release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V2_8,
    V3_9,
    V4_3,
}

pub struct KafkaCluster {
    version: Version,
    directory: PathBuf,
    zookeeper: Option<Node>,
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
    one_node_of(Version::V4_3)
}

/// A cluster with one broker of this version.
pub fn one_node_of(version: Version) -> &'static KafkaCluster {
    static CLUSTERS: [OnceLock<KafkaCluster>; 3] = [const { OnceLock::new() }; 3];
    CLUSTERS[version as usize].get_or_init(|| KafkaCluster::start(version, &format!("one-{version:?}"), 1, &[]))
}

/// A broker that a test takes the CPU from.
pub fn starved() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start(Version::V4_3, "starved", 1, &[]))
}

/// Three brokers; the first one is also the controller, so it is the others that tests may kill.
pub fn three_nodes() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start(Version::V4_3, "three", 3, &[]))
}

/// A broker with TLS, SASL and ACLs.
pub fn secured() -> &'static KafkaCluster {
    static CLUSTER: OnceLock<KafkaCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| KafkaCluster::start(Version::V4_3, "secured", 1, &LISTENERS))
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

// === impl Version ===

impl Version {
    /// The profile of `pom.xml` that lists its jars; the newest version needs none.
    const fn profile(self) -> Option<&'static str> {
        match self {
            Self::V2_8 => Some("2.8"),
            Self::V3_9 => Some("3.9"),
            Self::V4_3 => None,
        }
    }

    fn libs(self) -> PathBuf {
        let folder = self.profile().map_or("kafka".to_owned(), |profile| format!("kafka-{profile}"));
        root().join("target/services").join(folder).join("libs")
    }

    /// Settings of its nodes besides `node.properties`.
    const fn properties(self) -> &'static str {
        match self {
            Self::V2_8 => "zookeeper.connect=127.0.0.1:@CONTROLLER_PORT@\n",
            Self::V3_9 => "group.coordinator.rebalance.protocols=classic,consumer\n",
            Self::V4_3 => "",
        }
    }

    fn java(self) -> Command {
        let mut command = Command::new("java");
        command.args(JVM).arg("-cp").arg(self.libs().join("*")).stdin(Stdio::null());
        command
    }

    /// Runs a class until the returned process is dropped; its pid and log go to this directory.
    fn run(self, directory: &Path, class: &str, arguments: &[&str]) -> Child {
        let log = fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
        let mut process = Command::new(root().join("tests/services/run-while-stdin-is-open.sh"));
        process.arg(directory.join("pid")).arg("java").args(JVM).arg("-cp").arg(self.libs().join("*"));
        process.arg(class).args(arguments);
        process.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        drop(fs::remove_file(directory.join("pid")));
        process.spawn().unwrap()
    }
}

// === impl KafkaCluster ===

impl KafkaCluster {
    fn start(version: Version, name: &str, nodes: usize, listeners: &[&'static str]) -> Self {
        fetch(version);
        let directory = runs().join(format!("run-{}", std::process::id())).join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut ports = free_ports(1 + nodes + listeners.len()).into_iter();
        let node = |name: &str, port| {
            let directory = directory.join(name);
            fs::create_dir_all(&directory).unwrap();
            Node { port, directory, running: Mutex::default() }
        };
        let controller_port = ports.next().unwrap();
        // its KRaft has no transactions
        let zookeeper = (version == Version::V2_8).then(|| node("zookeeper", controller_port));
        let nodes: Vec<_> = (1..=nodes).map(|number| node(&number.to_string(), ports.next().unwrap())).collect();
        let listeners: Vec<_> = listeners.iter().copied().zip(ports).collect();
        let cluster = Self { version, directory, zookeeper, nodes, controller_port, listeners };
        if let Some(zookeeper) = &cluster.zookeeper {
            let Node { port, directory, .. } = zookeeper;
            let text = format!(
                "clientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ndataDir={}\n",
                directory.display()
            );
            fs::write(directory.join("server.properties"), text).unwrap();
            cluster.run(zookeeper, "org.apache.zookeeper.server.quorum.QuorumPeerMain");
        }
        if !cluster.listeners.is_empty() {
            cluster.make_certificates();
        }
        for number in 1..=cluster.nodes.len() {
            cluster.format(number);
        }
        for node in &cluster.nodes {
            cluster.run(node, BROKER);
        }
        for node in &cluster.nodes {
            node.wait_until_open();
        }
        cluster
    }

    /// The brokers to ask first.
    pub fn bootstrap_servers(&self) -> String {
        let servers: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        servers.join(",")
    }

    /// The address at which the controller listens for brokers.
    pub fn controller(&self) -> String {
        format!("127.0.0.1:{}", self.controller_port)
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
        self.run(self.node(number), BROKER);
        self.node(number).wait_until_open();
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
        let mut command = self.version.java();
        let output = command.args([class, "--bootstrap-server", &servers]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Starts Kafka's own consumer, which commits nothing and runs until the returned process is dropped.
    pub fn consumer(&self, group: &str, topic: &str, protocol: &str, client_id: &str) -> Child {
        let class = match self.version {
            Version::V2_8 => "kafka.tools.ConsoleConsumer",
            Version::V3_9 | Version::V4_3 => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        };
        let directory = self.directory.join(format!("{group}-{client_id}"));
        fs::create_dir(&directory).unwrap();
        let servers = self.bootstrap_servers();
        let mut arguments = vec!["--bootstrap-server", &servers, "--group", group, "--topic", topic];
        let (protocol, client_id) = (format!("group.protocol={protocol}"), format!("client.id={client_id}"));
        for property in [&protocol, &client_id, "enable.auto.commit=false"] {
            arguments.extend(["--consumer-property", property]);
        }
        self.version.run(&directory, class, &arguments)
    }

    /// Runs Kafka's own command for consumer groups.
    pub fn consumer_groups(&self, arguments: &[&str]) -> String {
        let class = match self.version {
            Version::V2_8 => "kafka.admin.ConsumerGroupCommand",
            Version::V3_9 | Version::V4_3 => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        };
        self.command(class, arguments)
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
        if self.zookeeper.is_some() {
            return;
        }
        let mut format = self.version.java();
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"]);
        format.arg(node.directory.join("server.properties"));
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
        text.push_str(self.version.properties());
        if !self.listeners.is_empty() {
            text.push_str(&fs::read_to_string(services.join("secured.properties")).unwrap());
        }
        let node = self.node(number);
        let (roles, controls) = match (&self.zookeeper, number) {
            (Some(_), _) => ("", false),
            (None, 1) => ("broker,controller", true),
            (None, _) => ("broker", false),
        };
        let more: Vec<_> = self.listeners.iter().map(|(name, port)| format!(",{name}://127.0.0.1:{port}")).collect();
        let advertised = more.concat().replace("LOST://127.0.0.1", "LOST://lost.invalid");
        let directory = if self.listeners.is_empty() { &node.directory } else { &self.directory };
        let controller = format!("CONTROLLER://127.0.0.1:{},", self.controller_port);
        for (name, value) in [
            ("ROLES", roles.to_owned()),
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

    fn run(&self, node: &Node, class: &str) {
        let config = node.directory.join("server.properties");
        let child = self.version.run(&node.directory, class, &[config.to_str().unwrap()]);
        *node.running.lock().unwrap() = Some(child);
    }

    fn signal(&self, number: usize, signal: &str) {
        let pid = fs::read_to_string(self.node(number).directory.join("pid")).unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap();
        assert!(sent.success(), "kill -{signal} {pid}");
    }
}

impl Node {
    fn wait_until_open(&self) {
        let begun = tokio::time::Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect(address).is_err() {
            let ended = self.running.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > STARTS_WITHIN {
                let mut log = String::new();
                fs::File::open(self.directory.join("log")).unwrap().read_to_string(&mut log).unwrap();
                panic!("{} did not start ({ended:?}):\n{log}", self.directory.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Java program of one file, with Kafka's classes.
pub fn java_source(file: &Path) -> Command {
    let mut command = Version::V4_3.java();
    command.arg(file);
    command
}

/// Fetches the jars where `make test` has not done so, and removes what earlier runs left behind.
fn fetch(version: Version) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut script = Command::new(root().join("tests/services/kafka/fetch.sh"));
    let fetched = script.arg(version.libs()).args(version.profile()).status();
    assert!(fetched.unwrap().success(), "the jars of Kafka could not be fetched");
    for entry in fs::read_dir(runs()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix("run-")
            && !Path::new("/proc").join(pid).exists()
        {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// Each process has a folder of its own for its clusters.
fn runs() -> PathBuf {
    root().join("target/services/kafka")
}

fn free_ports(count: usize) -> Vec<u16> {
    // all at once, so that they differ
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
