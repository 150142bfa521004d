//! The playground as a new user runs it: two worlds, a page, a table, and an end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test that cannot go on panics, and nobody reads its docs"
)]

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(15);

struct Playground {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    page: String,
}

impl Playground {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keda-stream-scaler-playground"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = timeout(SOON, lines.next_line()).await.expect("a first line").unwrap().expect("it runs");
        let page = first.split_whitespace().find(|word| word.starts_with("http://")).expect(&first).to_owned();
        Self { child, lines, page }
    }

    async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.page)).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.text().await.unwrap()
    }

    async fn state(&self) -> [Value; 2] {
        serde_json::from_str(&self.get("state").await).unwrap()
    }

    /// Waits until it is so in both worlds.
    async fn until(&self, within: Duration, what: &str, is: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let worlds = self.state().await;
            if worlds.iter().all(|world| is(&world["tally"])) {
                return;
            }
            assert!(begun.elapsed() < within, "{what}: {worlds:#?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Its exit code, what else it printed, and what it said on stderr.
    async fn ended(mut self) -> (Option<i32>, String, String) {
        let mut text = String::new();
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                text.push_str(&line);
                text.push('\n');
            }
        };
        timeout(SOON * 3, rest).await.expect("it ends");
        let address = self.page.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let output = timeout(SOON, self.child.wait_with_output()).await.expect("it ends").unwrap();
        assert!(TcpStream::connect(address).is_err(), "the page is gone");
        (output.status.code(), text, String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn both_worlds_scale_real_consumers_and_are_counted_up_until_the_time_is_over() {
    let playground = Playground::start(&["--for", "34s"]).await;
    let page = playground.get("").await;
    for part in
        ["The same arrivals, scaled twice", "lagThreshold: 160", "scaleOn: catchUp", "<svg", "Oldest unread record"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("https://"), "nothing comes from elsewhere");
    playground.until(SOON, "two consumers have started", |tally| tally["now"]["ready"] == 2).await;
    let read = |tally: &Value| {
        let (arrived, behind) = (tally["now"]["arrived"].as_u64(), tally["now"]["behind"].as_u64());
        arrived > Some(500) && behind < arrived
    };
    playground.until(SOON, "something is read", read).await;
    let (fragment, before) = (playground.get("?fragment=1").await, playground.state().await);
    assert!(!fragment.contains("<html"), "only what changes");
    // the step up comes after 20 s
    playground.until(SOON * 2, "more consumers are started", |tally| tally["now"]["ready"].as_u64() > Some(2)).await;
    assert_ne!(fragment, playground.get("?fragment=1").await, "the page changes");
    for (before, now) in before.iter().zip(playground.state().await) {
        for number in ["consumerTime", "scaleEvents", "watched"] {
            let [before, now] = [before, &now].map(|world| world["tally"][number].as_f64().unwrap());
            assert!(before < now, "{number}: {before}, {now}");
        }
    }
    let (code, text, stderr) = playground.ended().await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{text}");
    assert!(text.contains("grpcurl -plaintext -d '{\"scaledObjectRef\""), "{text}");
    assert!(text.contains("5 times shorter than in a cluster: the HPA looks each 3s"), "{text}");
    let rows = text.lines().filter(|line| line.matches(" │ ").count() == 2 && line.contains("s ")).count();
    assert!(rows >= 5, "{text}");
    assert!(text.contains("older than 12s") && text.ends_with("ended\n"), "{text}");
}

#[tokio::test]
async fn the_playground_ends_cleanly_when_it_is_interrupted() {
    let playground = Playground::start(&[]).await;
    playground.until(SOON, "two consumers have started", |tally| tally["now"]["ready"] == 2).await;
    let pid = playground.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let (code, text, stderr) = playground.ended().await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{text}");
    assert!(text.ends_with("ended\n"), "{text}");
}

#[tokio::test]
async fn the_scalers_log_has_no_colours_where_no_terminal_reads_it() {
    let playground = Playground::start(&["--for", "1s", "--log", "info"]).await;
    let (code, text, stderr) = playground.ended().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(stderr.contains("draining") && !stderr.contains('\u{1b}'), "{stderr}");
}
