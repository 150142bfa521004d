//! A KEDA external scaler that answers from the measured backlog of stream consumers.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod controller;
pub mod keda;
pub mod lag;
pub mod limits;
pub mod network;
pub mod page;
pub mod probe;
pub mod recording;
pub mod resize;
pub mod sampler;
pub mod scaling;
pub mod source;
pub mod telemetry;
pub mod tenancy;
pub mod tls;
pub mod trigger;
