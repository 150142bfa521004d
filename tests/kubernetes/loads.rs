//! Several triggers side by side: the same records at the same time, with a topic and a Deployment each.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::{Instant, interval};

use crate::cluster::{Cluster, results};
use crate::consumer;
use crate::driver::Driver;
use crate::kafka::one_node;
use crate::picture;
use crate::process::eventually;
use crate::records::{PARTITIONS, Processed, Producer};
use crate::scaler::Scaler;
use crate::scenario::{Scenario, in_one_step, merge, scaled_object};

/// No record should wait longer, in seconds.
pub const OBJECTIVE: f64 = 10.0;
/// Records per second that one consumer can process.
const CAPACITY: f64 = 50.0;
/// The trigger of this project, besides where it finds its source.
const RECOMMENDED: &[(&str, &str)] =
    &[("scaleOn", "catchUp"), ("pollInterval", "2s"), ("maxAge", "10s"), ("scaleDownStabilizationWindow", "15s")];
/// One second of a consumer's work.
const LAG_THRESHOLD: &str = "50";

pub struct Load {
    name: &'static str,
    /// Seconds, and records per second in them.
    steps: &'static [(u64, u32)],
    sides: &'static [Side],
}

/// One of those that are compared.
pub struct Side {
    pub name: &'static str,
    trigger: Trigger,
    /// The spec of its `ScaledObject`, with its trigger.
    spec: fn(&Value) -> Value,
}

enum Trigger {
    BuiltIn,
    /// As recommended, but for these keys.
    Ours(&'static [(&'static str, &'static str)]),
}

const SURGE: &[(u64, u32)] = &[(60, 40), (180, 400), (200, 40)];
const KEDA: Side = Side { name: "KEDA, lagThreshold 50", trigger: Trigger::BuiltIn, spec: recommended };
const UNKNOWN: Side = ours("ours", &[], recommended);
const KNOWN: Side = ours("ours, capacityPerConsumer", &[("capacityPerConsumer", "50")], recommended);
const LOADS: [Load; 3] = [
    Load { name: "surge", steps: SURGE, sides: &[KEDA, KNOWN, UNKNOWN] },
    Load { name: "ramp", steps: &[(60, 40), (100, 150), (100, 400), (100, 40)], sides: &[KEDA, KNOWN, UNKNOWN] },
    Load {
        name: "settings",
        steps: SURGE,
        sides: &[
            ours("as recommended", &[], recommended),
            ours("no scaleUp policies", &[], |trigger| scaled_object(trigger, json!({}))),
            ours("scaleDown window 300 s", &[("scaleDownStabilizationWindow", "300s")], |trigger| {
                with_behavior(trigger, json!({"scaleDown": {"stabilizationWindowSeconds": 300}}))
            }),
            ours("scaleUp tolerance 0", &[("scaleUpTolerance", "0")], |trigger| {
                with_behavior(trigger, json!({"scaleUp": {"tolerance": "0"}}))
            }),
            ours("pollInterval 10 s", &[("pollInterval", "10s")], recommended),
            ours("useCachedMetrics, 30 s", &[], |trigger| {
                let mut trigger = trigger.clone();
                trigger["useCachedMetrics"] = json!(true);
                let mut spec = recommended(&trigger);
                spec["pollingInterval"] = json!(30);
                spec
            }),
        ],
    },
];

/// What belongs to one side while a load runs.
struct Running {
    scenario: Scenario,
    processed: Processed,
}

/// One second of a load.
pub struct Row {
    pub rate: u32,
    pub sides: Vec<SideRow>,
}

#[derive(Clone, Copy)]
pub struct SideRow {
    pub replicas: u32,
    pub ready: u32,
    /// Of the oldest unprocessed record, in seconds.
    pub oldest: f64,
    /// Records that are not processed.
    pub backlog: u32,
}

/// Runs the loads whose name is `filter`, or all; one after the other.
pub async fn run(filter: &str) -> bool {
    let servers = block_in_place(one_node).bootstrap_servers();
    let chosen: Vec<_> = LOADS.iter().filter(|load| filter.is_empty() || load.name == filter).collect();
    for load in &chosen {
        let rows = record(&Cluster::start().await, &servers, load).await;
        let file = |extension: &str| results().join(format!("{}.{extension}", load.name));
        fs::write(file("csv"), csv(load, &rows)).unwrap();
        fs::write(file("svg"), picture::draw(load.sides, &rows)).unwrap();
        println!("{}written: {} and .svg\n", table(load, &rows), file("csv").display());
    }
    !chosen.is_empty()
}

async fn record(cluster: &Cluster, servers: &str, load: &Load) -> Vec<Row> {
    let scaler = Scaler::start(&cluster.directory, "scaler").await;
    println!("load {}: {} s", load.name, load.steps.iter().map(|(seconds, _)| seconds).sum::<u64>());
    let driver = Driver::new(servers);
    let topics: Vec<_> = (0..load.sides.len()).map(|side| format!("{}-{side}", load.name)).collect();
    for topic in &topics {
        driver.create_topic(topic, i32::try_from(PARTITIONS).unwrap(), 1, &[]).await;
    }
    let producer = Producer::start(&driver, &topics, load.steps[0].1);
    let mut sides = Vec::new();
    for (topic, side) in topics.iter().zip(load.sides) {
        let processed = Processed::new(&cluster.directory.join(format!("{topic}.processed")));
        let command = consumer::command(servers, topic, CAPACITY, &processed.file);
        let spec = (side.spec)(&side.trigger.on(topic, servers, &scaler));
        let scenario = Scenario::create(&cluster.api, topic, &command, 1, &spec).await;
        sides.push(Running { scenario, processed });
    }
    for Running { scenario, processed } in &mut sides {
        eventually("all sides keep up before the load", Duration::from_secs(120), async || {
            let (state, (oldest, _)) = (scenario.state().await, producer.behind(processed));
            let works = state.is("ScalingActive", "True") && state.ready == 1 && oldest < 2.0;
            if works { Ok(()) } else { Err(format!("{state:?}, oldest record {oldest:.1} s")) }
        })
        .await;
    }
    follow(load, &producer, &mut sides, &scaler).await
}

/// A row per second, and the scaler's decisions in a file.
async fn follow(load: &Load, producer: &Producer, sides: &mut [Running], scaler: &Scaler) -> Vec<Row> {
    let (mut rows, mut decisions) = (Vec::new(), String::new());
    let mut ticks = interval(Duration::from_secs(1));
    let rates = load.steps.iter().flat_map(|&(seconds, rate)| (0..seconds).map(move |_| rate));
    let begun = Instant::now();
    for rate in rates {
        ticks.tick().await;
        producer.set_rate(rate);
        let mut measured = Vec::new();
        for side in &mut *sides {
            let state = side.scenario.state().await;
            let (oldest, backlog) = producer.behind(&mut side.processed);
            measured.push(SideRow { replicas: state.replicas, ready: state.ready, oldest, backlog });
        }
        rows.push(Row { rate, sides: measured });
        let targets = scaler.targets("").await;
        writeln!(decisions, "{}", json!({"second": begun.elapsed().as_secs(), "targets": targets})).unwrap();
    }
    fs::write(results().join(format!("{}-decisions.jsonl", load.name)), decisions).unwrap();
    rows
}

const fn ours(name: &'static str, keys: &'static [(&str, &str)], spec: fn(&Value) -> Value) -> Side {
    Side { name, trigger: Trigger::Ours(keys), spec }
}

fn recommended(trigger: &Value) -> Value {
    scaled_object(trigger, in_one_step())
}

/// As recommended, but for this part of the HPA's behavior.
fn with_behavior(trigger: &Value, behavior: Value) -> Value {
    let mut spec = recommended(trigger);
    merge(&mut spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"], behavior);
    spec
}

impl Trigger {
    fn on(&self, topic: &str, servers: &str, scaler: &Scaler) -> Value {
        let mut metadata = json!({"bootstrapServers": servers, "consumerGroup": topic, "topic": topic});
        let (kind, keys) = match self {
            Self::BuiltIn => ("kafka", vec![("lagThreshold", LAG_THRESHOLD)]),
            Self::Ours(keys) => {
                let source = [("source", "kafka"), ("scalerAddress", &*scaler.address)];
                ("external", source.iter().chain(RECOMMENDED).chain(*keys).copied().collect())
            }
        };
        for (key, value) in keys {
            metadata[key] = json!(value);
        }
        json!({"type": kind, "metadata": metadata})
    }
}

fn csv(load: &Load, rows: &[Row]) -> String {
    let mut text = "second,rate".to_owned();
    for Side { name, .. } in load.sides {
        for value in ["replicas", "ready", "oldest", "backlog"] {
            write!(text, ",\"{name}: {value}\"").unwrap();
        }
    }
    for (second, row) in rows.iter().enumerate() {
        write!(text, "\n{second},{}", row.rate).unwrap();
        for side in &row.sides {
            write!(text, ",{},{},{:.1},{}", side.replicas, side.ready, side.oldest, side.backlog).unwrap();
        }
    }
    text + "\n"
}

/// What the load cost on each side, and how old records became.
fn table(load: &Load, rows: &[Row]) -> String {
    let mut text = format!(
        "{:24}{:>8}{:>10}{:>18}{:>14}{:>14}{:>8}{:>11}\n",
        load.name, "over 10s", "oldest", "replica-s (load)", "ready (load)", "replica-s", "events", "reversals",
    );
    let first = usize::try_from(load.steps[0].0).unwrap();
    for (side, Side { name, .. }) in load.sides.iter().enumerate() {
        let side: Vec<_> = rows.iter().map(|row| row.sides[side]).collect();
        let over = side.iter().filter(|row| row.oldest > OBJECTIVE).count();
        let oldest = side.iter().map(|row| row.oldest).fold(0.0, f64::max);
        let (replicas, ready): (Vec<_>, Vec<_>) = side.iter().map(|row| (row.replicas, row.ready)).unzip();
        let changes: Vec<_> = replicas.windows(2).filter(|two| two[0] != two[1]).map(|two| two[1] > two[0]).collect();
        let reversals = changes.windows(2).filter(|two| two[0] != two[1]).count();
        let sum = |values: &[u32]| values.iter().sum::<u32>();
        writeln!(
            text,
            "{name:24}{over:>6} s{oldest:>8.1} s{:>18}{:>14}{:>14}{:>8}{reversals:>11}",
            sum(&replicas[first..]),
            sum(&ready[first..]),
            sum(&replicas),
            changes.len(),
        )
        .unwrap();
    }
    text
}
