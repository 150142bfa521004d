//! Everything that needs more than pure functions, in one crate: one link instead of twenty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on panics, prints what it measured, and nobody reads its docs"
)]

mod aws_identity;
mod aws_rights;
mod batched;
mod catch_up;
mod causes;
mod churn;
mod cli;
mod closed_loop;
mod contract;
mod docs;
mod doctor;
mod doctor_aws;
mod doctor_scaler;
mod floor_plan;
mod installing;
mod kafka_codec;
mod kafka_lag;
mod kafka_outages;
mod kafka_protocol;
mod kafka_security;
mod kafka_share;
mod kafka_starvation;
mod kafka_versions;
mod limits;
mod logs;
mod manifests;
mod manual;
mod metrics;
mod migrate;
mod monitoring;
mod outage_rounds;
mod pace;
mod process;
mod proto;
mod push;
mod reading_time;
mod readme;
mod real_recreated;
mod real_shared;
mod real_stores;
mod real_streams;
mod records_behind;
mod replay;
mod resize;
mod resize_loop;
mod round;
mod sampler;
mod schema;
mod scripted_aws;
mod scripted_broker;
mod security_docs;
mod status_page;
mod streams;
mod supervision;
mod support;
mod tenancy;
mod tls;
mod tls_keda_client;
mod traces;
mod words;
mod write_utilization;
