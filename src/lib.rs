//! A KEDA external scaler that answers from the measured backlog of stream consumers.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod controller;
pub mod keda;
pub mod limits;
pub mod network;
pub mod page;
pub mod probe;
pub mod sampler;
pub mod source;
pub mod telemetry;
pub mod tenancy;
pub mod tls;

pub use keda_stream_scaler_core::{lag, recording, resize, scaling, trigger};
