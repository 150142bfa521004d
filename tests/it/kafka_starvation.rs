//! A real broker and the real service, both starved of CPU while the broker stops, dies and comes back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::support::busy::BusyProcesses;
use crate::support::driver::WITHIN;
use crate::support::kafka::starved;
use crate::support::known_lags::{GROUPS, KnownLags, topic};
use crate::support::process::Serving;
use crate::support::server::{metrics_of, scaled_object};

/// The shortest `pollInterval`.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest `maxStaleness` with this interval.
const MAX_STALENESS: Duration = Duration::from_secs(4);
const STOPPED_FOR: Duration = Duration::from_secs(40);
const RUNNING_FOR: Duration = Duration::from_secs(15);

/// How long faults follow each other.
fn faults_for() -> Duration {
    let minutes = std::env::var("STARVATION_MINUTES").map_or(2, |minutes| minutes.parse().unwrap());
    Duration::from_secs(60 * minutes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starved_scaler_reports_no_wrong_lag_and_is_right_two_intervals_after_the_last_fault() {
    let cluster = starved();
    let lags = Arc::new(KnownLags::new(cluster.bootstrap_servers()).await);
    let observer = Arc::new(Observer::new(Serving::start(&[]).await, lags.clone()).await);
    let observing = tokio::spawn({
        let observer = observer.clone();
        async move { observer.run().await }
    });
    observer.until_right_since(Instant::now()).await;

    let begun = Instant::now();
    let recovery = async |fault: &str, number: i32| {
        let (back, lags) = (Instant::now(), lags.clone());
        let changing = tokio::spawn(async move {
            lags.change(number).await;
            Instant::now()
        });
        let right = observer.until_right_since(back).await;
        // a broker that takes a change of every lag has itself recovered, which takes a starved one some seconds
        let [after_fault, after_broker] = [back, changing.await.unwrap()].map(|at| right.saturating_duration_since(at));
        println!("{:?}: right {after_fault:?} after {fault}, {after_broker:?} after the broker", begun.elapsed());
        assert!(after_broker <= 2 * POLL_INTERVAL, "right {after_broker:?} after the broker, since {fault}");
        after_fault
    };
    let busy = BusyProcesses::start();
    let mut number = 0;
    while begun.elapsed() + STOPPED_FOR < faults_for() {
        if number % 2 == 0 {
            cluster.kill(1);
            block_in_place(|| cluster.restart(1));
            recovery("a restart", number).await;
        } else {
            cluster.stop(1);
            sleep(STOPPED_FOR).await;
            cluster.resume(1);
            recovery("a stop", number).await;
        }
        sleep(RUNNING_FOR).await;
        number += 1;
    }
    cluster.stop(1);
    sleep(STOPPED_FOR).await;
    drop(busy);
    cluster.resume(1);
    let recovery = recovery("the last fault", number).await;
    observing.abort();
    observer.end().await;
    cluster.kill(1);
    assert!(recovery <= 2 * POLL_INTERVAL, "right {recovery:?} after the last fault");
}

/// Sees what the service reports.
struct Observer {
    serving: Serving,
    client: ExternalScalerClient<Channel>,
    lags: Arc<KnownLags>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    right: usize,
    wrong: Vec<String>,
    errors: BTreeMap<String, usize>,
    /// When the newest reading of each group was last seen to be good and right.
    right_at: HashMap<i32, Instant>,
}

impl Observer {
    async fn new(serving: Serving, lags: Arc<KnownLags>) -> Self {
        let observer = Self { client: serving.client().await, serving, lags, seen: Mutex::default() };
        stream::iter(0..GROUPS).for_each_concurrent(8, |group| observer.ask(group)).await;
        observer
    }

    /// Reads all groups again and again, and asks about one after the other.
    async fn run(&self) {
        for group in (0..GROUPS).cycle() {
            self.read().await;
            self.ask(group).await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks about a group as KEDA does.
    async fn ask(&self, group: i32) {
        let keys = [
            ("bootstrapServers", self.lags.servers.as_str()),
            ("topic", &topic(group)),
            ("pollInterval", &format!("{}s", POLL_INTERVAL.as_secs())),
            ("maxStaleness", &format!("{}s", MAX_STALENESS.as_secs())),
        ];
        let object = scaled_object(&group.to_string(), &keys);
        let begun = Instant::now();
        match self.client.clone().get_metrics(metrics_of(&object, "")).await {
            Ok(answer) => {
                let value = answer.into_inner().metric_values[0].metric_value_float;
                self.judge(group, value, begun - MAX_STALENESS);
            }
            Err(status) => self.fail(&format!("{:?}", status.code())),
        }
    }

    /// Reads the newest sample of each group.
    async fn read(&self) {
        let begun = Instant::now();
        let (_, samples) = self.serving.get("/samples").await;
        let samples: Value = serde_json::from_str(&samples).unwrap();
        for target in samples["targets"].as_array().unwrap() {
            if let Some(kind) = target["scaledObjects"][0]["kind"].as_str() {
                self.fail(kind);
            }
            if let Some(age) = target["ageSeconds"].as_f64().map(Duration::from_secs_f64) {
                let group = target["consumerGroup"].as_str().unwrap().parse().unwrap();
                let right = self.judge(group, target["reading"]["recordsBehind"].as_f64().unwrap(), begun - age);
                if right && target["state"] == "good" && age < MAX_STALENESS {
                    self.seen.lock().unwrap().right_at.insert(group, begun);
                }
            }
        }
    }

    /// Whether a lag is right that was read since this time.
    fn judge(&self, group: i32, lag: f64, since: Instant) -> bool {
        let mut lags = self.lags.since(group, since);
        let right = lags.any(|right| (lag - f64::from(right)).abs() < 0.5);
        let mut seen = self.seen.lock().unwrap();
        if right {
            seen.right += 1;
        } else {
            seen.wrong.push(format!("group {group}: {lag}, not {:?}", self.lags.since(group, since)));
        }
        right
    }

    fn fail(&self, kind: &str) {
        *self.seen.lock().unwrap().errors.entry(kind.to_owned()).or_default() += 1;
    }

    /// Waits until each group has been seen with a right lag since this time, and returns when that was.
    async fn until_right_since(&self, time: Instant) -> Instant {
        loop {
            let right = {
                let seen = self.seen.lock().unwrap();
                assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
                seen.right_at.values().filter(|at| **at >= time).count()
            };
            if right == usize::try_from(GROUPS).unwrap() {
                return Instant::now();
            }
            assert!(time.elapsed() < WITHIN, "{right} groups are right again");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the service, which must not have panicked nor reported a wrong lag.
    async fn end(&self) {
        let (_, metrics) = self.serving.get("/metrics").await;
        for line in metrics.lines().filter(|line| line.starts_with("stream_scaler_samples_total")) {
            println!("{line}");
        }
        let seen = self.seen.lock().unwrap();
        println!("right: {}, wrong: {}, errors: {:?}", seen.right, seen.wrong.len(), seen.errors);
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        let panics: Vec<_> = self.serving.lines().into_iter().filter(|line| line.contains("panicked")).collect();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}
