//! The gRPC server of the contract on a free port of this machine, over a scripted source.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use keda_stream_scaler::keda::{CallerLimits, Limits, ServeError, serve};
use keda_stream_scaler::limits;
use keda_stream_scaler::sampler::{Quotas, ReadingObserver, Sampler};
use keda_stream_scaler::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::scripted::Scripted;

/// A running server; it ends with its test's runtime, or when it is drained.
pub struct Server {
    pub address: SocketAddr,
    pub source: Scripted,
    pub metrics: Arc<Metrics>,

    drain: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with_connection_age(Duration::from_secs(300)).await
    }

    pub async fn with_connection_age(max_connection_age: Duration) -> Self {
        Self::with(max_connection_age, limits::Limits::default(), None).await
    }

    /// With these limits.
    pub async fn limited(limits: limits::Limits) -> Self {
        Self::with(Duration::from_secs(300), limits, None).await
    }

    /// With somebody who sees what is asked.
    pub async fn witnessed(witness: Arc<dyn ReadingObserver>) -> Self {
        Self::with(Duration::from_secs(300), limits::Limits::default(), Some(witness)).await
    }

    async fn with(
        max_connection_age: Duration,
        limits: limits::Limits,
        witness: Option<Arc<dyn ReadingObserver>>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new("0", "none"));
        let source = Scripted::default();
        let shares = Quotas::new(&limits, &metrics.limits);
        let sampler = Sampler::within(shares, source.clone(), metrics.sampler.clone(), witness);
        let drain = CancellationToken::new();
        let callers = CallerLimits { limits, metrics: metrics.limits.clone() };
        let (rpc, end) = (metrics.rpc.clone(), drain.clone());
        let served =
            tokio::spawn(
                async move { serve(listener, sampler, rpc, Limits { max_connection_age }, &callers, end).await },
            );
        Self { address, source, metrics, drain, served }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn client(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::new(self.channel().await)
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until the server has ended well.
    pub async fn ended(self) {
        self.served.await.unwrap().unwrap();
    }
}

/// A good ScaledObject for `group`, with these changes to its metadata.
pub fn scaled_object(group: &str, changes: &[(&str, &str)]) -> ScaledObjectRef {
    let base = [
        ("scalerAddress", "scaler:50051"),
        ("source", "kafka"),
        ("bootstrapServers", "b:9092"),
        ("consumerGroup", group),
        ("topic", "orders"),
        ("allowIdleConsumers", "true"),
    ];
    let metadata = base.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let scaler_metadata: HashMap<_, _> = metadata.collect();
    ScaledObjectRef { name: group.to_owned(), namespace: "shop".to_owned(), scaler_metadata }
}

/// The request for the value of `about`.
pub fn metrics_of(about: &ScaledObjectRef, metric_name: &str) -> GetMetricsRequest {
    GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: metric_name.to_owned() }
}
