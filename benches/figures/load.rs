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

use crate::process::{Role, Running, runtime};
use crate::source::scaled_object;
use crate::table::{Goal, Table};

const OBJECTS: usize = 10_000;
const GROUPS: usize = 1000;
const CONNECTIONS: usize = 4;

/// KEDA's own loop polls every 30 s, the HPA's path every 15 s: nine calls for each ScaledObject.
const CYCLE: Duration = Duration::from_secs(30);
const POLLS_A_CYCLE: usize = 3;

const MAX_STALENESS: Duration = Duration::from_secs(40);

pub fn measure(table: &mut Table) {
    let mut scaler = Role::Scaler.start("");
    let runtime = runtime();
    let objects: Arc<Vec<_>> = Arc::new(
        (0..OBJECTS).map(|number| scaled_object(number, GROUPS, "b:9092", &[("maxStaleness", "40s")])).collect(),
    );
    runtime.block_on(async {
        let clients = clients(&scaler).await;
        // every group is known before anything is measured
        for about in objects.iter().take(GROUPS) {
            clients[0].clone().is_active(about.clone()).await.unwrap();
        }
        let before = scaler.usage();
        let begun = Instant::now();
        let seen = cycle(&clients, &objects).await;
        let after = scaler.usage();
        let core = (after.cpu - before.cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
        let name = "10,000 ScaledObjects, 1,000 groups of 32 partitions, 9 RPCs in 30 s each";
        table.add(format!("{name}: p99"), p99(&seen), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors"), errors(&seen) as f64, "", Goal::Equals(0.0));
        table.add(format!("{name}: CPU of the scaler"), core, "% of a core", Goal::Below(15.0));
        table.add(format!("{name}: memory"), after.resident_mib, "MiB", Goal::Below(64.0));

        scaler.tell("fall silent");
        let silent_at = Instant::now();
        let silent = cycle(&clients, &objects).await;
        let name = "the same while the source is silent";
        table.add(format!("{name}: p99"), p99(&silent), "ms", Goal::Below(5.0));
        table.add(format!("{name}: errors in its first 30 s"), errors(&silent) as f64, "", Goal::Equals(0.0));
        let (first_error, last_good) = turning_point(&clients[0], &objects[0], silent_at).await;
        println!("last good answer {last_good:.1} s, first error {first_error:.1} s after the source fell silent");
        // the last reading began at most one poll interval (10 s) before the silence
        let late =
            (first_error - MAX_STALENESS.as_secs_f64()).max(MAX_STALENESS.as_secs_f64() - 10.0 - first_error).max(0.0);
        table.add(format!("{name}: first error off maxStaleness after the last reading"), late, "s", Goal::Below(0.2));
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

async fn cycle(clients: &[ExternalScalerClient<Channel>], objects: &Arc<Vec<ScaledObjectRef>>) -> Vec<Seen> {
    let begun = Instant::now() + Duration::from_millis(100);
    let polls = OBJECTS * POLLS_A_CYCLE;
    let mut running = JoinSet::new();
    for poll in 0..polls {
        let due = begun + CYCLE.mul_f64(poll as f64 / polls as f64);
        sleep_until(due).await;
        let (mut client, objects) = (clients[poll % CONNECTIONS].clone(), objects.clone());
        running.spawn(async move { poll_once(&mut client, &objects[poll % OBJECTS]).await });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// In KEDA's order, each call timed from the end of the one before.
async fn poll_once(client: &mut ExternalScalerClient<Channel>, about: &ScaledObjectRef) -> [Seen; 3] {
    let begun = Instant::now();
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

/// Seconds after the silence of the first error, and of the good answer before it.
async fn turning_point(
    client: &ExternalScalerClient<Channel>,
    about: &ScaledObjectRef,
    silent_at: Instant,
) -> (f64, f64) {
    let mut client = client.clone();
    let mut last_good = silent_at.elapsed();
    loop {
        if client.is_active(about.clone()).await.is_err() {
            return (silent_at.elapsed().as_secs_f64(), last_good.as_secs_f64());
        }
        last_good = silent_at.elapsed();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
