//! What a sampling round costs the brokers and the scaler.
//!
//! Requests are counted where the scaler makes them.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::lag::{Observe as _, Report};
use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::source::Sources;
use keda_stream_scaler::telemetry::{Metrics, UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use keda_stream_scaler::tenancy::Connections;
use keda_stream_scaler::trigger::Trigger;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::committer::{Commit, commit};
use crate::driver::Driver;
use crate::kafka::three_nodes;
use crate::process::{Role, Usage, runtime};
use crate::source::scaled_object;
use crate::table::{Goal, Table};

const PATIENCE: Duration = Duration::from_secs(20);

fn requests(metrics: &UpstreamMetrics) -> u64 {
    let apis = [
        UpstreamApi::KafkaFindCoordinator,
        UpstreamApi::KafkaMetadata,
        UpstreamApi::KafkaOffsetFetch,
        UpstreamApi::KafkaListOffsets,
        UpstreamApi::KafkaDescribeGroups,
        UpstreamApi::KafkaDescribeShareGroupOffsets,
    ];
    apis.into_iter().map(|api| metrics.count(api, UpstreamOutcome::Ok)).sum()
}

fn trigger(number: usize, groups: usize, servers: &str) -> Trigger {
    let topic = format!("orders-{}", number % groups);
    Trigger::parse(&scaled_object(number, groups, servers, &[("topic", &topic)]).scaler_metadata).unwrap()
}

async fn ask_all(sampler: &Sampler<Sources>, objects: usize, groups: usize, servers: &str) {
    let mut asked = JoinSet::new();
    for number in 0..objects {
        let (sampler, trigger) = (sampler.clone(), trigger(number, groups, servers));
        asked.spawn(async move { sampler.ask("shop", &trigger, PATIENCE).await.unwrap() });
    }
    asked.join_all().await;
}

/// The first round with everything that is asked: it must not depend on how many ask.
pub fn same_requests_for_any_number_of_objects(table: &mut Table) {
    const GROUPS: usize = 1;
    let brokers = Role::Brokers.start("1 32");
    let mut counts = Vec::new();
    for objects in [1, 100, 10_000] {
        let metrics = Metrics::new("0", "none");
        let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
        let sampler = Sampler::new(sources, metrics.sampler.clone());
        runtime().block_on(ask_all(&sampler, objects, GROUPS, &brokers.address));
        counts.push(requests(&metrics.upstream));
        println!("{objects} ScaledObjects on one group: {} requests in a round", requests(&metrics.upstream));
    }
    let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    let name = "Kafka requests in a round, 1, 100 and 10,000 ScaledObjects on the same group: difference";
    table.add(name, spread as f64, "requests", Goal::Equals(0.0));
}

/// A real cluster of three nodes with so many topics of ten partitions, each read by a group of its own.
async fn real_cluster(groups: usize) -> String {
    let servers = three_nodes().bootstrap_servers();
    let topics: Vec<_> = (0..groups).map(|number| format!("orders-{number}")).collect();
    let driver = Driver::new(&servers);
    create(&driver, &topics).await;
    // the first commit makes the topic that commits are kept in
    driver.commit("first", &[("orders-0", 0, 0)]);
    let commits = (0..groups).zip(topics).flat_map(|(number, topic)| {
        (0..PARTITIONS).map(move |partition| Commit {
            group: format!("group-{number}"),
            topic: topic.clone(),
            partition,
            offset: 0,
        })
    });
    commit(&servers, commits.collect()).await;
    servers
}

const PARTITIONS: i32 = 10;

async fn create(driver: &Driver, names: &[String]) {
    let admin: AdminClient<DefaultClientContext> = driver.client(&[]);
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for names in names.chunks(50) {
        let topics = names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        let made = admin.create_topics(&topics.collect::<Vec<_>>(), &options).await.unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}

/// What reading costs, measured by a process that does nothing else.
#[derive(Serialize, Deserialize)]
struct Cost {
    /// Of each round after the first, in the order of the rounds.
    requests: Vec<u64>,
    wall_ms: Vec<f64>,
    /// Of one round, in the mean: the kernel counts hundredths of a second.
    cpu_ms: f64,
    threads: f64,
    memory_mib: f64,
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

pub fn groups(table: &mut Table) {
    let servers = runtime().block_on(real_cluster(1_000));
    for groups in [300, 1_000] {
        let reader = Role::Reader.start(&format!("{groups} 1 {servers}"));
        let cost: Cost = serde_json::from_str(&reader.address).unwrap();
        let name = format!("{groups} groups of 10 partitions on three real brokers");
        let requests = cost.requests.iter().map(|count| *count as f64).collect();
        table.add(format!("{name}: requests of a warm round"), median(requests), "requests", Goal::AtMost(6.0));
        let goals = if groups == 1_000 { [Goal::AtMost(10.0), Goal::AtMost(40.0)] } else { [Goal::Reported; 2] };
        table.add(format!("{name}: CPU of a warm round"), cost.cpu_ms, "ms", goals[0]);
        table.add(format!("{name}: duration of a warm round"), median(cost.wall_ms), "ms", goals[1]);
        let [threads, memory] =
            if groups == 300 { [Goal::Equals(0.0), Goal::AtMost(3.0)] } else { [Goal::Reported; 2] };
        table.add(format!("{name}: threads"), cost.threads, "threads", threads);
        table.add(format!("{name}: memory above idle"), cost.memory_mib, "MiB", memory);
    }
    let reader = Role::Reader.start(&format!("1 256 {servers}"));
    let cost: Cost = serde_json::from_str(&reader.address).unwrap();
    table.add("256 clusters of three brokers: memory above idle", cost.memory_mib, "MiB", Goal::AtMost(20.0));
    table.add("256 clusters of three brokers: threads", cost.threads, "threads", Goal::Equals(0.0));
}

/// Reads groups of clusters, some rounds without a pause, and prints the [`Cost`]. Clusters are the same one by other first brokers.
pub async fn read(line: &str) {
    const WARM_ROUNDS: usize = 50;
    let [groups, clusters, servers] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let (groups, clusters): (usize, usize) = (groups.parse().unwrap(), clusters.parse().unwrap());
    let metrics = UpstreamMetrics::default();
    let sources = Arc::new(Sources::new(Connections::unrestricted(), metrics.clone()));
    let idle = Usage::of("self");
    let due = |cluster: usize| {
        // nothing listens there: another cluster by its name only
        let servers = format!("{servers},127.0.0.1:{}", 1 + cluster);
        let due: Vec<_> = (0..groups).map(|number| Arc::new(trigger(number, groups, &servers).source)).collect();
        let backend = sources.admit("shop", &due[0]).unwrap();
        (backend, due)
    };
    let clusters: Vec<_> = (0..clusters).map(due).collect();
    let mut cost = Cost { requests: vec![], wall_ms: vec![], cpu_ms: 0.0, threads: 0.0, memory_mib: 0.0 };
    let mut cold = idle;
    for round in 0..=WARM_ROUNDS {
        let (sent, begun) = (requests(&metrics), Instant::now());
        let mut reading = JoinSet::new();
        for (backend, due) in clusters.clone() {
            let sources = sources.clone();
            let report: Report =
                Arc::new(|source, outcome| drop(outcome.unwrap_or_else(|error| panic!("{source}: {}", error.chain()))));
            reading.spawn(async move { sources.observe(&backend, due, report).await });
        }
        reading.join_all().await;
        if round == 0 {
            cold = Usage::of("self");
        } else {
            cost.requests.push(requests(&metrics) - sent);
            cost.wall_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    cost.cpu_ms = (Usage::of("self").cpu - cold.cpu).as_secs_f64() * 1000.0 / WARM_ROUNDS as f64;
    // the threads that made the clients have ended by then
    sleep(Duration::from_secs(12)).await;
    let after = Usage::of("self");
    cost.threads = after.threads - idle.threads;
    cost.memory_mib = after.anonymous_mib - idle.anonymous_mib;
    println!("{}", serde_json::to_string(&cost).unwrap());
}
