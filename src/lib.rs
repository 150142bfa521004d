//! A KEDA external scaler that answers from the measured backlog of stream consumers: its crates under one name.

#![forbid(unsafe_code)]

pub use keda_stream_scaler_cli::commands as cli;
pub use keda_stream_scaler_controller as controller;
pub use keda_stream_scaler_core::{lag, recording, resize, scaling, trigger};
pub use keda_stream_scaler_service::{
    admin, app, keda, limits, network, page, sampler, source, telemetry, tenancy, tls,
};
