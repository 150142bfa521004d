//! What a sampling round costs the brokers and the scaler.
//!
//! Requests are counted where the scaler makes them.

use std::time::Duration;

use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::source::{Connections, Sources};
use keda_stream_scaler::telemetry::{Metrics, UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use keda_stream_scaler::trigger::Trigger;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

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

const THREE_HUNDRED: usize = 300;

/// A real cluster of three nodes, with what is to be read; the tests start theirs in the same way.
async fn real_cluster() -> String {
    const AT_ONCE: usize = 10;
    let servers = three_nodes().bootstrap_servers();
    let mut made = JoinSet::new();
    for number in 0..THREE_HUNDRED {
        if made.len() == AT_ONCE {
            made.join_next().await.unwrap().unwrap();
        }
        let driver = Driver::new(&servers);
        made.spawn(async move {
            let topic = format!("orders-{number}");
            driver.create_topic(&topic, 10, 1, &[]).await;
            let commits: Vec<_> = (0..10).map(|partition| (topic.as_str(), partition, 0)).collect();
            tokio::task::block_in_place(|| driver.commit(&format!("group-{number}"), &commits));
        });
    }
    made.join_all().await;
    servers
}

pub fn three_hundred_groups(table: &mut Table) {
    let servers = runtime().block_on(real_cluster());
    // a process that has done nothing else tells what the reading alone takes
    let measured = Role::Reader.start(&servers).address.clone();
    let [requests, threads, memory, cpu]: [f64; 4] = serde_json::from_str(&measured).unwrap();
    let name = "300 groups of 10 partitions, one round on a real three-node cluster";
    table.add(format!("{name}: requests"), requests, "requests", Goal::Below(700.0));
    table.add(format!("{name}: threads"), threads, "threads", Goal::Below(12.0));
    table.add(format!("{name}: memory above idle"), memory, "MiB", Goal::Below(10.0));
    table.add(format!("{name}: CPU"), cpu, "ms", Goal::Below(100.0));
}

/// Reads for some rounds and prints requests, threads, MiB above idle, and milliseconds of CPU of a round.
pub async fn read(servers: &str) {
    const ROUNDS: u32 = 3;
    const INTERVAL: Duration = Duration::from_secs(10);
    const COORDINATORS: f64 = 3.0;
    let metrics = Metrics::new("0", "none");
    let sources = Sources::new(Connections::unrestricted(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let idle = Usage::of("self");
    ask_all(&sampler, THREE_HUNDRED, THREE_HUNDRED, servers).await;
    // the first round also connects; what follows is warm
    sleep(Duration::from_secs(1)).await;
    let (before, requests_before, begun) = (Usage::of("self"), requests(&metrics.upstream), Instant::now());
    sleep(INTERVAL * ROUNDS).await;
    let (after, sent) = (Usage::of("self"), requests(&metrics.upstream) - requests_before);
    // intervals are jittered, so rounds are counted by their requests to each coordinator
    let fetches = metrics.upstream.count(UpstreamApi::KafkaOffsetFetch, UpstreamOutcome::Ok) as f64;
    let rounds = (fetches / COORDINATORS - 1.0).max(1.0);
    assert!(begun.elapsed() >= INTERVAL * ROUNDS);
    let requests = sent as f64 / rounds;
    let cpu = (after.cpu - before.cpu).as_secs_f64() * 1000.0 / rounds;
    println!("[{requests}, {}, {}, {cpu}]", after.threads - idle.threads, after.resident_mib - idle.resident_mib);
}
