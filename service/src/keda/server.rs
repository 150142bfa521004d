//! The gRPC server: the contract, health, reflection, and the lifetime of connections.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::ScalerService;
use super::connections::Doorkeeper;
use super::proto::external_scaler_server::{ExternalScaler, ExternalScalerServer, SERVICE_NAME};
use crate::lag::Observe;
use crate::limits::LimitMetrics;
use crate::sampler::Sampler;
use crate::telemetry::RpcMetrics;
use crate::tls;

/// The descriptors of the generated code, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!("gen/externalscaler.bin");

/// The keepalive interval. KEDA sets no keepalive: without the server's a stream over a dead connection would hang forever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The services of the health protocol; a probe may name any of them.
const HEALTH_SERVICES: [&str; 4] = ["", SERVICE_NAME, "liveness", "readiness"];

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener failed.
    #[error("could not serve gRPC")]
    Transport(#[from] tonic::transport::Error),
    /// The built-in descriptors cannot be read.
    #[error("could not serve reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The maximum lifetime of connections and streams.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The age at which the server sends GOAWAY on a connection, so that callers find new replicas.
    pub max_connection_age: Duration,
}

/// The limits for callers, and the metrics of refusals.
#[derive(Clone, Debug, Default)]
pub struct CallerLimits {
    /// The limits of connections, streams and metadata.
    pub limits: crate::limits::Limits,
    /// The metrics that count refusals.
    pub metrics: LimitMetrics,
}

impl CallerLimits {
    /// Returns the concurrent calls per connection. Push streams must not use up the share of calls: KEDA has one connection for all
    /// of its triggers.
    fn calls_at_once(&self) -> u32 {
        u32::try_from(self.limits.streams.total).unwrap_or(u32::MAX).saturating_add(self.limits.calls_per_connection)
    }
}

impl Limits {
    /// Returns the time within which streams end by themselves, with OK, so that an old connection can close.
    fn stream_lifetime(self) -> Duration {
        self.max_connection_age
    }
}

/// Serves the contract on `incoming` until `drain` is cancelled and every call has ended.
///
/// # Errors
/// Fails if the listener fails.
pub async fn serve<O: Observe>(
    incoming: impl Into<Incoming>,
    sampler: Sampler<O>,
    metrics: RpcMetrics,
    limits: Limits,
    callers: &CallerLimits,
    drain: CancellationToken,
) -> Result<(), ServeError> {
    let service = ScalerService::new(sampler, metrics, callers, drain.clone(), limits.stream_lifetime());
    serve_service(incoming, service, limits, callers, drain).await
}

/// Serves any implementation of the contract the way [`serve`] serves the scaler's own; a benchmark compares the two.
///
/// # Errors
/// Fails if the listener fails.
pub async fn serve_service(
    incoming: impl Into<Incoming>,
    service: impl ExternalScaler,
    limits: Limits,
    callers: &CallerLimits,
    drain: CancellationToken,
) -> Result<(), ServeError> {
    let scaler = ExternalScalerServer::new(service).max_decoding_message_size(callers.limits.request_bytes);
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in HEALTH_SERVICES {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    let drained = {
        let drain = drain.clone();
        async move {
            drain.cancelled().await;
            // a load balancer that probes health must stop sending before the last connection closes
            for name in HEALTH_SERVICES {
                health.set_service_status(name, ServingStatus::NotServing).await;
            }
        }
    };
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(callers.calls_at_once())
        // without a grace period: with one, tonic sends no GOAWAY, and cuts the connection and its calls when the period ends
        .max_connection_age(limits.max_connection_age)
        .add_service(scaler)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let doorkeeper = Doorkeeper::new(callers);
    match incoming.into() {
        Incoming::Plaintext(port) => {
            router.serve_with_incoming_shutdown(doorkeeper.plaintext(port), drained).await?;
        }
        Incoming::Tls(listener) => router.serve_with_incoming_shutdown(doorkeeper.tls(listener), drained).await?,
    }
    Ok(())
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// The gRPC port, with or without TLS.
pub enum Incoming {
    /// Connections are served in plaintext.
    Plaintext(TcpListener),
    /// Connections are served over TLS.
    Tls(tls::Listener),
}

impl From<TcpListener> for Incoming {
    fn from(listener: TcpListener) -> Self {
        Self::Plaintext(listener)
    }
}

impl From<tls::Listener> for Incoming {
    fn from(listener: tls::Listener) -> Self {
        Self::Tls(listener)
    }
}
