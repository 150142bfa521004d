//! RPCs a second against a server that does nothing, on one connection with 64 in flight, the two in turn.

use std::time::Duration;

use keda_stream_scaler::keda::proto::GetMetricsRequest;
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::process::{Role, runtime};
use crate::source::scaled_object;
use crate::table::{Goal, Table};

const IN_FLIGHT: usize = 64;
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 7;

pub fn measure(table: &mut Table) {
    let (scaler, no_op) = (Role::Scaler.start(""), Role::NoOp.start(""));
    let runtime = runtime();
    let mut ratios: Vec<f64> = (0..TURNS)
        .map(|_| {
            let rate = runtime.block_on(rate(&scaler.address));
            rate / runtime.block_on(self::rate(&no_op.address))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    table.add(
        "RPC/s against a no-op server, one connection, 64 in flight, median of 7",
        ratios[TURNS / 2],
        "",
        Goal::AtLeast(0.8),
    );
}

async fn rate(address: &str) -> f64 {
    let client = ExternalScalerClient::connect(address.to_owned()).await.unwrap();
    let about = scaled_object(0, 1, "b:9092", &[]);
    let request = GetMetricsRequest { scaled_object_ref: Some(about), metric_name: "kafka-orders".into() };
    client.clone().get_metrics(request.clone()).await.unwrap();
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (mut client, request) = (client.clone(), request.clone());
        callers.spawn(async move {
            let mut calls = 0_u32;
            while begun.elapsed() < TURN {
                client.get_metrics(request.clone()).await.unwrap();
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = callers.join_all().await.into_iter().sum();
    f64::from(calls) / begun.elapsed().as_secs_f64()
}
