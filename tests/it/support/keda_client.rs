//! A client of grpc-go that behaves as KEDA's, which `tests/services/keda-client/fetch.sh` builds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use keda_stream_scaler::keda::proto::ScaledObjectRef;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(60);

/// Built where `make test` has not done so.
static BUILT: OnceCell<()> = OnceCell::const_new();

/// A running client; killed when it is dropped.
pub struct KedaClient {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What came back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// By method and code.
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    /// Calls by the server that answered.
    pub servers: BTreeMap<String, u64>,
    /// The first errors.
    pub errors: Vec<String>,
    /// In milliseconds.
    pub slowest_ms: f64,
}

impl KedaClient {
    /// Asks about `about` at all addresses in turn, `rate` times a second, and waits until each has answered. The files are those of
    /// the `TriggerAuthentication`: CA, certificate, key.
    pub async fn start(addresses: &[SocketAddr], about: &ScaledObjectRef, rate: u32, files: [&Path; 3]) -> Self {
        let (services, directory) =
            (root().join("tests/services/keda-client"), root().join("target/services/keda-client"));
        BUILT
            .get_or_init(async || {
                let built = Command::new(services.join("fetch.sh")).arg(&directory).status().await.unwrap();
                assert!(built.success(), "the client could not be built");
            })
            .await;
        let object = json!({"name": about.name, "namespace": about.namespace, "scalerMetadata": about.scaler_metadata});
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let mut command = Command::new(directory.join("keda-client"));
        command.args(["-addresses", &addresses.join(","), "-server-name", "localhost"]);
        command.arg("-descriptors").arg(root().join("service/src/keda/gen/externalscaler.bin"));
        command.args(["-scaled-object", &object.to_string(), "-rate", &rate.to_string()]);
        for (flag, file) in ["-ca", "-cert", "-key"].into_iter().zip(files) {
            command.arg(flag).arg(file);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = timeout(WITHIN, lines.next_line()).await.expect("it connects").unwrap();
        assert_eq!(first.as_deref(), Some("connected"));
        Self { child, lines }
    }

    /// Ends it, and tells what came back.
    pub async fn end(mut self) -> Tally {
        drop(self.child.stdin.take());
        let line = timeout(WITHIN, self.lines.next_line()).await.expect("it ends").unwrap().expect("a tally");
        serde_json::from_str(&line).unwrap()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
