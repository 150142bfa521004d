//! What the examples of the docs are about: the same names at servers of the test's own.

use serde_json::json;
use tokio::sync::OnceCell;

use crate::support::driver::Driver;
use crate::support::kafka::one_node;
use crate::support::scripted_aws::ScriptedAws;

/// The brokers of the docs.
pub const BROKERS: &str = "kafka:9092";

/// The group `order-service` is 270 behind in a partition of `orders`, and has never committed in another.
pub async fn kafka() -> String {
    static READY: OnceCell<()> = OnceCell::const_new();
    let servers = one_node().bootstrap_servers();
    READY
        .get_or_init(|| async {
            let driver = Driver::new(&servers);
            driver.create_topic("orders", 3, 1, &[]).await;
            for (partition, records) in [(0, 400), (1, 300), (2, 120)] {
                driver.produce("orders", partition, records);
            }
            driver.commit("order-service", &[("orders", 0, 130), ("orders", 1, 300)]);
        })
        .await;
    servers
}

/// Each of two applications has a shard that it keeps up with, and one whose oldest unread record came 90 s ago.
pub async fn aws() -> ScriptedAws {
    let aws = ScriptedAws::start().await;
    let ago = |seconds: u64| aws.now() - seconds * 1000;
    let row = |shard: &str, checkpoint: &str, worker: &str| json!({"leaseKey": {"S": shard}, "checkpoint": {"S": checkpoint}, "leaseCounter": {"N": "7"}, "leaseOwner": {"S": worker}});
    aws.create_table("order-service", "leaseKey");
    for (shard, worker) in aws.create_stream("orders", 2, ago(7200)).iter().zip(["worker-1", "worker-2"]) {
        let read = aws.put_record("orders", shard, ago(95));
        aws.put_item("order-service", &row(shard, &read, worker));
        if worker == "worker-2" {
            aws.put_record("orders", shard, ago(90));
        }
    }
    aws.create_table("invoices", "id");
    aws.create_table("invoice-service", "leaseKey");
    let stream = aws.create_table_stream("invoices", ago(7200));
    for worker in ["worker-1", "worker-2"] {
        let shard = aws.open_change_shard(&stream, None, ago(3600));
        let read = aws.put_change(&stream, &shard, ago(95));
        aws.put_item("invoice-service", &row(&shard, &read, worker));
        if worker == "worker-2" {
            aws.put_change(&stream, &shard, ago(90));
        }
    }
    aws
}
