//! Push streams: how soon an idle group wakes up, and what an active stream costs while its source is silent.

use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::driver::{Driver, WITHIN};
use crate::kafka::three_nodes;
use crate::process::{Role, runtime};
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

/// From the acknowledgement of a record to the message that its group is active.
pub fn wake_up(table: &mut Table) {
    let mut took = runtime().block_on(wake_ups());
    took.sort();
    let name = "an idle Kafka group with external-push, on three real brokers: from a record to its wake-up";
    table.add(format!("{name}, p50"), took[took.len() / 2].as_secs_f64(), "s", Goal::AtMost(0.3));
    table.add(format!("{name}, longest of {}", took.len()), took[took.len() - 1].as_secs_f64(), "s", Goal::Reported);
}

async fn wake_ups() -> Vec<Duration> {
    const WAKE_UPS: u32 = 21;
    const TOPIC: &str = "seldom";
    const GROUP: &str = "sleepers";
    const POLL_INTERVAL: Duration = Duration::from_secs(2);
    let servers = three_nodes().bootstrap_servers();
    let driver = Driver::new(&servers);
    driver.create_topic(TOPIC, 1, 1, &[]).await;
    driver.commit(GROUP, &[(TOPIC, 0, 0)]);
    let scaler = Role::KafkaScaler.start("");
    let metadata = [("topic", TOPIC), ("consumerGroup", GROUP), ("pollInterval", "2s")];
    let about = scaled_object(0, 1, &servers, &metadata);
    let mut client = ExternalScalerClient::connect(scaler.address.clone()).await.unwrap();
    let mut stream = client.stream_is_active(about).await.unwrap().into_inner();
    let producer: BaseProducer = driver.client(&[("linger.ms", "0")]);
    let mut took = Vec::new();
    for number in 0..WAKE_UPS {
        // by then the group is idle again and is read every 0.5 s, of which a different part passes each time
        sleep(2 * POLL_INTERVAL + Duration::from_millis(u64::from(number) * 137 % 500)).await;
        block_in_place(|| {
            producer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload("a record")).unwrap();
            producer.flush(WITHIN).unwrap();
        });
        let acknowledged = Instant::now();
        while !stream.message().await.unwrap().unwrap().result {}
        took.push(acknowledged.elapsed());
        block_in_place(|| driver.commit(GROUP, &[(TOPIC, 0, i64::from(number) + 1)]));
    }
    took
}
