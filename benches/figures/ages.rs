//! How close ages are to the truth while a real KCL works.

use std::time::Duration;

use crate::aws_services::aws_services;
use crate::kafka::unique;
use crate::process::runtime;
use crate::scaler::Scaler;
use crate::table::{Goal, Table};
use crate::truth::{CHECKPOINTS_APART, Compared, RECORD_TAKES, ROUND, Records as _, Truth};

/// What the truth itself is uncertain by: when the consumer's log is read.
const BELOW: Duration = Duration::from_millis(200);

pub fn measure(table: &mut Table) {
    runtime().block_on(steady_and_resharded(table));
}

async fn steady_and_resharded(table: &mut Table) {
    let (stream, application) = (unique("orders"), unique("orders-app"));
    let mut truth = Truth::new(&stream, 2).await;
    let metadata =
        [("scaleOn", "age"), ("streamName", &*stream), ("applicationName", &application), ("ageThreshold", "1s")];
    let scaler = Scaler::new("aws-kinesis-stream", &metadata).await;
    truth.put(4).await;
    let consumer = aws_services().kcl(&application, &stream, "worker-1");
    consumer.wait_for("done", 4).await;
    scaler.wait_until_caught_up().await;
    consumer.delay(RECORD_TAKES);

    // two shards get ten a second done
    let steady = truth.follow((&scaler, &[&consumer]), 20, 8).await;
    add(table, "steady", &steady);
    truth.follow_to_the_end(&scaler, &[&consumer]).await;

    // more than three shards get done, and then nothing
    truth.follow((&scaler, &[&consumer]), 3, 20).await;
    truth.reshard(3).await;
    let mut after = truth.follow((&scaler, &[&consumer]), 4, 20).await;
    after.extend(truth.follow_to_the_end(&scaler, &[&consumer]).await);
    add(table, "after a reshard", &after);
}

fn add(table: &mut Table, when: &str, all: &[Compared]) {
    let name = format!("age error against the truth, real KCL, {when}");
    let most = |error: fn(&Compared) -> Duration| all.iter().map(error).max().unwrap().as_secs_f64();
    table.add(
        format!("{name}: above, at most"),
        most(Compared::above),
        "s",
        Goal::Below((CHECKPOINTS_APART + ROUND).as_secs_f64()),
    );
    table.add(format!("{name}: below, at most"), most(Compared::below), "s", Goal::Below(BELOW.as_secs_f64()));
}
