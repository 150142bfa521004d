//! A real headless browser, which `tests/services/browser/fetch.sh` brings.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// The driver gives up earlier.
const WITHIN: Duration = Duration::from_secs(60);

/// Fetched where `make test` has not done so.
static FETCHED: OnceCell<()> = OnceCell::const_new();

/// A browser with one page; it ends when it is dropped.
pub struct Browser {
    _child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    pub async fn start() -> Self {
        let (services, directory) = (root().join("tests/services/browser"), root().join("target/services/browser"));
        FETCHED
            .get_or_init(async || {
                let fetched = Command::new(services.join("fetch.sh")).arg(&directory).status().await.unwrap();
                assert!(fetched.success(), "the browser could not be fetched");
            })
            .await;
        let mut child = Command::new("node")
            .arg(services.join("driver.mjs"))
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, stdin, answers: BufReader::new(stdout).lines() }
    }

    /// Opens `address` in a window of this width.
    pub async fn open(&mut self, address: &str, width: u32, scheme: &str) {
        self.command(&json!({"open": address, "width": width, "height": 900, "scheme": scheme})).await;
    }

    /// The same with scripts turned off.
    pub async fn open_without_script(&mut self, address: &str) {
        self.command(&json!({"open": address, "width": 1280, "height": 900, "script": false})).await;
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&mut self, expression: &str) {
        self.command(&json!({"until": expression})).await;
    }

    /// What an expression is in the page.
    pub async fn value(&mut self, expression: &str) -> Value {
        self.command(&json!({"value": expression})).await
    }

    pub async fn text(&mut self, expression: &str) -> String {
        self.value(expression).await.as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    pub async fn press(&mut self, key: &str) {
        self.command(&json!({"press": key})).await;
    }

    /// Keeps what the whole page looks like, and returns the file.
    pub async fn screenshot(&mut self, name: &str) -> PathBuf {
        let folder = root().join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        self.command(&json!({"screenshot": file})).await;
        file
    }

    /// Errors in the console since the page was opened, and the addresses that it asked for.
    pub async fn report(&mut self) -> (Vec<String>, Vec<String>) {
        let report = self.command(&json!({"report": true})).await;
        let texts = |name: &str| serde_json::from_value(report[name].clone()).unwrap();
        (texts("errors"), texts("requests"))
    }

    async fn command(&mut self, command: &Value) -> Value {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let answer = timeout(WITHIN, self.answers.next_line()).await.expect("the browser answers").unwrap();
        let mut answer: Value = serde_json::from_str(&answer.expect("the browser runs")).unwrap();
        assert!(answer["error"].is_null(), "{command}: {}", answer["error"]);
        answer["ok"].take()
    }
}

/// The folder of the workspace; the package of the demo has these tests too.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("tests/services").is_dir());
    root.expect("a folder with the services of tests").to_owned()
}
