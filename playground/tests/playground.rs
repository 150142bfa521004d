//! The demo as a person runs it: a page with a verdict, buttons that make trouble, a table, and an end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on panics, and nobody reads its docs"
)]

#[path = "../../tests/it/support/browser.rs"]
mod browser;

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{HOST, ORIGIN};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use self::browser::Browser;

/// The demo starts, and a trouble has its effect, within this time, also beside a build.
const SOON: Duration = Duration::from_secs(60);

/// What makes a page wider than its window.
const TOO_WIDE: &str =
    "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
    .filter((part) => part.getBoundingClientRect().right > innerWidth).map((part) => part.outerHTML.slice(0, 80))";

struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    page: String,
}

impl Demo {
    /// Starts the demo with a page on any free port.
    async fn start(arguments: &[&str]) -> Self {
        Self::start_at(&[&["--page-addr", "127.0.0.1:0"], arguments].concat()).await
    }

    async fn start_at(arguments: &[&str]) -> Self {
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

    async fn state(&self) -> Value {
        serde_json::from_str(&self.get("state").await).unwrap()
    }

    /// Sends a form as the page does, and returns the status.
    async fn send(&self, form: &str) -> u16 {
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let origin = self.page.trim_end_matches('/');
        let request = client.post(&self.page).header(ORIGIN, origin).body(form.to_owned());
        request.send().await.unwrap().status().as_u16()
    }

    /// Waits until the state is so, and returns it.
    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let state = self.state().await;
            if is(&state) {
                return state;
            }
            assert!(begun.elapsed() < SOON, "{what}: {state:#}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn running(&self) -> Value {
        self.until("it runs", |state| state["atSeconds"].as_f64() > Some(2.0)).await
    }

    /// Its exit code, what else it printed, and what it wrote to stderr.
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

fn both(state: &Value, is: impl Fn(&Value) -> bool) -> bool {
    state["sides"].as_array().is_some_and(|sides| sides.len() == 2 && sides.iter().all(is))
}

/// Whether a trouble is on.
fn has(state: &Value, trouble: &str) -> bool {
    state["troubles"].as_array().is_some_and(|troubles| troubles.iter().any(|on| on == trouble))
}

#[tokio::test]
async fn both_sides_scale_real_consumers_and_are_counted_until_the_time_is_over() {
    let demo = Demo::start(&["--for", "60s"]).await;
    let begun = demo.running().await;
    assert!(both(&begun, |side| side["ready"].as_u64() >= Some(2)), "they begin with pods that run: {begun:#}");
    let page = demo.get("").await;
    for part in ["KEDA lag threshold", "maxAge: 12s", "Why 2 pods:", "<svg", "Oldest waiting record", "Spike ×1.5"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("https://"), "nothing comes from elsewhere");
    let fragment = demo.get("?fragment=1").await;
    assert!(!fragment.contains("<html") && fragment.contains("id=\"verdict\""), "only what changes");
    let grown = demo.until("pods are added", |state| both(state, |side| side["ready"].as_u64() > Some(2))).await;
    for (before, now) in begun["sides"].as_array().unwrap().iter().zip(grown["sides"].as_array().unwrap()) {
        for number in ["podMinutes", "scaleEvents"] {
            assert!(before[number].as_f64() < now[number].as_f64(), "{number}: {before} {now}");
        }
    }
    let (code, text, stderr) = demo.ended().await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{text}");
    for line in text.lines().filter(|line| !line.contains("grpcurl")) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    let rows = text.lines().filter(|line| line.matches('|').count() == 2 && line.contains("s ")).count();
    assert!(rows >= 5, "{text}");
    for part in ["grpcurl -plaintext -d '{\"scaledObjectRef\"", "promise kept", "traffic"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.ends_with("ended\n"), "{text}");
}

#[tokio::test]
async fn every_button_has_its_effect_on_both_sides() {
    let demo = Demo::start(&[]).await;
    demo.running().await;
    assert_eq!(demo.send("trouble=earthquake").await, 422);
    for trouble in ["spike", "slow", "hot", "broker", "poison"] {
        assert_eq!(demo.send(&format!("trouble={trouble}")).await, 303);
        demo.until(trouble, |state| has(state, trouble)).await;
    }
    // a paused broker leads a third of the partitions, and a poison record blocks one
    demo.until("no answer", |state| state["sides"][0]["why"].as_str().is_some_and(|why| why.contains("broker"))).await;
    demo.until("blocked", |state| both(state, |side| side["ageSeconds"].as_f64() > Some(8.0))).await;
    assert_eq!(demo.send("trouble=delete").await, 303);
    let state =
        demo.until("records are lost", |state| both(state, |side| side["recordsLost"].as_u64() > Some(0))).await;
    assert!(state["stalledSeconds"].as_f64() < Some(20.0), "a paused broker is no stall: {state:#}");
    demo.until("all is over", |state| state["troubles"].as_array().is_some_and(Vec::is_empty)).await;
    demo.until("no partition is blocked", |state| both(state, |side| side["blockedPods"] == 0)).await;
}

#[tokio::test]
async fn a_paused_demo_stands_still_and_a_restarted_one_begins_again() {
    let demo = Demo::start(&[]).await;
    demo.running().await;
    assert_eq!(demo.send("pause=1").await, 303);
    let paused = demo.until("it is paused", |state| state["state"] == "paused").await;
    sleep(Duration::from_secs(3)).await;
    let later = demo.state().await;
    for number in ["atSeconds", "countedSeconds", "stalledSeconds"] {
        let [before, after] = [&paused, &later].map(|state| state[number].as_f64().unwrap());
        assert!(after - before < 1.1, "{number}: {before}, {after}");
    }
    assert!(demo.get("").await.contains("Resume"));
    assert_eq!(demo.send("pause=0").await, 303);
    let resumed = demo.until("it goes on", |state| state["atSeconds"].as_f64() > Some(7.0)).await;
    assert_eq!(resumed["stalledSeconds"], 0.0, "a pause is no stall: {resumed:#}");
    assert_eq!(demo.send("speed=2").await, 303);
    let slower = demo.until("it begins again", |state| state["speed"] == 2 && state["state"] == "running").await;
    assert!(slower["atSeconds"].as_f64() < Some(7.0), "{slower:#}");
    assert!(demo.get("").await.contains("maxAge: 30s"), "60 s of a cluster");
}

#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let demo = Demo::start(&[]).await;
    let client = reqwest::Client::new();
    let post = |name, value: &str| client.post(&demo.page).header(name, value.to_owned()).body("restart=1");
    for request in [post(ORIGIN, "http://example.com"), post(ORIGIN, "null"), post(HOST, "example.com:8000")] {
        assert_eq!(request.send().await.unwrap().status().as_u16(), 403);
    }
}

#[tokio::test]
async fn the_page_has_port_8000_or_the_next_free_one() {
    let port = |demo: &Demo| demo.page.trim_end_matches('/').rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let first = Demo::start_at(&[]).await;
    let second = Demo::start_at(&[]).await;
    assert!((8000..8099).contains(&port(&first)), "{}", first.page);
    assert!(port(&second) > port(&first) && port(&second) <= 8099, "{} beside {}", second.page, first.page);
}

#[tokio::test]
async fn the_demo_ends_cleanly_when_it_is_interrupted() {
    let demo = Demo::start(&[]).await;
    demo.running().await;
    let pid = demo.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let (code, text, stderr) = demo.ended().await;
    assert_eq!((code, &*stderr), (Some(0), ""), "{text}");
    assert!(text.ends_with("ended\n"), "{text}");
}

#[tokio::test]
async fn a_process_that_was_stopped_goes_on_and_that_time_counts_for_neither_side() {
    let demo = Demo::start(&[]).await;
    let before = demo.running().await;
    let pid = demo.child.id().unwrap().to_string();
    for (signal, pause) in [("-STOP", Duration::from_secs(8)), ("-CONT", Duration::ZERO)] {
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        sleep(pause).await;
    }
    let at = before["atSeconds"].as_f64().unwrap();
    let stalled = demo.until("it was stopped", |state| state["stalledSeconds"].as_f64() > Some(1.0)).await;
    assert!(stalled["atSeconds"].as_f64().unwrap() < at + 6.0, "time in which nothing ran does not pass: {stalled:#}");
    assert!(both(&stalled, |side| side["ageSeconds"].as_f64() < Some(8.0)), "records did not grow old: {stalled:#}");
    let page = demo.get("").await;
    assert!(page.contains("counted for neither side"), "{page}");
    demo.until("it recovers", |state| state["countedSeconds"].as_f64() > Some(at + 15.0)).await;
    demo.until("records arrive and are read", |state| {
        both(state, |side| side["ageSeconds"].as_f64() < Some(8.0)) && state["arrivalsPerSecond"].as_f64() > Some(40.0)
    })
    .await;
}

#[tokio::test]
async fn the_scalers_log_has_no_colours_where_no_terminal_reads_it() {
    let demo = Demo::start(&["--for", "12s", "--log", "info"]).await;
    let (code, text, stderr) = demo.ended().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
}

#[tokio::test]
async fn a_scene_on_kinesis_compares_the_shard_count_with_the_age_and_has_its_own_troubles() {
    let demo = Demo::start(&["--scene", "kinesis"]).await;
    let begun = demo.running().await;
    assert_eq!((&begun["scene"], begun["sides"][0]["name"].as_str()), (&"kinesis".into(), Some("shard count")));
    demo.until("a first sync", |state| state["sides"][0]["why"].as_str().is_some_and(|why| !why.is_empty())).await;
    let page = demo.get("").await;
    for part in
        ["KEDA shard count", "48 open shards ÷ shardCount", "the lag does not count", "Throttle reads", "Hot shard"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in ["Pause a broker", "Poison record", "lag threshold"] {
        assert!(!page.contains(part), "{part}: {page}");
    }
    assert_eq!(demo.send("trouble=poison").await, 303);
    let grown = demo.until("the age adds pods", |state| state["sides"][1]["ready"].as_u64() > Some(2)).await;
    let [theirs, ours] = [0, 1].map(|side| &grown["sides"][side]);
    assert_eq!((&theirs["pods"], &theirs["scaleEvents"]), (&begun["sides"][0]["pods"], &0.into()), "whatever arrives");
    let why = ours["why"].as_str().unwrap();
    assert!(why.contains("kilobytes/s") && !why.contains("error"), "{why}");
    assert!(!has(&grown, "poison"), "no trouble of this scene");
    assert_eq!(demo.send("trouble=throttle").await, 303);
    demo.until("nothing is read", |state| both(state, |side| side["ageSeconds"].as_f64() > Some(5.0))).await;
    let over = demo.until("it is over", |state| !has(state, "throttle")).await;
    assert!(!over["sides"][1]["why"].as_str().unwrap().contains("error"), "{over:#}");
    // in the rush hour a busy machine may need long to catch up: an age that falls is enough
    for side in [0, 1] {
        let age = |state: &Value| state["sides"][side]["ageSeconds"].as_f64();
        demo.until("records are read again", |state| age(state) < age(&over)).await;
    }
}

#[tokio::test]
async fn another_scene_is_chosen_on_the_page_and_begins_from_the_first_morning() {
    let demo = Demo::start(&[]).await;
    demo.running().await;
    assert_eq!(demo.send("scene=ocean").await, 422);
    assert_eq!(demo.send("scene=kinesis").await, 303);
    let changed =
        demo.until("it begins again", |state| state["scene"] == "kinesis" && state["state"] == "running").await;
    assert!(changed["atSeconds"].as_f64() < Some(7.0), "{changed:#}");
    assert_eq!(changed["troubles"], Value::Array(Vec::new()));
}

/// Opens the page at both widths in both themes.
async fn look(browser: &mut Browser, demo: &Demo, name: &str) {
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.open(&demo.page, width, scheme).await;
        browser.until("document.querySelectorAll('.slot.running').length >= 4").await;
        browser.value("document.querySelector('details').open = true").await;
        let wide = browser.value(TOO_WIDE).await;
        assert_eq!(wide, Value::Array(Vec::new()), "{width} {scheme}");
        let (errors, requests) = browser.report().await;
        assert!(errors.is_empty(), "{errors:?}");
        assert!(requests.iter().all(|request| request.starts_with(&*demo.page)), "{requests:?}");
        browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
    }
}

#[tokio::test]
async fn the_page_of_the_scene_on_kinesis_fits_phones_and_desktops_in_both_themes() {
    let demo = Demo::start(&["--scene", "kinesis"]).await;
    demo.running().await;
    look(&mut Browser::start().await, &demo, "demo-kinesis").await;
}

#[tokio::test]
async fn the_page_fits_phones_and_desktops_in_both_themes_and_its_buttons_need_no_script() {
    let demo = Demo::start(&[]).await;
    demo.running().await;
    let mut browser = Browser::start().await;
    look(&mut browser, &demo, "demo").await;
    // what a person opened stays open, and the page goes on
    let measured = "document.querySelector('.below thead th').textContent";
    let before = browser.text(measured).await;
    browser.until(&format!("{measured} !== '{before}'")).await;
    assert_eq!(browser.value("document.querySelector('details').open").await, Value::Bool(true));
    // with the script a press does not leave the page
    browser.value("window.here = true").await;
    browser.value("document.querySelector('[value=slow]').focus()").await;
    browser.press("Enter").await;
    browser.until("document.querySelector('[value=slow]').getAttribute('aria-pressed') === 'true'").await;
    assert_eq!(browser.value("window.here && document.activeElement.value").await, "slow", "the focus stays");
    // and without it the form is sent
    browser.open_without_script(&demo.page).await;
    browser.value("document.querySelector('[value=spike]').click()").await;
    demo.until("the spike", |state| has(state, "spike")).await;
}
