//! The external metrics API in place of KEDA's adapter: each value is the scaler's response to `GetMetrics`.
//!
//! KEDA's adapter reads the trigger from a `ScaledObject`; this one reads it from an annotation of the HPA.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use keda_stream_scaler::keda::proto::external_scaler_client::ExternalScalerClient;
use keda_stream_scaler::keda::proto::{GetMetricsRequest, MetricSpec, ScaledObjectRef};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::api::Api;
use crate::scenario::hpa_path;

/// The annotation of an HPA with the metadata of its trigger as JSON.
pub const TRIGGER: &str = "trigger";
/// What KEDA puts before the name of the first trigger's metric.
pub const INDEX: &str = "s0-";
const VERSION: &str = "external.metrics.k8s.io/v1beta1";
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the API on this port, with the certificate `tls` of the directory, until the runtime ends.
pub async fn serve(port: u16, certificates: PathBuf, api: Api) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls(&certificates)));
    let router = Router::new()
        .route(&format!("/apis/{VERSION}"), get(resources))
        .route(&format!("/apis/{VERSION}/namespaces/{{namespace}}/{{metric}}"), get(values))
        .with_state(api);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // the API server may end a connection at any time
            let Ok(stream) = acceptor.accept(stream).await else { return };
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn tls(certificates: &Path) -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(certificates.join("tls.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.join("tls.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    builder.with_single_cert(vec![certificate], key).unwrap()
}

/// The list by which the API server checks whether the API is available.
async fn resources() -> Json<Value> {
    Json(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": [
        {"name": "externalmetrics", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]},
    ]}))
}

type Segments = extract::Path<(String, String)>;

async fn values(State(api): State<Api>, extract::Path((namespace, metric)): Segments) -> Response {
    match value(&api, &namespace, &metric).await {
        Ok(value) => {
            let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
            // thousandths, as KEDA's adapter answers
            let value = format!("{:.0}m", (value * 1000.0).trunc());
            let item = json!({"metricName": metric, "metricLabels": {}, "timestamp": now, "value": value});
            let kind = "ExternalMetricValueList";
            Json(json!({"kind": kind, "apiVersion": VERSION, "metadata": {}, "items": [item]})).into_response()
        }
        Err(status) => {
            let (kind, message) = ("Status", status.to_string());
            let body = json!({"kind": kind, "apiVersion": "v1", "status": "Failure", "message": message, "code": 500});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
    }
}

/// The scaler's value of this metric, for the trigger of the namespace's HPA.
async fn value(api: &Api, namespace: &str, metric: &str) -> Result<f64, Status> {
    let hpa = api.find(&hpa_path(namespace)).await.ok_or_else(|| Status::not_found("no HPA in this namespace"))?;
    let trigger = hpa["metadata"]["annotations"][TRIGGER].as_str().unwrap();
    let (mut scaler, about) = scaler(namespace, &serde_json::from_str(trigger).unwrap());
    let metric_name = metric.strip_prefix(INDEX).unwrap_or(metric).to_owned();
    let request = GetMetricsRequest { scaled_object_ref: Some(about), metric_name };
    let response = scaler.get_metrics(request).await?.into_inner();
    response.metric_values.first().map(|value| value.metric_value_float).ok_or_else(|| Status::internal("no value"))
}

/// The metric that an HPA needs for a trigger with this metadata, as KEDA's operator requests it.
pub async fn metric_spec(namespace: &str, metadata: &Value) -> MetricSpec {
    let (mut scaler, about) = scaler(namespace, metadata);
    scaler.get_metric_spec(about).await.unwrap().into_inner().metric_specs.remove(0)
}

fn scaler(namespace: &str, metadata: &Value) -> (ExternalScalerClient<Channel>, ScaledObjectRef) {
    let scaler_metadata: HashMap<String, String> = serde_json::from_value(metadata.clone()).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", scaler_metadata["scalerAddress"])).unwrap();
    let channel = endpoint.connect_timeout(CALL_TIMEOUT).timeout(CALL_TIMEOUT).connect_lazy();
    let (name, namespace) = ("consumers".to_owned(), namespace.to_owned());
    (ExternalScalerClient::new(channel), ScaledObjectRef { name, namespace, scaler_metadata })
}
