//! Streams that live, and streams that are deleted and created again under their names, with the rows of real applications.

use std::time::Duration;

use keda_stream_scaler::lag::{Observation, SourceError};
use tokio::time::{Instant, sleep};

use crate::support::aws_services::{AwsServices, Clients, Consumer, aws_services, unrolled_aws_services};
use crate::support::kafka::unique;
use crate::support::scaler::{Scaler, age_of};
use crate::support::table::Table;
use crate::support::truth::{Application, CHECKPOINTS_APART, ROUND, Records, Truth};

const SECOND: Duration = Duration::from_secs(1);
/// Lists of shards are read once per minute: a recreated stream is noticed after that time and two rounds.
const STREAM_NOTICED_WITHIN: Duration = Duration::from_secs(64);
/// Tables are described every 20 seconds.
const TABLE_NOTICED_WITHIN: Duration = Duration::from_secs(24);
const LEAST_ERROR: Duration = Duration::from_millis(200);

/// What an application has written before its stream is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// A checkpoint in every shard.
    Checkpoints,
    /// `SHARD_END` of shards that were split and merged as well.
    Resharded,
    /// The rows of an application that reads several streams, with the creation time in their keys.
    SeveralStreams,
}

/// One application, its stream, and the scaler that has watched both from the beginning.
struct Scene {
    stream: String,
    application: String,
    truth: Truth,
    scaler: Scaler,
}

async fn scaler(stream: &str, application: &str) -> Scaler {
    let metadata =
        [("scaleOn", "age"), ("streamName", stream), ("applicationName", application), ("ageThreshold", "1s")];
    Scaler::new("aws-kinesis-stream", &metadata).await
}

impl Scene {
    async fn new(shards: i32) -> Self {
        let (stream, application) = (unique("orders"), unique("orders-app"));
        let mut truth = Truth::new(&stream, shards).await;
        truth.put(4).await;
        let scaler = scaler(&stream, &application).await;
        Self { stream, application, truth, scaler }
    }

    /// Compares each round with the truth until everything is processed.
    async fn follow(&self, what: &str, consumers: &[&Consumer], at_least: u32) {
        let begun = Instant::now();
        let mut rounds = 0;
        while rounds < at_least || !self.truth.oldest_undone(consumers).is_zero() {
            assert!(begun.elapsed() < SECOND * 120, "{what}: not everything was processed");
            sleep(ROUND).await;
            self.compare(what, &self.scaler, consumers).await;
            rounds += 1;
        }
    }

    async fn compare(&self, what: &str, scaler: &Scaler, consumers: &[&Consumer]) {
        assert_close(what, &self.truth, scaler, consumers).await;
    }
}

/// An error here is an error of the test: nothing may contradict a living stream.
async fn assert_close(what: &str, records: &impl Records, scaler: &Scaler, consumers: &[&Consumer]) {
    let application = Application { scaler, consumers: consumers.to_vec(), skipped: 0 };
    let compared = records.compare_all(&[&application], CHECKPOINTS_APART + ROUND).await[0];
    let [ours, truth] = [compared.ours, compared.truth()].map(|age| age.as_secs_f64());
    println!("{what}: age {ours:.1} s, truth {truth:.1} s");
    assert!(compared.below() < LEAST_ERROR, "{what}: below the truth: {compared:?}");
    assert!(compared.above() < ROUND, "{what}: {compared:?}");
}

/// Splits the first shard and merges its children again, while the application reads them and writes checkpoints of each.
async fn reshard(scene: &mut Scene, consumer: &Consumer) {
    scene.truth.split("shardId-000000000000").await;
    scene.truth.put(12).await;
    scene.follow("split", &[consumer], 3).await;
    scene.truth.merge("shardId-000000000001", "shardId-000000000002").await;
    scene.truth.put(12).await;
    scene.follow("merged", &[consumer], 3).await;
    let merged = |line: &String| line.starts_with("shardId-000000000003");
    assert!(consumer.events("checkpoint").iter().any(merged), "{:?}", consumer.events("checkpoint"));
    assert_eq!(consumer.events("end").len(), 3, "{:?}", consumer.events("end"));
}

/// Deletes what KCL has written: its rows, and what its workers share.
async fn delete_rows(clients: &Clients, application: &str) {
    for table in ["", "-CoordinatorState", "-WorkerMetricStats"] {
        // versions differ in which of them they have
        let _ = clients.dynamodb.delete_table().table_name(format!("{application}{table}")).send().await;
    }
}

/// Polls until an answer is an error about rows of a former stream, and some time longer: after that none is an age.
async fn wait_until_noticed(scaler: &Scaler, facts: [&str; 2]) {
    let (begun, mut noticed) = (Instant::now(), None);
    while noticed.is_none_or(|at: Duration| begun.elapsed() < at + SECOND * 10) {
        let outcome = scaler.outcome().await;
        if noticed.is_none() {
            println!("{:.1} s after the stream was recreated: {}", begun.elapsed().as_secs_f64(), summary(&outcome));
        }
        let names_both = outcome.as_ref().is_err_and(|error| facts.iter().all(|fact| error.chain().contains(fact)));
        if names_both {
            noticed.get_or_insert(begun.elapsed());
        }
        assert!(names_both || noticed.is_none(), "an answer after the error: {}", summary(&outcome));
        assert!(noticed.is_some() || begun.elapsed() < STREAM_NOTICED_WITHIN, "{}", summary(&outcome));
        sleep(ROUND).await;
    }
}

fn summary(outcome: &Result<Observation, SourceError>) -> String {
    match outcome {
        Ok(observation) => format!("an age of {:.1} s", age_of(observation).as_secs_f64()),
        Err(error) => error.chain(),
    }
}

/// An application reads a stream, which is then deleted and created again while its rows are kept.
async fn recreate_stream(rows: Rows, facts: [&str; 2]) {
    // where the one shard has ended, no checkpoint contradicts the new stream, only `SHARD_END` does
    let shards = if rows == Rows::Resharded { 1 } else { 2 };
    let mut scene = Scene::new(shards).await;
    // a list of one name is KCL's way of reading several streams
    let named = if rows == Rows::SeveralStreams { format!("{},", scene.stream) } else { scene.stream.clone() };
    let mut first = aws_services().kcl(&scene.application, &named, "worker-1");
    scene.follow("first", &[&first], 3).await;
    if rows == Rows::Resharded {
        reshard(&mut scene, &first).await;
    }
    scene.scaler.wait_until_caught_up().await;
    first.stop().await;

    scene.truth.recreate(shards).await;
    scene.truth.put(3).await;
    let fresh = scaler(&scene.stream, &scene.application).await;
    let error = fresh.outcome().await.expect_err("the rows are of another stream").chain();
    assert!(facts.iter().all(|fact| error.contains(fact)), "{error}");
    wait_until_noticed(&scene.scaler, facts).await;

    if rows == Rows::SeveralStreams {
        // the rows of the present stream stand beside the former ones, and are the newest
        let second = aws_services().kcl(&scene.application, &named, "worker-2");
        second.wait_for("done", 3).await;
        sleep(CHECKPOINTS_APART).await;
        for scaler in [&fresh, &scene.scaler] {
            scaler.wait_until_caught_up().await;
            scene.compare("read again", scaler, &[&second]).await;
        }
        return;
    }
    delete_rows(&scene.truth.clients, &scene.application).await;
    sleep(ROUND).await;
    for scaler in [&fresh, &scene.scaler] {
        scene.compare("without rows", scaler, &[]).await;
    }
    let second = aws_services().kcl(&scene.application, &named, "worker-2");
    scene.follow("read again", &[&second], 3).await;
    scene.scaler.wait_until_caught_up().await;
    fresh.wait_until_caught_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_a_kinesis_stream_that_is_recreated_are_an_error_until_they_are_deleted() {
    recreate_stream(Rows::Checkpoints, ["is of a shard created at", "was created at"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_and_merges_contradict_no_row_until_the_kinesis_stream_is_recreated() {
    recreate_stream(Rows::Resharded, ["says SHARD_END", "lists shardId-000000000000 as open"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_several_streams_are_an_error_until_the_recreated_one_has_its_own() {
    recreate_stream(Rows::SeveralStreams, ["are of one that was created at", "the present one was created at"]).await;
}

#[derive(Clone, Copy, Debug)]
enum Replaced {
    Stream,
    Table,
}

/// An application with a backlog reads a table's stream, which is then replaced while its rows are kept.
async fn replace_stream_of_table(services: &AwsServices, replaced: Replaced) {
    let (name, application) = (unique("invoices"), unique("invoices-app"));
    let mut table = Table::new(services, &name).await;
    table.put(5).await;
    let mut first = services.adapter(&application, &name, "worker-1");
    first.wait_for("done", 5).await;
    let metadata = [
        ("scaleOn", "age"),
        ("tableName", &*name),
        ("applicationName", &*application),
        ("probeInterval", "1s"),
        ("ageThreshold", "1s"),
    ];
    let scaler = Scaler::on(services, "aws-dynamodb-streams", &metadata).await;
    scaler.wait_until_caught_up().await;
    first.stop().await;
    table.put(3).await;
    sleep(SECOND * 5).await;
    assert_close("a backlog", &table, &scaler, &[&first]).await;

    match replaced {
        Replaced::Stream => table.replace_stream().await,
        Replaced::Table => table.recreate().await,
    }
    let begun = Instant::now();
    loop {
        let outcome = scaler.outcome().await;
        println!("{:.1} s after a {replaced:?} was replaced: {}", begun.elapsed().as_secs_f64(), summary(&outcome));
        if outcome.as_ref().is_ok_and(|observation| age_of(observation).is_zero()) {
            break;
        }
        assert!(begun.elapsed() < TABLE_NOTICED_WITHIN, "{}", summary(&outcome));
        sleep(ROUND).await;
    }
    Table::wait_for_the_next_minute().await;
    table.put(2).await;
    let fresh = Scaler::on(services, "aws-dynamodb-streams", &metadata).await;
    for _ in 0..4 {
        sleep(ROUND).await;
        assert_close("the new stream", &table, &scaler, &[]).await;
        assert_close("the new stream, seen first", &table, &fresh, &[]).await;
    }
    delete_rows(&table.clients, &application).await;
    let second = services.adapter(&application, &name, "worker-2");
    second.wait_for("done", 2).await;
    for scaler in [&scaler, &fresh] {
        scaler.wait_until_caught_up().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_stream_is_replaced_has_the_age_of_the_new_one() {
    replace_stream_of_table(unrolled_aws_services(), Replaced::Stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_recreated_has_the_age_of_its_new_stream() {
    replace_stream_of_table(unrolled_aws_services(), Replaced::Table).await;
}
