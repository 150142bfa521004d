//! RPCs a second against a server that does nothing, on one connection with 64 in flight, the two in turn.

use std::fs;
use std::time::Duration;

use keda_stream_scaler::keda::proto::GetMetricsRequest;
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::certificates::{Authority, For};
use crate::process::{Role, Running, runtime};
use crate::source::scaled_object;
use crate::table::{Goal, Table};
use crate::tls_client;

const IN_FLIGHT: usize = 64;
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 7;

pub fn measure(table: &mut Table) {
    let (scaler, no_op) = (Role::Scaler.start(""), Role::NoOp.start(""));
    let runtime = runtime();
    let ratio = median_ratio(|| {
        let rate = runtime.block_on(async { rate(plaintext(&scaler).await).await });
        rate / runtime.block_on(async { self::rate(plaintext(&no_op).await).await })
    });
    table.add("RPC/s against a no-op server, one connection, 64 in flight, median of 7", ratio, "", Goal::AtLeast(0.8));
}

/// The same server by TLS with client certificates, and by plaintext.
pub fn tls(table: &mut Table) {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (server, keda) = (servers.certify(For::Servers), clients.certify(For::Clients));
    let files = tempfile::tempdir().unwrap();
    for (name, text) in [("tls.crt", &server.certificate), ("tls.key", &server.key), ("ca.crt", &clients.pem())] {
        fs::write(files.path().join(name), text).unwrap();
    }
    let (scaler, plain) = (Role::TlsScaler.start(files.path().to_str().unwrap()), Role::Scaler.start(""));
    let address = scaler.address.strip_prefix("http://").unwrap().parse().unwrap();
    let runtime = runtime();
    let ratio = median_ratio(|| {
        let config = tls_client::client(&servers, Some(&keda));
        let rate = runtime.block_on(async { rate(tls_client::channel(address, config).await.unwrap()).await });
        rate / runtime.block_on(async { self::rate(plaintext(&plain).await).await })
    });
    table.add(
        "RPC/s with TLS against plaintext, one connection, 64 in flight, median of 7",
        ratio,
        "",
        Goal::AtLeast(0.7),
    );
}

fn median_ratio(ratio: impl FnMut() -> f64) -> f64 {
    let mut ratios: Vec<f64> = std::iter::repeat_with(ratio).take(TURNS).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[TURNS / 2]
}

async fn plaintext(server: &Running) -> Channel {
    Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap()
}

async fn rate(channel: Channel) -> f64 {
    let client = ExternalScalerClient::new(channel);
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
