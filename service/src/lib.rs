//! The service: it reads sources, answers KEDA from memory, and shows operators what it does.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod keda;
pub mod limits;
pub mod network;
pub mod page;
pub mod sampler;
pub mod source;
pub mod telemetry;
pub mod tenancy;
pub mod tls;

use keda_stream_scaler_core::{lag, recording, scaling, trigger};
