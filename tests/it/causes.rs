//! Failures of many targets: one log line for each cause, however many targets it has.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::{SourceError, SourceErrorKind};
use keda_stream_scaler::sampler::{Sampler, ScaledObjectKey};
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::sleep;
use tracing::subscriber::DefaultGuard;

use crate::support::scripted::{Script, Scripted};

const S: fn(u64) -> Duration = Duration::from_secs;

/// The log of the tasks of one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(&format!(" {level} "))).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Groups of clusters, all of which KEDA asks about every ten seconds.
struct Scene {
    source: Scripted,
    sampler: Sampler<Scripted>,
    triggers: Vec<(String, Trigger)>,
}

impl Scene {
    fn new(clusters: &[&str], groups: usize) -> Self {
        let source = Scripted::default();
        let sampler = Sampler::new(source.clone(), Metrics::new("0", "none").sampler.clone());
        let all = clusters.iter().flat_map(|cluster| (0..groups).map(move |number| (cluster, number)));
        let triggers = all.map(|(cluster, number)| {
            let group = format!("{cluster}-{number:03}");
            let metadata: HashMap<_, _> = [
                ("source", "kafka"),
                ("bootstrapServers", &format!("{cluster}:9092")),
                ("consumerGroup", &group),
                ("topic", "orders"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
            (group, Trigger::parse(&metadata).unwrap())
        });
        Self { source, sampler, triggers: triggers.collect() }
    }

    async fn run(&self, seconds: u64) {
        for _ in 0..seconds / 10 {
            for (group, trigger) in &self.triggers {
                let _ = self.sampler.ask(ScaledObjectKey::new("shop", group), trigger, Duration::ZERO).await;
            }
            sleep(S(10)).await;
        }
    }

    fn set(&self, of: &str, script: impl Fn(&str) -> Script) {
        for (group, _) in self.triggers.iter().filter(|(group, _)| group.starts_with(of)) {
            self.source.set(group, script(group));
        }
    }
}

fn fails(kind: SourceErrorKind) -> impl Fn(&str) -> Script {
    move |group| Script::FailsWith(SourceError::new(kind, format!("could not read group {group}")).because("refused"))
}

#[tokio::test(start_paused = true)]
async fn a_dead_cluster_of_300_groups_is_one_warning_and_its_recovery_one_line() {
    let (log, _guard) = Log::start();
    let scene = Scene::new(&["kafka-1"], 300);
    scene.run(60).await;
    assert_eq!(log.lines("WARN"), Vec::<String>::new());
    scene.set("kafka-1", fails(SourceErrorKind::Unreachable));
    scene.run(600).await;
    let [warning] = &log.lines("WARN")[..] else { panic!("{:#?}", log.lines("WARN")) };
    for part in ["kafka-1:9092", "unreachable", "targets=300", "group kafka-1-", "and 297 more", "refused"] {
        assert!(warning.contains(part), "{part} is not in {warning}");
    }
    scene.set("kafka-1", |_| Script::Lag(5));
    scene.run(60).await;
    let [recovery] = &log.lines("INFO")[..] else { panic!("{:#?}", log.lines("INFO")) };
    for part in ["succeed again", "kafka-1:9092", "targets=300", "failed_for_ms=6"] {
        assert!(recovery.contains(part), "{part} is not in {recovery}");
    }
    assert_eq!(log.lines("WARN").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_begins_while_the_log_is_off_is_logged_when_it_is_on() {
    let scene = Scene::new(&["kafka-1"], 30);
    scene.run(60).await;
    scene.set("kafka-1", fails(SourceErrorKind::Unreachable));
    scene.run(120).await;
    let (log, _guard) = Log::start();
    scene.run(60).await;
    let [warning] = &log.lines("WARN")[..] else { panic!("{:#?}", log.lines("WARN")) };
    assert!(warning.contains("targets=30") && warning.contains("kafka-1:9092"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn two_dead_clusters_are_two_warnings() {
    let (log, _guard) = Log::start();
    let scene = Scene::new(&["kafka-1", "kafka-2"], 150);
    scene.run(60).await;
    scene.set("kafka", fails(SourceErrorKind::Unreachable));
    scene.run(60).await;
    let warnings = log.lines("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for cluster in ["kafka-1:9092", "kafka-2:9092"] {
        assert_eq!(warnings.iter().filter(|line| line.contains(cluster)).count(), 1, "{warnings:#?}");
    }
    scene.set("kafka-1", |_| Script::Lag(5));
    scene.run(60).await;
    assert_eq!(log.lines("INFO").len(), 1, "the other one still fails: {:#?}", log.lines("INFO"));
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_changes_its_kind_is_a_new_one_without_a_recovery_in_between() {
    let (log, _guard) = Log::start();
    let scene = Scene::new(&["kafka-1"], 30);
    scene.set("kafka-1", fails(SourceErrorKind::Unreachable));
    scene.run(60).await;
    scene.set("kafka-1", fails(SourceErrorKind::Denied));
    scene.run(60).await;
    let warnings = log.lines("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[1].contains("denied") && warnings[1].contains("targets=30"), "{warnings:#?}");
    assert_eq!(log.lines("INFO"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_much_later_than_others_is_a_cause_of_its_own() {
    let (log, _guard) = Log::start();
    let scene = Scene::new(&["kafka-1"], 30);
    scene.run(60).await;
    scene.set("kafka-1-00", fails(SourceErrorKind::Missing));
    scene.run(120).await;
    scene.set("kafka-1-01", fails(SourceErrorKind::Missing));
    scene.run(60).await;
    let warnings = log.lines("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("targets=10")), "{warnings:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_queries_any_more_does_not_keep_a_cause() {
    let (log, _guard) = Log::start();
    let mut scene = Scene::new(&["kafka-1"], 30);
    scene.set("kafka-1", fails(SourceErrorKind::Unreachable));
    scene.run(60).await;
    // the others are forgotten ten minutes later
    scene.triggers.truncate(10);
    scene.run(700).await;
    scene.set("kafka-1", |_| Script::Lag(5));
    scene.run(60).await;
    assert_eq!(log.lines("INFO").len(), 1, "{:#?}", log.lines("INFO"));
}
