//! The commands, and what `doctor` probes beyond a reading.

#![forbid(unsafe_code)]

pub mod commands;
mod manifest;
mod probe;

use keda_stream_scaler_controller as controller;
use keda_stream_scaler_core::{lag, recording, resize, scaling, trigger};
use keda_stream_scaler_service::{app, keda, limits, network, sampler, source, telemetry, tenancy, tls};
