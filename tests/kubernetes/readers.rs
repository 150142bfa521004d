//! A stream that the controller resizes while a real KCL reads it: what the scaler says of the application meanwhile.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::scaling::catch_up::CatchUpStep;
use keda_stream_scaler::scaling::{Step, decide};
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::aws_services::{Consumer, Endpoint, aws_services};
use crate::cluster::Cluster;
use crate::controller::Scene;
use crate::truth::records::{Compared, Truth};
use crate::truth::scaler::Scaler;

const STREAM: &str = "orders";
const APPLICATION: &str = "order-service";
const SECOND: Duration = Duration::from_secs(1);
/// Records per second; each takes a worker this long, and one shard is read at a time by one thread.
const LOAD: u32 = 16;
const RECORD_TAKES: Duration = Duration::from_millis(100);
const THREE_HOURS: i64 = 3 * 3600;

struct Readers {
    scene: Scene,
    truth: Truth,
    /// Reads by `scaleOn: age`, without a shared sample.
    age: Scaler,
    sampler: Sampler<Sources>,
    catch_up: Trigger,
    workers: Vec<Consumer>,
    /// Kilobytes per second that `catchUp` expects.
    arrivals: Option<f64>,
    begun: Instant,
}

pub async fn run() -> bool {
    let scene = Scene::start(Cluster::start_api().await).await;
    let services = block_in_place(aws_services);
    let endpoint = services.endpoint().await;
    let truth = Truth::new(STREAM, 2).await;
    scene.aws.written(STREAM, |_| Some([0.0, 12_000.0, 0.0]));
    let variables = format!(
        "AWS_ENDPOINT_URL_KINESIS={0} AWS_ENDPOINT_URL_DYNAMODB={0} AWS_ENDPOINT_URL_CLOUDWATCH={1}",
        endpoint.address,
        scene.aws.endpoint()
    );
    let _controller = scene.controller_with("first", &variables, "");
    let object = json!({"consumers": [{"applicationName": APPLICATION}]});
    scene.object("shop", STREAM, STREAM, object).await;

    let application = [("streamName", STREAM), ("applicationName", APPLICATION)];
    let age = Scaler::new("aws-kinesis-stream", &[&application[..], &[("scaleOn", "age")]].concat()).await;
    // workers that start together on a new application may race for its tables
    let first = services.kcl(APPLICATION, STREAM, "worker-1");
    first.wait_for("start", 2).await;
    let workers = vec![first, services.kcl(APPLICATION, STREAM, "worker-2")];
    let catch_up = catch_up(&services.endpoint().await, &application);
    let rules = scene.cluster.directory.join("endpoints.yaml");
    fs::write(&rules, "metadata: [{namespaces: [shop], awsEndpoints: ['http://127.0.0.1:*']}]").unwrap();
    let metrics = Metrics::new("0", "none");
    let sources = Sources::new(Connections::read(&rules).unwrap(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let begun = Instant::now();
    let mut readers = Readers { scene, truth, age, sampler, catch_up, workers, arrivals: None, begun };

    readers.scene.wait("shop", STREAM, "AtTarget", "True AtTarget").await;
    for worker in &readers.workers {
        worker.delay(RECORD_TAKES);
    }
    // the second worker gets a shard once there is a load, and rates need two readings and checkpoints between them
    while readers.workers[1].events("start").is_empty() {
        readers.round("begin", LOAD).await;
        assert!(begun.elapsed() < SECOND * 90, "worker-2 gets no shard");
    }
    readers.work("before", 40, 2).await;
    readers.resize("up", 4, LOAD).await;
    readers.work("after it", 20, 4).await;
    // writes end; the rest after a raise is over by this clock, by which an unread record would be three hours old
    readers.drain().await;
    readers.scene.aws.skew_clock(THREE_HOURS);
    endpoint.skew_clock(THREE_HOURS);
    readers.resize("down", 2, 0).await;
    readers.work("after it", 40, 2).await;
    readers.resize("up again", 4, LOAD).await;
    readers.work("after it", 20, 4).await;
    readers.drain().await;
    true
}

impl Readers {
    /// Through `/scale`, until the stream is there and one round longer.
    async fn resize(&mut self, what: &str, shards: u32, load: u32) {
        let before = self.round(what, load).await;
        self.scene.scale(STREAM, shards).await;
        let (scaled, mut there) = (Instant::now(), false);
        while !there {
            let status = self.scene.find("shop", STREAM).await["status"].clone();
            there = (&status["shards"], &status["why"]) == (&shards.into(), &"AtTarget".into());
            assert!(scaled.elapsed() < SECOND * 120, "{what}: {status:#}");
            let requested = self.round(what, load).await;
            // new shards that no worker has read yet are no reason to expect less, or to request fewer
            let arrivals = self.arrivals.unwrap();
            assert!(load == 0 || arrivals > 0.6 * f64::from(LOAD), "{what}: {arrivals} kilobytes per second");
            assert!(load == 0 || requested >= before, "{what}: {requested} consumers, {before} before");
        }
        println!("{what}: {shards} shards after {:.0} s", scaled.elapsed().as_secs_f64());
    }

    /// With a load, until what is requested has settled.
    async fn work(&mut self, what: &str, rounds: u32, shards: u32) {
        let mut requested = 0;
        for _ in 0..rounds {
            requested = self.round(what, LOAD).await;
        }
        assert!((1..=shards).contains(&requested), "{what}: {requested} consumers for {shards} shards");
    }

    async fn drain(&mut self) {
        let workers: Vec<_> = self.workers.iter().collect();
        let compared = self.truth.follow_to_the_end(&self.age, &workers).await;
        compared.iter().for_each(|compared| self.check("drain", compared));
        self.age.wait_until_caught_up().await;
    }

    /// Puts records for a moment, compares the age with the truth, and returns the consumers that `catchUp` requests.
    async fn round(&mut self, what: &str, load: u32) -> u32 {
        let workers: Vec<_> = self.workers.iter().collect();
        let compared = self.truth.follow((&self.age, &workers), 1, load).await;
        compared.iter().for_each(|compared| self.check(what, compared));
        let answer = self.sampler.ask("shop", &self.catch_up, SECOND * 10).await.unwrap();
        let decision = decide(&self.catch_up.policy, &self.catch_up.source, &answer.sample).unwrap();
        let steps: Vec<_> = decision.steps.iter().map(ToString::to_string).collect();
        println!("{} consumers: {}", decision.value, steps.join("; "));
        for step in &decision.steps {
            if let Step::CatchUp(CatchUpStep::Arrivals { per_second, .. }) = step {
                self.arrivals = Some(per_second.get());
            }
        }
        let requested = decision.value.ceil();
        assert!(requested <= 4, "{what}: {requested} consumers, and never more shards that can be read");
        u32::try_from(requested).unwrap()
    }

    fn check(&self, what: &str, compared: &Compared) {
        assert!(compared.below() < SECOND / 5, "{what}: an age below the truth: {compared:?}");
        let (ours, truth) = (compared.ours.as_secs_f64(), compared.truth().as_secs_f64());
        print!("{:5.1} s {what}: age {ours:.1} s, truth {truth:.1} s; ", self.begun.elapsed().as_secs_f64());
    }
}

fn catch_up(endpoint: &Endpoint, application: &[(&str, &str)]) -> Trigger {
    let base = [
        ("source", "aws-kinesis-stream"),
        ("scaleOn", "catchUp"),
        ("maxAge", "30s"),
        ("pollInterval", "2s"),
        ("awsRegion", "us-east-1"),
        ("awsEndpoint", &endpoint.address),
        ("awsAccessKeyID", "test"),
        ("awsSecretAccessKey", "test"),
    ];
    let metadata = base.iter().chain(application).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Trigger::parse(&metadata.collect::<HashMap<_, _>>()).unwrap()
}
