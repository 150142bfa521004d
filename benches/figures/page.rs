//! The status page of 1,000 targets, and what answers to KEDA take beside pages that are reloaded without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keda_stream_scaler::admin::{Readiness, serve};
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use keda_stream_scaler::limits::Limits;
use keda_stream_scaler::sampler::{Sampler, ScaledObjectKey};
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

use crate::process::{Role, Running, caller_runtime, runtime};
use crate::source::{Scripted, scaled_object};
use crate::table::{Goal, Table};

const OBJECTS: usize = 10_000;
const GROUPS: usize = 1000;
const PAGES: usize = 20;

pub fn measure(table: &mut Table) {
    let (took, bytes) = runtime().block_on(async {
        let metrics = Arc::new(Metrics::new("0", "none"));
        let sampler = Sampler::new(Scripted::default(), metrics.sampler.clone());
        for number in 0..OBJECTS {
            let about = scaled_object(number, GROUPS, "b:9092", &[]);
            let trigger = Trigger::parse(&about.scaler_metadata).unwrap();
            let caller = ScaledObjectKey { namespace: &about.namespace, name: &about.name };
            sampler.ask(caller, &trigger, Duration::from_secs(5)).await.unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            sampler,
            metrics,
            Limits::default().http_connections,
            Readiness::new(CancellationToken::new()),
            None,
        ));
        let (mut took, mut bytes) = (Vec::new(), 0);
        for page in 1..=PAGES {
            let begun = Instant::now();
            let answer = reqwest::get(format!("http://{address}/?page={page}")).await.unwrap();
            bytes = bytes.max(answer.text().await.unwrap().len());
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        (took[PAGES / 2], bytes)
    });
    let name = "the status page of 1,000 targets that 10,000 ScaledObjects ask about";
    table.add(format!("{name}: time"), took.as_secs_f64() * 1000.0, "ms", Goal::Below(50.0));
    table.add(format!("{name}: size"), bytes as f64 / 1000.0, "KB", Goal::Below(500.0));
}

/// What of `GetMetrics` KEDA makes for 1,500 ScaledObjects by its defaults: three calls per 30 s each.
const CALLS_PER_SECOND: u32 = 150;

const TARGETS: usize = 1500;

/// Turns without a loop of reloads, beside one of another scaler's pages, and beside one of this scaler's: on few processors the
/// loop takes its part of them from everything, whose pages it may load.
pub fn load(table: &mut Table) {
    const TURN: Duration = Duration::from_secs(6);
    const TURNS: usize = 3;
    let (scaler, other) = (ScalerWithPages::start(), ScalerWithPages::start());
    let mut p99 = Vec::new();
    caller_runtime().block_on(async {
        let client = scaler.know_all_targets().await;
        other.know_all_targets().await;
        for _ in 0..TURNS {
            let alone = p99_of_calls(&client, &scaler.objects, TURN).await;
            let mut turn = vec![alone];
            for pages in [&other, &scaler] {
                let _reloading = pages.reload();
                turn.push(p99_of_calls(&client, &scaler.objects, TURN).await);
            }
            // the last page ends
            sleep(Duration::from_secs(1)).await;
            p99.push(turn);
        }
    });
    let median = |of: fn(&[f64]) -> f64| {
        let mut all: Vec<_> = p99.iter().map(|turn| of(turn)).collect();
        all.sort_by(f64::total_cmp);
        all[TURNS / 2]
    };
    let name = "GetMetrics p99, 1,500 targets, median of 3";
    table.add(format!("{name}: alone"), median(|turn| turn[0]), "ms", Goal::Reported);
    table.add(format!("{name}: beside a loop of page reloads"), median(|turn| turn[2]), "ms", Goal::Reported);
    table.add(
        format!("{name}: beside such a loop against alone"),
        median(|turn| turn[2] / turn[0]),
        "",
        Goal::AtMost(1.5),
    );
    let against_other = median(|turn| turn[2] / turn[1]);
    table.add(format!("{name}: against a loop of another scaler's pages"), against_other, "", Goal::AtMost(1.5));
    let pages = scaler.pages.load(Ordering::Relaxed) as f64 / (TURN.as_secs_f64() * TURNS as f64);
    table.add("pages per second in that loop", pages, "", Goal::Reported);
}

struct ScalerWithPages {
    running: Running,
    objects: Vec<ScaledObjectRef>,
    /// How many pages were loaded.
    pages: Arc<AtomicUsize>,
}

impl ScalerWithPages {
    fn start() -> Self {
        let objects = (0..TARGETS).map(|number| scaled_object(number, TARGETS, "b:9092", &[])).collect();
        Self { running: Role::ScalerWithPages.start(""), objects, pages: Arc::default() }
    }

    fn addresses(&self) -> (&str, &str) {
        self.running.address.split_once(' ').unwrap()
    }

    async fn know_all_targets(&self) -> ExternalScalerClient<Channel> {
        let client = ExternalScalerClient::connect(self.addresses().0.to_owned()).await.unwrap();
        for about in &self.objects {
            client.clone().is_active(about.clone()).await.unwrap();
        }
        client
    }

    /// Loads pages one after the other, on a thread of its own, until the result is dropped.
    fn reload(&self) -> DropGuard {
        let (end, pages, http) = (CancellationToken::new(), self.pages.clone(), self.addresses().1.to_owned());
        let guard = end.clone().drop_guard();
        std::thread::spawn(move || {
            caller_runtime().block_on(async {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let load = async |path: &str| {
                    pages.fetch_add(1, Ordering::Relaxed);
                    client.get(format!("{http}{path}")).send().await.unwrap().text().await.unwrap()
                };
                while !end.is_cancelled() {
                    let list = load("/").await;
                    let target = list.split('"').find(|part| part.starts_with("/targets/")).unwrap();
                    load(target).await;
                    load("/samples").await;
                }
            });
        });
        guard
    }
}

/// Each call is timed from when it was due, in milliseconds.
async fn p99_of_calls(client: &ExternalScalerClient<Channel>, objects: &[ScaledObjectRef], during: Duration) -> f64 {
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    for number in 0..CALLS_PER_SECOND * u32::try_from(during.as_secs()).unwrap() {
        let due = begun + Duration::from_secs(1) * number / CALLS_PER_SECOND;
        sleep_until(due).await;
        let about = objects[number as usize % objects.len()].clone();
        let request = GetMetricsRequest { scaled_object_ref: Some(about), metric_name: "kafka-orders".into() };
        let mut client = client.clone();
        calls.spawn(async move {
            client.get_metrics(request).await.unwrap();
            due.elapsed()
        });
    }
    let mut took = calls.join_all().await;
    took.sort_unstable();
    took[took.len() * 99 / 100].as_secs_f64() * 1000.0
}
