//! A day of targets that come and go, on a paused clock: nothing of them may be left.
//!
//! The day runs in a process of its own, or its memory would be that of every other test.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::admin::LiveSeries;
use keda_stream_scaler::lag::{Observe, Report, SourceError, SourceErrorKind};
use keda_stream_scaler::sampler::{PATIENCE, Sampler, ScaledObjectKey};
use keda_stream_scaler::telemetry::{Exposition, Metrics};
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::support::prometheus::series;
use crate::support::scripted::lag;
use crate::support::server::scaled_object;

/// Set for the process that lives through the day.
const ROLE: &str = "CHURN_OF_A_DAY";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Clusters: loops come and go too.
const BACKENDS: u64 = 7;

/// Every third group fails; the clusters that have a client are remembered.
#[derive(Clone, Default)]
struct Clusters(Arc<Mutex<HashSet<u64>>>);

impl Observe for Clusters {
    type Backend = u64;

    fn admit(&self, _namespace: &str, source: &SourceRef) -> Result<u64, SourceError> {
        Ok(number(source) % BACKENDS)
    }

    async fn observe(&self, backend: &u64, due: Vec<Arc<SourceRef>>, report: Report) {
        self.0.lock().unwrap().insert(*backend);
        sleep(Duration::from_millis(20)).await;
        for source in due {
            let number = number(&source);
            let fails = || SourceError::new(SourceErrorKind::Unreachable, "it is scripted so");
            report(&source, if number.is_multiple_of(3) { Err(fails()) } else { Ok(lag(number % 100)) });
        }
    }

    fn forget(&self, backend: &u64) {
        self.0.lock().unwrap().remove(backend);
    }
}

fn number(source: &SourceRef) -> u64 {
    let SourceRef::Kafka(kafka) = source else { panic!("{source}") };
    kafka.group.trim_start_matches('g').parse().unwrap()
}

struct Day {
    clusters: Clusters,
    sampler: Sampler<Clusters>,
    metrics: Metrics,
    next: u64,
}

impl Day {
    fn new() -> Self {
        let (clusters, metrics) = (Clusters::default(), Metrics::new("0", "none"));
        let sampler = Sampler::new(clusters.clone(), metrics.sampler.clone());
        metrics.add(LiveSeries::new(sampler.clone(), true));
        Self { clusters, sampler, metrics, next: 0 }
    }

    fn trigger(&mut self) -> (String, Trigger) {
        self.next += 1;
        let name = format!("g{}", self.next);
        let about = scaled_object(&name, &[("pollInterval", "2m"), ("maxStaleness", "5m")]);
        (name, Trigger::parse(&about.scaler_metadata).unwrap())
    }

    /// A target that is forgotten ten minutes after this question.
    async fn ask(&mut self) {
        let (name, trigger) = self.trigger();
        let _ = self.sampler.ask(ScaledObjectKey::new("shop", &name), &trigger, PATIENCE).await;
    }

    /// A target that goes with its watch.
    async fn watch(&mut self) {
        let (name, trigger) = self.trigger();
        let watch = self.sampler.watch(ScaledObjectKey::new("shop", &name), &trigger, Duration::from_secs(2)).unwrap();
        sleep(Duration::from_millis(5)).await;
        drop(watch);
    }

    fn series(&self) -> usize {
        series(&self.metrics.render(Exposition::Text)).len()
    }

    async fn live(&mut self, until: Instant, each_minute: usize) {
        let mut minute = Instant::now();
        while minute < until {
            for _ in 0..each_minute {
                self.ask().await;
                self.watch().await;
            }
            minute += MINUTE;
            sleep_until(minute).await;
        }
    }

    /// A hundred targets a second.
    async fn burst(&mut self, seconds: u32) {
        for _ in 0..seconds {
            let second = Instant::now() + Duration::from_secs(1);
            for number in 0..100 {
                let (name, trigger) = self.trigger();
                if number % 4 == 0 {
                    let _ = self.sampler.ask(ScaledObjectKey::new("shop", &name), &trigger, Duration::ZERO).await;
                } else {
                    drop(
                        self.sampler
                            .watch(ScaledObjectKey::new("shop", &name), &trigger, Duration::from_secs(2))
                            .unwrap(),
                    );
                }
            }
            sleep_until(second).await;
        }
    }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn a_day() {
    let begun = Instant::now();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut day = Day::new();
    let (tasks_before, series_before) = (tasks(), day.series());
    let mut memory = Vec::new();
    for hour in 1..=24 {
        if hour % 6 == 2 {
            day.burst(10).await;
            assert!(day.sampler.view().len() > 200, "{}", day.sampler.view().len());
        }
        day.live(begun + HOUR * hour, 2).await;
        // the last ten minutes, and what has not been looked at since
        assert!(
            day.sampler.view().len() < 60 && tasks() < 20,
            "{} targets, {} tasks",
            day.sampler.view().len(),
            tasks()
        );
        memory.push(resident_kib());
    }
    sleep(MINUTE * 13).await;
    println!("{} targets came and went; KiB at the end of each hour: {memory:?}", day.next);
    assert_eq!((day.sampler.view().len(), tasks()), (0, tasks_before));
    assert!(day.clusters.0.lock().unwrap().is_empty());
    let left: Vec<_> = series(&day.metrics.render(Exposition::Text)).into_keys().collect();
    assert_eq!(left.len(), series_before, "{left:?}");
    let (first, last) = (memory[2], memory[23]);
    assert!(last < first + 2048, "from {first} KiB after three hours to {last} after a day: {memory:?}");
}

#[tokio::test]
async fn a_day_of_churn_leaves_no_task_no_target_no_series_and_no_memory() {
    if std::env::var_os(ROLE).is_some() {
        tokio::time::pause();
        return a_day().await;
    }
    let name = "churn::a_day_of_churn_leaves_no_task_no_target_no_series_and_no_memory";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(120), child).await.expect("the day ends").unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success() && said.contains("came and went"), "{said}");
    println!("{said}");
}
