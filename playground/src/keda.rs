//! KEDA's side: calls the scaler over gRPC as KEDA does.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, ScaledObjectRef};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::NAMESPACE;

/// One `ScaledObject` with one trigger, and the connection to its scaler.
#[derive(Clone)]
pub(super) struct Keda {
    about: ScaledObjectRef,
    client: ExternalScalerClient<Channel>,
}

impl Keda {
    pub(super) fn new(scaler: SocketAddr, name: &str, metadata: &BTreeMap<&str, String>) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{scaler}"))?.connect_lazy();
        let scaler_metadata: HashMap<_, _> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let about = ScaledObjectRef { name: name.into(), namespace: NAMESPACE.into(), scaler_metadata };
        Ok(Self { about, client: ExternalScalerClient::new(channel) })
    }

    /// Calls in KEDA's order, and returns the value: the specs, the value, the activity. With a `minReplicaCount` the activity changes
    /// nothing, and the target of `catchUp` is always 1.
    pub(super) async fn value(&mut self) -> Result<f64, Status> {
        let about = self.about.clone();
        let specs = self.client.get_metric_spec(about.clone()).await?.into_inner().metric_specs;
        let spec = specs.into_iter().next().ok_or_else(|| Status::internal("no metric spec"))?;
        let request = GetMetricsRequest { scaled_object_ref: Some(about.clone()), metric_name: spec.metric_name };
        let values = self.client.get_metrics(request).await?.into_inner().metric_values;
        let value = values.into_iter().next().ok_or_else(|| Status::internal("no metric value"))?;
        self.client.is_active(about).await?;
        Ok(value.metric_value_float)
    }
}
