//! The scaler behind a real HPA, with and without KEDA, without containers: `make test-hpa test-kubernetes`.
//!
//! Apart from the other tests because it builds Kubernetes' control plane and KEDA, and because its loads take half an hour.
//! `cargo test --test kubernetes -- COMMAND`:
//!
//! - `controller`: `KinesisStream` objects and a scripted Kinesis; builds and starts the API server alone
//! - `hpa`: what must hold between the scaler and the HPA; builds and starts the control plane without KEDA
//! - `proofs [FILTER]`: what must hold between the scaler, KEDA and the HPA
//! - `load [NAME]`: KEDA's own Kafka trigger and ours side by side under the same load; writes `target/kubernetes/NAME.{csv,svg}`
//! - `readers`: real KCL workers read a stream that the controller resizes; builds and starts the API server alone
//! - `shards`: KEDA and the HPA scale a `KinesisStream` by what is written to it
//! - `walkthrough`: real KCL workers scaled by `shardCount`, `age` and `catchUp` in turn
//! - `consumer …`: the process of a pod; the other commands start it
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on panics, prints what it measured, and has no reader of its docs"
)]

mod adapter;
mod api;
mod certificates;
mod cluster;
mod consumer;
mod controller;
mod group;
mod hpa;
mod kubelet;
mod loads;
mod picture;
mod process;
mod proofs;
mod readers;
mod records;
mod runner;
mod scaler;
mod scenario;
mod shards;
mod truth;
mod walkthrough;

#[allow(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "../it/support/aws_services.rs"]
mod aws_services;
#[allow(dead_code, reason = "as above")]
#[path = "../it/support/driver.rs"]
mod driver;
#[allow(dead_code, reason = "as above")]
#[path = "../it/support/kafka.rs"]
mod kafka;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../it/support/scripted_aws/mod.rs"]
mod scripted_aws;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let passed = match arguments[..] {
        ["controller"] => controller::run("").await,
        ["controller", "figures"] => controller::figures().await,
        ["controller", filter] => controller::run(filter).await,
        ["hpa"] => hpa::run().await,
        ["proofs"] => proofs::run("").await,
        ["proofs", filter] => proofs::run(filter).await,
        ["load"] => loads::run("").await,
        ["load", name] => loads::run(name).await,
        ["readers"] => readers::run().await,
        ["shards"] => shards::run().await,
        ["walkthrough"] => walkthrough::run().await,
        ["consumer", bootstrap_servers, topic, rate, processed] => {
            consumer::run(bootstrap_servers, topic, rate, processed).await;
            true
        }
        _ => {
            println!(
                "usage: kubernetes controller [FILTER] | hpa | proofs [FILTER] | load [NAME] | readers | shards | walkthrough"
            );
            false
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
