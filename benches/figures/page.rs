//! The status page of 1,000 targets.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::admin::{Readiness, serve};
use keda_stream_scaler::limits::Limits;
use keda_stream_scaler::sampler::{Asker, Sampler};
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process::runtime;
use crate::source::{Scripted, scaled_object};
use crate::table::{Goal, Table};

const OBJECTS: usize = 10_000;
const GROUPS: usize = 1000;
const PAGES: usize = 20;

pub fn measure(table: &mut Table) {
    let (took, bytes) = runtime().block_on(async {
        let metrics = Arc::new(Metrics::new("0", "none"));
        let sampler = Sampler::new(Scripted::default(), metrics.sampler.clone());
        for number in 0..OBJECTS {
            let about = scaled_object(number, GROUPS, "b:9092", &[]);
            let trigger = Trigger::parse(&about.scaler_metadata).unwrap();
            let asker = Asker { namespace: &about.namespace, name: &about.name };
            sampler.ask(asker, &trigger, Duration::from_secs(5)).await.unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            sampler,
            metrics,
            Limits::default().http_connections,
            Readiness::new(CancellationToken::new()),
            None,
        ));
        let (mut took, mut bytes) = (Vec::new(), 0);
        for page in 1..=PAGES {
            let begun = Instant::now();
            let answer = reqwest::get(format!("http://{address}/?page={page}")).await.unwrap();
            bytes = bytes.max(answer.text().await.unwrap().len());
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        (took[PAGES / 2], bytes)
    });
    let name = "the status page of 1,000 targets that 10,000 ScaledObjects ask about";
    table.add(format!("{name}: time"), took.as_secs_f64() * 1000.0, "ms", Goal::Below(50.0));
    table.add(format!("{name}: size"), bytes as f64 / 1000.0, "KB", Goal::Below(500.0));
}
