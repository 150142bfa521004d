//! The image: built from the Dockerfile without a daemon, looked into, and run as a restricted pod would run it.
//!
//! Apart from the other tests because it compiles the release binary inside: `make test-image`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that cannot go on panics, and prints what it measured"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use serde_json::Value;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const IMAGE: &str = "localhost/keda-stream-scaler:test";
const MOST_OF_BINARY: u64 = 22 << 20;
const MOST_OF_IMAGE: u64 = 60 << 20;
const USER: &str = "65532";

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/image").join(name))
}

/// What a program prints when all goes well.
fn printed(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn buildah(arguments: &[&str]) -> String {
    let storage = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/services/image/storage.conf");
    printed(Command::new("buildah").env("CONTAINERS_STORAGE_CONF", storage).args(arguments))
}

/// The scaler in the image; it is told to end when this is dropped.
struct Pod {
    run: Child,
    pid: u32,
    grpc: String,
    ready_after: Duration,
}

impl Pod {
    fn start() -> Self {
        let mut run = script("run.sh")
            .args([IMAGE, "serve", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
        let listening: Value = lines
            .find_map(|line| {
                serde_json::from_str::<Value>(&line.unwrap()).ok().filter(|line| line.to_string().contains("grpc_addr"))
            })
            .expect("it says where it listens");
        let ready_after = begun.elapsed();
        std::thread::spawn(move || lines.for_each(drop));
        let grpc = listening["fields"]["grpc_addr"].as_str().or(listening["grpc_addr"].as_str()).unwrap().to_owned();
        let pid = child_of(run.id());
        Self { run, pid, grpc, ready_after }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(PathBuf::from(format!("/proc/{}", self.pid)).join(file)).unwrap()
    }

    /// What a line of `/proc/PID/status` says.
    fn status(&self, name: &str) -> String {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    fn end(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg("-TERM").arg(self.run.id().to_string()).status().unwrap().success());
        self.run.wait().unwrap().code()
    }
}

fn child_of(parent: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.split_whitespace().next().expect("the script has started the program").parse().unwrap()
}

#[tokio::test]
async fn the_image_is_small_and_serves_without_any_privilege() {
    printed(script("build.sh").arg(IMAGE));

    let about: Value = serde_json::from_str(&buildah(&["inspect", "--type", "image", IMAGE])).unwrap();
    let config = &about["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532", "by number: the kubelet cannot check a name");
    assert_eq!(config["Entrypoint"][0], "/usr/local/bin/keda-stream-scaler");
    assert_eq!(config["Cmd"][0], "serve");
    assert!(
        config["ExposedPorts"]["50051/tcp"].is_object() && config["ExposedPorts"]["8080/tcp"].is_object(),
        "{config}"
    );
    assert_eq!(config["Labels"]["org.opencontainers.image.licenses"], "Apache-2.0");
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));

    let container = buildah(&["from", "--pull=never", IMAGE]);
    let files = buildah(&["mount", container.trim()]);
    let binary = fs::metadata(Path::new(files.trim()).join("usr/local/bin/keda-stream-scaler")).unwrap().len();
    let all = printed(Command::new("du").args(["-sb", "--apparent-size", files.trim()]));
    let image: u64 = all.split_whitespace().next().unwrap().parse().unwrap();
    buildah(&["rm", container.trim()]);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("binary {:.1} MiB, image {:.1} MiB", mib(binary), mib(image));
    assert!(binary < MOST_OF_BINARY && image < MOST_OF_IMAGE, "{binary} {image}");

    let version = printed(script("run.sh").args([IMAGE, "--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");

    let pod = Pod::start();
    println!("listening after {} ms, the container's making included", pod.ready_after.as_millis());
    assert_eq!((pod.status("Uid").as_str(), pod.status("Gid").as_str()), (USER, USER));
    assert_eq!(u64::from_str_radix(&pod.status("CapEff"), 16), Ok(0));
    let mounts = pod.proc("mountinfo");
    let of_root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
    assert!(of_root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{of_root}");

    let address = format!("http://{}", pod.grpc);
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
    let metadata = [("source", "kafka"), ("bootstrapServers", "127.0.0.1:1"), ("consumerGroup", "g"), ("topic", "t")];
    let about = ScaledObjectRef {
        name: "orders".to_owned(),
        namespace: "shop".to_owned(),
        scaler_metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    let spec = ExternalScalerClient::new(channel).get_metric_spec(about).await.unwrap().into_inner();
    assert_eq!(spec.metric_specs.len(), 1);
    assert_eq!(pod.end(), Some(0), "SIGTERM ends it well");
}
