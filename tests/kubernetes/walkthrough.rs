//! A Kinesis stream of two shards, then three, read by real KCL workers that are scaled by `shardCount`, `age` and `catchUp` in turn.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ScalingType;
use aws_smithy_types::Blob;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{Instant, interval};

use crate::aws_services::{Endpoint, aws_services, programs};
use crate::cluster::Cluster;
use crate::process::eventually;
use crate::scaler::Scaler;
use crate::scenario::{Scenario, State, scaled_object};

const STREAM: &str = "orders";
const APPLICATION: &str = "order-service";
/// A new application creates its tables, and workers pass on leases within tens of seconds.
const KCL_SECONDS: u64 = 180;
/// How long a worker takes for a record while there is a load, in milliseconds.
const DELAY: &str = "200";

/// The capacity is in kilobytes per second.
const CATCH_UP: &[(&str, &str)] = &[
    ("scaleOn", "catchUp"),
    ("maxAge", "30s"),
    ("scaleDownStabilizationWindow", "15s"),
    ("capacityPerConsumer", "15"),
];

struct Walkthrough {
    kinesis: Client,
    endpoint: Endpoint,
    scaler: Scaler,
    scenario: Scenario,
}

/// Runs the three policies one after the other on the same stream and workers.
pub async fn run() -> bool {
    let cluster = Cluster::start().await;
    let services = block_in_place(aws_services);
    let kinesis = services.clients().await.kinesis;
    let endpoint = services.endpoint().await;
    let scaler = Scaler::start(&cluster.directory, "scaler").await;
    kinesis.create_stream().stream_name(STREAM).shard_count(2).send().await.unwrap();
    wait_until_active(&kinesis).await;

    let delay = cluster.directory.join("delay");
    fs::write(&delay, "0").unwrap();
    let shard_count = spec(&scaler, &endpoint, "AverageValue", &[("scaleOn", "shardCount"), ("shardCount", "1")]);
    let worker = worker(&endpoint.address, &delay);
    let scenario = Scenario::create(&cluster.api, "walkthrough", &worker, 1, &shard_count).await;
    let walkthrough = Walkthrough { kinesis, endpoint, scaler, scenario };

    walkthrough.by_shard_count(&cluster.directory).await;
    fs::write(&delay, DELAY).unwrap();
    walkthrough.by_load("age", "Value", &[("scaleOn", "age"), ("ageThreshold", "5s")], 3).await;
    walkthrough.by_load("catchUp", "AverageValue", CATCH_UP, 2).await;
    true
}

impl Walkthrough {
    /// A replica per shard, after a reshard too.
    async fn by_shard_count(&self, logs: &Path) {
        let begun = Instant::now();
        self.scenario.wait("2 replicas for 2 shards", 60, |state| (state.replicas, state.ready) == (2, 2)).await;
        report("shardCount: 2 shards, 2 replicas", begun);
        // an application that starts after a reshard does not find its shards on this server
        let leases = Duration::from_secs(KCL_SECONDS);
        eventually("the workers have both shards", leases, async || {
            let started = lines(logs, "start ");
            if started >= 2 { Ok(()) } else { Err(format!("{started} shards")) }
        })
        .await;
        report("shardCount: the workers have both shards", begun);
        let reshard = self.kinesis.update_shard_count().stream_name(STREAM).target_shard_count(3);
        reshard.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        let begun = Instant::now();
        self.scenario.wait("3 replicas for 3 shards", 60, |state| (state.replicas, state.ready) == (3, 3)).await;
        report("shardCount: 3 shards, 3 replicas", begun);
    }

    /// Few replicas without a load, `most` at least under one, and one again after it.
    async fn by_load(&self, name: &str, metric_type: &str, metadata: &[(&str, &str)], most: u32) {
        self.scenario.delete_scaled_object().await;
        let spec = spec(&self.scaler, &self.endpoint, metric_type, metadata);
        self.scenario.create_scaled_object(&spec).await;
        let begun = Instant::now();
        self.scenario.wait("1 replica without a load", KCL_SECONDS, |state| state.replicas == 1).await;
        report(&format!("{name}: 1 replica without a load"), begun);
        let (load, begun) = (self.load(25), Instant::now());
        let steps = self.wait("more replicas", |state| state.replicas >= most).await;
        report(&format!("{name}: replicas {steps:?} under load"), begun);
        load.abort();
        let begun = Instant::now();
        let steps = self.wait("1 replica after the load", |state| state.replicas == 1).await;
        report(&format!("{name}: replicas {steps:?} after the load"), begun);
    }

    /// Waits as the scenario does, and prints the scaler's decisions if that fails.
    async fn wait(&self, what: &str, check: impl Fn(&State) -> bool) -> Vec<u32> {
        self.scaler.explain(STREAM, self.scenario.wait(what, KCL_SECONDS, check)).await
    }

    /// Puts records of a kilobyte until it is aborted.
    fn load(&self, per_second: u32) -> JoinHandle<()> {
        let kinesis = self.kinesis.clone();
        tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / per_second);
            for number in 0_u64.. {
                ticks.tick().await;
                let record = kinesis.put_record().stream_name(STREAM).partition_key(number.to_string());
                record.data(Blob::new([b'x'; 1000])).send().await.unwrap();
            }
        })
    }
}

/// A KCL worker for which each record takes as many milliseconds as `delay` contains.
fn worker(endpoint: &str, delay: &Path) -> Vec<String> {
    let (classes, delay) = (format!("{0}/classes:{0}/lib/*", programs().join("kcl").display()), delay.display());
    let command = format!(
        "env STREAM={STREAM} APP={APPLICATION} KINESIS_ENDPOINT={endpoint} DYNAMODB_ENDPOINT={endpoint} DELAY_FILE={delay} \
         java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -cp {classes} KclConsumer"
    );
    command.split(' ').map(str::to_owned).collect()
}

fn spec(scaler: &Scaler, endpoint: &Endpoint, metric_type: &str, more: &[(&str, &str)]) -> Value {
    let mut metadata = json!({
        "scalerAddress": scaler.address, "source": "aws-kinesis-stream", "streamName": STREAM,
        "awsRegion": "us-east-1", "awsEndpoint": endpoint.address, "pollInterval": "2s",
        "awsAccessKeyID": "test", "awsSecretAccessKey": "test",
    });
    if more[0].1 != "shardCount" {
        metadata["applicationName"] = json!(APPLICATION);
    }
    for (key, value) in more {
        metadata[key] = json!(value);
    }
    let trigger = json!({"type": "external", "metricType": metric_type, "metadata": metadata});
    scaled_object(&trigger, json!({"maxReplicaCount": 3}))
}

async fn wait_until_active(kinesis: &Client) {
    eventually("the stream is active", Duration::from_secs(20), async || {
        let summary = kinesis.describe_stream_summary().stream_name(STREAM).send().await.unwrap();
        let status = summary.stream_description_summary.unwrap().stream_status;
        if status.as_str() == "ACTIVE" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

/// Lines that begin so in the logs of all pods.
fn lines(logs: &Path, prefix: &str) -> usize {
    let files = fs::read_dir(logs).unwrap().map(|file| file.unwrap().path());
    let pods = files.filter(|file| {
        file.to_string_lossy().contains("walkthrough-") && file.extension().is_some_and(|it| it == "log")
    });
    pods.map(|file| fs::read_to_string(file).unwrap().lines().filter(|line| line.starts_with(prefix)).count()).sum()
}

fn report(what: &str, begun: Instant) {
    println!("walkthrough: {what} after {:.0} s", begun.elapsed().as_secs_f64());
}
