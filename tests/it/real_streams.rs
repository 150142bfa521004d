//! Real consumers of a Kinesis stream and of a DynamoDB table's stream: our ages against what the test itself has put and the
//! consumer says it has done.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use tokio::time::{Instant, sleep};

use crate::support::aws_services::aws_services;
use crate::support::kafka::unique;
use crate::support::scaler::Scaler;
use crate::support::truth::{CHECKPOINTS_APART, Compared, RECORD_TAKES, ROUND, Records as _, Truth};

const SECOND: Duration = Duration::from_secs(1);

/// `make test` prints how close it was: the greatest difference of these is what the docs tell.
fn told(what: &str, ours: Duration, truth: Duration) {
    println!("{what}: ours {:.1} s, truth {:.1} s", ours.as_secs_f64(), truth.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_follows_a_real_kcl_through_backlog_stop_and_reshard() {
    let (stream, application) = (unique("orders"), unique("orders-app"));
    let mut truth = Truth::new(&stream, 2).await;
    let metadata =
        [("scaleOn", "age"), ("streamName", &stream), ("applicationName", &application), ("ageThreshold", "3s")];
    let scaler = Scaler::new("aws-kinesis-stream", &metadata).await;
    let count = Scaler::new("aws-kinesis-stream", &[("streamName", &stream), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 2);

    // before the application has ever run, all that is there is unread
    truth.put(10).await;
    sleep(SECOND * 4).await;
    let (before, ours, after) = (truth.oldest_undone(&[]), scaler.age().await, truth.oldest_undone(&[]));
    told("never ran", ours, after);
    assert!(ours + SECOND / 10 >= before && ours <= after + SECOND / 10, "{before:?} {ours:?} {after:?}");

    let consumer = aws_services().kcl(&application, &stream, "worker-1");
    consumer.wait_for("done", 10).await;
    scaler.wait_until_caught_up().await;

    // slower than what comes: behind by more and more
    consumer.delay(SECOND / 2);
    truth.put(40).await;
    for _ in 0..6 {
        sleep(ROUND).await;
        let before = truth.oldest_undone(&[&consumer]);
        let ours = scaler.age().await;
        told("slow consumer", ours, before);
        // a checkpoint is written every ten records of half a second
        assert!(ours + SECOND / 5 >= before, "less than the truth: {ours:?}, {before:?}");
        assert!(ours <= before + SECOND * 7, "{ours:?}, {before:?}");
    }
    consumer.delay(Duration::ZERO);
    consumer.wait_for("done", 50).await;
    scaler.wait_until_caught_up().await;

    // killed, resharded, and written to: nobody runs, and the children's records count
    drop(consumer);
    truth.reshard(3).await;
    let put_at = Instant::now();
    truth.put(12).await;
    sleep(SECOND * 6).await;
    let ours = scaler.age().await;
    told("no replica, resharded", ours, put_at.elapsed());
    assert!(ours + SECOND / 10 >= SECOND * 6 && ours <= put_at.elapsed() + SECOND / 10, "{ours:?}");
    let fresh = Scaler::new("aws-kinesis-stream", &[("streamName", &stream), ("shardCount", "1")]).await;
    assert_eq!(fresh.open_shards().await, 3);
}

/// Neither less than the truth, nor more than a checkpoint interval and a poll interval above it.
fn assert_close(what: &str, all: &[Compared]) {
    for compared in all {
        told(what, compared.ours, compared.truth());
        assert!(compared.below() < SECOND / 5, "{what}, less than the truth: {compared:?}");
        assert!(compared.above() < CHECKPOINTS_APART + ROUND, "{what}: {compared:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_follows_a_real_kcl_that_works_through_a_reshard_and_hands_over_to_another() {
    let (stream, application) = (unique("orders"), unique("orders-app"));
    let mut truth = Truth::new(&stream, 2).await;
    let metadata =
        [("scaleOn", "age"), ("streamName", &*stream), ("applicationName", &application), ("ageThreshold", "1s")];
    let scaler = Scaler::new("aws-kinesis-stream", &metadata).await;
    truth.put(4).await;
    let mut first = aws_services().kcl(&application, &stream, "worker-1");
    first.wait_for("done", 4).await;
    scaler.wait_until_caught_up().await;

    // more comes than two shards, or three, get done
    first.delay(RECORD_TAKES);
    assert_close("before the reshard", &truth.follow((&scaler, &[&first]), 3, 20).await);
    truth.reshard(3).await;
    assert_close("through the reshard", &truth.follow((&scaler, &[&first]), 4, 20).await);
    assert_close("after the reshard", &truth.follow_to_the_end(&scaler, &[&first]).await);
    scaler.wait_until_caught_up().await;
    let (ended, begun) = (first.events("end").len(), first.events("start").len());
    assert!(ended >= 1 && begun >= 3, "the shards were changed under it: {ended} ended, {begun} begun");

    first.stop().await;
    truth.put(6).await;
    assert_close("nobody runs", &truth.follow((&scaler, &[&first]), 3, 0).await);
    let waiting = scaler.age().await;
    assert!(waiting > ROUND * 3, "{waiting:?}");
    let second = aws_services().kcl(&application, &stream, "worker-2");
    assert_close("the next starts", &truth.follow_to_the_end(&scaler, &[&first, &second]).await);
    assert_eq!(second.events("done").len(), 6, "the first one's checkpoints hold");
    scaler.wait_until_caught_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_follows_a_real_streams_adapter_through_a_rolled_shard() {
    let (table, application) = (unique("invoices"), unique("invoices-app"));
    let clients = aws_services().clients().await;
    let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
    clients
        .dynamodb
        .create_table()
        .table_name(&table)
        .attribute_definitions(key.unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::KeysOnly)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
    let put = async |from: u32, count: u32| {
        for number in from..from + count {
            let id = AttributeValue::S(number.to_string());
            clients.dynamodb.put_item().table_name(&table).item("id", id).send().await.unwrap();
        }
    };
    let metadata = [
        ("scaleOn", "age"),
        ("tableName", &*table),
        ("applicationName", &application),
        ("probeInterval", "1s"),
        ("ageThreshold", "3s"),
    ];
    let scaler = Scaler::new("aws-dynamodb-streams", &metadata).await;
    let count = Scaler::new("aws-dynamodb-streams", &[("tableName", &table), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 1);
    put(0, 5).await;
    // the server cuts times to whole minutes, so an age is up to a minute too high here
    let ours = scaler.age().await;
    assert!(ours > Duration::ZERO && ours < SECOND * 62, "{ours:?}");

    let consumer = aws_services().adapter(&application, &table, "worker-1");
    consumer.wait_for("done", 5).await;
    scaler.wait_until_caught_up().await;

    // the shard rolls while nobody runs: what is written to the child is unread
    drop(consumer);
    aws_services().roll_shards().await;
    put(5, 5).await;
    sleep(ROUND).await;
    let fresh = Scaler::new("aws-dynamodb-streams", &metadata).await;
    let ours = fresh.age().await;
    assert!(ours > SECOND && ours < SECOND * 70, "{ours:?}");
    let count = Scaler::new("aws-dynamodb-streams", &[("tableName", &table), ("shardCount", "1")]).await;
    assert_eq!(count.open_shards().await, 1, "the parent is closed");
}
