//! What an active push stream costs while its source is silent.

use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use tokio::time::{Instant, sleep};

use crate::process::Role;
use crate::source::scaled_object;
use crate::table::{Goal, Table};

const MAX_STALENESS: Duration = Duration::from_secs(20);
/// An active stream repeats its value this often.
const REPEATED: Duration = Duration::from_secs(60);

/// The source has been silent for longer than answers and repeats last.
pub async fn silent_source() -> Table {
    const MEASURED: Duration = Duration::from_secs(20);
    let mut scaler = Role::Scaler.start("");
    let metadata = [("maxStaleness", "20s"), ("pollInterval", "2s")];
    let about = scaled_object(0, 1, "b:9092", &metadata);
    let mut client = ExternalScalerClient::connect(scaler.address.clone()).await.unwrap();
    let mut stream = client.stream_is_active(about).await.unwrap().into_inner();
    while !stream.message().await.unwrap().unwrap().result {}
    scaler.tell("fall silent");
    let reading = tokio::spawn(async move { while stream.message().await.unwrap().is_some() {} });
    sleep(MAX_STALENESS + REPEATED + Duration::from_secs(5)).await;
    let (before, begun) = (scaler.usage().cpu, Instant::now());
    sleep(MEASURED).await;
    let core = (scaler.usage().cpu - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    assert!(!reading.is_finished(), "the stream has ended");
    reading.abort();
    let mut table = Table::default();
    let name = "an active push stream, its source silent for longer than maxStaleness + 60 s: CPU of the scaler";
    table.add(name, core, "% of a core", Goal::Below(1.0));
    table
}
