//! What starts servers and plays sources.

pub mod aws_services;
pub mod broker;
pub mod browser;
pub mod certificates;
pub mod checkup;
pub mod driver;
pub mod endpoint;
pub mod explain;
pub mod iam;
pub mod kafka;
pub mod keda_client;
pub mod manifests;
pub mod mock_cluster;
pub mod observer;
pub mod process;
pub mod prometheus;
pub mod scripted;
pub mod scripted_aws;
pub mod scripted_transport;
pub mod server;
pub mod stage;
pub mod tls;
pub mod tls_client;
pub mod truth;
pub mod workers;
pub mod world;
