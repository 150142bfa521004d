//! What a sampling round costs the brokers and the scaler.
//!
//! `BENCH_KAFKA_BOOTSTRAP` names a real cluster, whose topics `orders-0` to `orders-299` of ten partitions must be there;
//! without it the brokers are librdkafka's mock cluster in a process of its own.

use std::time::Duration;

use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::source::{Connections, Sources};
use keda_stream_scaler::telemetry::{Metrics, UpstreamApi, UpstreamMetrics, UpstreamOutcome};
use keda_stream_scaler::trigger::Trigger;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::process::{Role, Usage, runtime};
use crate::source::scaled_object;
use crate::table::{Goal, Table};

const PATIENCE: Duration = Duration::from_secs(20);

pub fn measure(table: &mut Table) {
    same_requests_for_any_number_of_objects(table);
    three_hundred_groups(table);
}

fn requests(metrics: &UpstreamMetrics) -> u64 {
    let apis = [
        UpstreamApi::KafkaDescribeTopics,
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
fn same_requests_for_any_number_of_objects(table: &mut Table) {
    const GROUPS: usize = 1;
    let brokers = Role::Brokers.start("1 32");
    let mut counts = Vec::new();
    for objects in [1, 100, 10_000] {
        let metrics = Metrics::new("0", "none");
        let sources = Sources::new(Connections::default(), metrics.upstream.clone());
        let sampler = Sampler::new(sources, metrics.sampler.clone());
        runtime().block_on(ask_all(&sampler, objects, GROUPS, &brokers.address));
        counts.push(requests(&metrics.upstream));
        println!("{objects} ScaledObjects on one group: {} requests in a round", requests(&metrics.upstream));
    }
    let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    let name = "Kafka requests in a round, 1, 100 and 10,000 ScaledObjects on the same group: difference";
    table.add(name, spread as f64, "requests", Goal::Equals(0.0));
}

fn three_hundred_groups(table: &mut Table) {
    const GROUPS: usize = 300;
    let real = std::env::var("BENCH_KAFKA_BOOTSTRAP").ok();
    let mock = real.is_none().then(|| Role::Brokers.start("300 10"));
    let servers = real.clone().unwrap_or_else(|| mock.as_ref().unwrap().address.clone());
    let on = if real.is_some() { "on a real cluster" } else { "on the mock cluster" };
    let name = format!("300 groups of 10 partitions, one round {on}");
    let metrics = Metrics::new("0", "none");
    let sources = Sources::new(Connections::default(), metrics.upstream.clone());
    let sampler = Sampler::new(sources, metrics.sampler.clone());
    let runtime = runtime();
    runtime.block_on(async {
        let idle = Usage::of("self");
        ask_all(&sampler, GROUPS, GROUPS, &servers).await;
        // a later round, warm: the first one also connects
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            sleep(Duration::from_millis(100)).await;
        }
        let (before, requests_before) = (Usage::of("self"), requests(&metrics.upstream));
        let (mut after, mut sent) = (before, 0);
        let begun = Instant::now();
        while sent < 300 && begun.elapsed() < Duration::from_secs(15) {
            sleep(Duration::from_millis(20)).await;
            (after, sent) = (Usage::of("self"), requests(&metrics.upstream) - requests_before);
        }
        sleep(Duration::from_millis(500)).await;
        let sent = requests(&metrics.upstream) - requests_before;
        let cpu = Usage::of("self").cpu.max(after.cpu) - before.cpu;
        // librdkafka's look-up of each coordinator is not counted by us: at most one a group
        table.add(
            format!("{name}: requests, with a coordinator look-up for each group"),
            (sent + 300) as f64,
            "requests",
            Goal::Below(700.0),
        );
        table.add(format!("{name}: threads of the client"), after.threads - idle.threads, "threads", Goal::Below(12.0));
        table.add(
            format!("{name}: memory above idle"),
            after.resident_mib - idle.resident_mib,
            "MiB",
            Goal::Below(10.0),
        );
        table.add(format!("{name}: CPU"), cpu.as_secs_f64() * 1000.0, "ms", Goal::Below(100.0));
    });
    if real.is_none() {
        let why = "name a real one in BENCH_KAFKA_BOOTSTRAP";
        table.missing(
            "300 groups of 10 partitions, one round on a real three-node cluster: requests",
            why,
            "requests",
            Goal::Below(700.0),
        );
    }
}
