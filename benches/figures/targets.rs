//! A thousand new targets at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use keda_stream_scaler::sampler::Sampler;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::process::runtime;
use crate::source::{Scripted, scaled_object};
use crate::table::{Goal, Table};

const TARGETS: usize = 1000;

/// As long as a round of a thousand groups takes on a real cluster.
const READING_TAKES: Duration = Duration::from_millis(250);

const INTERVAL: Duration = Duration::from_secs(10);

pub fn measure(table: &mut Table) {
    let source = Scripted::taking(READING_TAKES);
    let most = source.most.clone();
    let took = runtime().block_on(async {
        let sampler = Sampler::new(source, Metrics::new("0", "none").sampler.clone());
        let begun = Instant::now();
        let mut asked = JoinSet::new();
        for number in 0..TARGETS {
            let trigger = Trigger::parse(&scaled_object(number, TARGETS, "b:9092", &[]).scaler_metadata).unwrap();
            let sampler = sampler.clone();
            asked.spawn(async move { sampler.ask("shop", &trigger, INTERVAL).await.unwrap() });
        }
        asked.join_all().await;
        let answered = begun.elapsed();
        // readings go on, and so do questions
        while begun.elapsed() < INTERVAL * 2 {
            let number = usize::try_from(begun.elapsed().as_micros()).unwrap() % TARGETS;
            let trigger = Trigger::parse(&scaled_object(number, TARGETS, "b:9092", &[]).scaler_metadata).unwrap();
            sampler.ask("shop", &trigger, INTERVAL).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        answered
    });
    let intervals = took.as_secs_f64() / INTERVAL.as_secs_f64();
    table.add("first answer to 1,000 new targets at once", intervals, "intervals", Goal::Below(2.0));
    let most = most.load(Ordering::Relaxed) as f64;
    table.add("1,000 new targets at once: fetches in flight for a group, at most", most, "", Goal::Equals(1.0));
}
