//! 10,000 ScaledObjects in KEDA's pattern of calls, at the times they are due whatever the answers take; then with a source
//! that has fallen silent.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::process::{Role, Running, caller_runtime, time_of_day};
use crate::source::{catch_up_object, scaled_object, stream_object};
use crate::table::{Goal, Table};

const OBJECTS: usize = 10_000;
const GROUPS: usize = 1000;
const CONNECTIONS: usize = 4;

/// KEDA's own loop polls every 30 s, the HPA's path every 15 s: nine calls for each ScaledObject.
const CYCLE: Duration = Duration::from_secs(30);
const POLLS_A_CYCLE: usize = 3;

/// Longer than a cycle and an interval, so that a whole cycle is answered from the last good reading.
const MAX_STALENESS: Duration = Duration::from_secs(45);

pub fn measure(table: &mut Table) {
    let mut scaler = Role::Scaler.start("");
    let runtime = caller_runtime();
    let objects: Arc<Vec<_>> = Arc::new(
        (0..OBJECTS).map(|number| scaled_object(number, GROUPS, "b:9092", &[("maxStaleness", "45s")])).collect(),
    );
    runtime.block_on(async {
        let clients = clients(&scaler).await;
        // every group is known before anything is measured
        for about in objects.iter().take(GROUPS) {
            clients[0].clone().is_active(about.clone()).await.unwrap();
        }
        let (seen, core) = cycle_of(&scaler, &clients, &objects).await;
        let name = "10,000 ScaledObjects, 1,000 groups of 32 partitions, 9 RPCs in 30 s each";
        table.add(format!("{name}: p99"), p99(&seen), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors"), errors(&seen) as f64, "", Goal::Equals(0.0));
        table.add(format!("{name}: CPU of the scaler"), core, "% of a core", Goal::Below(15.0));
        table.add(format!("{name}: memory"), scaler.usage().resident_mib, "MiB", Goal::Below(64.0));
        let constant = cpu_of_constant_answers(&objects).await;
        table.add(format!("{name}: CPU against constant answers"), core / constant, "", Goal::Below(1.4));

        scaler.tell("fall silent");
        let silent = cycle(&clients, &objects).await;
        let name = "the same while the source is silent";
        table.add(format!("{name}: p99"), p99(&silent), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors before maxStaleness"), errors(&silent) as f64, "", Goal::Equals(0.0));
        let first_error_at = first_error(&clients[0], &objects[0]).await;
        // the scaler's process tells when the last reading of this group began
        let last_reading_at: Duration = Duration::from_millis(scaler.ask("group-0").parse().unwrap());
        let late = first_error_at.as_secs_f64() - (last_reading_at + MAX_STALENESS).as_secs_f64();
        table.add(format!("{name}: first error off maxStaleness by"), late.abs(), "s", Goal::Below(0.1));
    });
}

/// What the same calls cost a server of the same contract that has nothing to find out, in percent of a core.
async fn cpu_of_constant_answers(objects: &Arc<Vec<ScaledObjectRef>>) -> f64 {
    let server = Role::NoOp.start("");
    let clients = clients(&server).await;
    cycle_of(&server, &clients, objects).await.1
}

/// The same calls about applications on 100 streams.
pub fn streams(table: &mut Table) {
    const STREAMS: usize = 100;
    let scaler = Role::Scaler.start("");
    let objects: Arc<Vec<_>> = Arc::new((0..OBJECTS).map(|number| stream_object(number, STREAMS)).collect());
    caller_runtime().block_on(async {
        let clients = clients(&scaler).await;
        for about in objects.iter().take(STREAMS) {
            clients[0].clone().is_active(about.clone()).await.unwrap();
        }
        let seen = cycle(&clients, &objects).await;
        let name = "10,000 ScaledObjects on 100 streams of 100 shards";
        table.add(format!("{name}: p99"), p99(&seen), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors"), errors(&seen) as f64, "", Goal::Equals(0.0));
        table.add(format!("{name}: memory"), scaler.usage().resident_mib, "MiB", Goal::Below(64.0));
    });
}

/// The same calls about the consumers that are needed: ten policies on each of 1,000 groups.
pub fn catch_up(table: &mut Table) {
    let scaler = Role::Scaler.start("");
    let objects: Arc<Vec<_>> = Arc::new((0..OBJECTS).map(|number| catch_up_object(number, GROUPS)).collect());
    caller_runtime().block_on(async {
        let clients = clients(&scaler).await;
        for about in objects.iter().take(GROUPS) {
            clients[0].clone().is_active(about.clone()).await.unwrap();
        }
        // every policy is known, and remembers something
        cycle(&clients, &objects).await;
        let (seen, core) = cycle_of(&scaler, &clients, &objects).await;
        let name = "10,000 ScaledObjects with catchUp on 1,000 groups of 32 partitions";
        table.add(format!("{name}: p99"), p99(&seen), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors"), errors(&seen) as f64, "", Goal::Equals(0.0));
        table.add(format!("{name}: CPU of the scaler"), core, "% of a core", Goal::Below(20.0));
        table.add(format!("{name}: memory"), scaler.usage().resident_mib, "MiB", Goal::Below(96.0));
    });
}

/// How long a call took from the time it was due, and its error.
type Seen = (Duration, Option<Code>);

async fn clients(scaler: &Running) -> Vec<ExternalScalerClient<Channel>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(ExternalScalerClient::connect(scaler.address.clone()).await.unwrap());
    }
    clients
}

/// A cycle, and the CPU that it took the server, in percent of a core.
async fn cycle_of(
    server: &Running,
    clients: &[ExternalScalerClient<Channel>],
    objects: &Arc<Vec<ScaledObjectRef>>,
) -> (Vec<Seen>, f64) {
    let before = server.usage();
    let begun = Instant::now();
    let seen = cycle(clients, objects).await;
    let spent = server.usage().cpu - before.cpu;
    (seen, spent.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

async fn cycle(clients: &[ExternalScalerClient<Channel>], objects: &Arc<Vec<ScaledObjectRef>>) -> Vec<Seen> {
    let begun = Instant::now() + Duration::from_millis(100);
    let polls = OBJECTS * POLLS_A_CYCLE;
    let mut running = JoinSet::new();
    for poll in 0..polls {
        let due = begun + CYCLE.mul_f64(poll as f64 / polls as f64);
        sleep_until(due).await;
        let (mut client, objects) = (clients[poll % CONNECTIONS].clone(), objects.clone());
        running.spawn(async move { poll_once(&mut client, &objects[poll % OBJECTS], due).await });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// In KEDA's order: the first call is timed from when it was due, each other from the end of the one before, which is when
/// KEDA makes it.
async fn poll_once(client: &mut ExternalScalerClient<Channel>, about: &ScaledObjectRef, begun: Instant) -> [Seen; 3] {
    let spec = client.get_metric_spec(about.clone()).await.map(drop);
    let spec_at = begun.elapsed();
    let request = GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: "kafka-orders".into() };
    let value = client.get_metrics(request).await.map(drop);
    let value_at = begun.elapsed();
    let active = client.is_active(about.clone()).await.map(drop);
    let active_at = begun.elapsed();
    let code = |outcome: Result<(), Status>| outcome.err().map(|status| status.code());
    [(spec_at, code(spec)), (value_at - spec_at, code(value)), (active_at - value_at, code(active))]
}

fn p99(seen: &[Seen]) -> f64 {
    let mut took: Vec<_> = seen.iter().map(|(took, _)| *took).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100].as_secs_f64() * 1000.0
}

fn errors(seen: &[Seen]) -> usize {
    seen.iter().filter(|(_, error)| error.is_some()).count()
}

/// The time of day of the first error.
async fn first_error(client: &ExternalScalerClient<Channel>, about: &ScaledObjectRef) -> Duration {
    let mut client = client.clone();
    while client.is_active(about.clone()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    time_of_day()
}
