//! The way to a collector: gRPC, or protobuf over HTTP.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Url, redirect};
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::environment::Signal;

const PATH: &str = "v1/metrics";
const PROTOBUF: &str = "application/x-protobuf";

/// How long a collector may take: OpenTelemetry's default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends metrics.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    headers: HeaderMap,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Grpc(MetricsServiceClient<Channel>),
    Http(reqwest::Client, Url),
}

impl Transport {
    /// As the environment says. Needs a runtime.
    pub(super) fn from_environment() -> Result<Self, String> {
        let of = Signal::Metrics;
        refuse_what_is_not_there()?;
        let timeout = super::environment::milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", of.setting("TIMEOUT"), TIMEOUT)?;
        let headers = of.setting("HEADERS").map_or(Ok(HeaderMap::new()), |text| headers(&text))?;
        let way = match of.setting("PROTOCOL").as_deref() {
            Some("grpc") => Way::Grpc(MetricsServiceClient::new(channel(timeout)?)),
            None | Some("http/protobuf") => Way::Http(http(timeout)?, url()?),
            Some(other) => {
                return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL: {other:?} must be one of http/protobuf, grpc"));
            }
        };
        Ok(Self { headers, way })
    }

    /// Sends, within the deadline.
    pub(super) async fn send(&self, metrics: ExportMetricsServiceRequest) -> Result<(), String> {
        let answer = match &self.way {
            Way::Grpc(client) => {
                let mut request = Request::new(metrics);
                *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
                let sent = client.clone().export(request).await;
                sent.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?.into_inner()
            }
            Way::Http(client, url) => {
                self.post(client, url, &metrics).await.map_err(|error| chain(&error.without_url()))?
            }
        };
        match answer.partial_success {
            Some(part) if part.rejected_data_points > 0 => {
                Err(format!("{} were refused: {}", part.rejected_data_points, part.error_message))
            }
            _ => Ok(()),
        }
    }

    async fn post(
        &self,
        client: &reqwest::Client,
        url: &Url,
        metrics: &ExportMetricsServiceRequest,
    ) -> reqwest::Result<ExportMetricsServiceResponse> {
        let request = client.post(url.clone()).headers(self.headers.clone()).header(CONTENT_TYPE, PROTOBUF);
        let answer = request.body(metrics.encode_to_vec()).send().await?.error_for_status()?;
        // an answer that says nothing in protobuf refuses nothing
        Ok(ExportMetricsServiceResponse::decode(answer.bytes().await?).unwrap_or_default())
    }
}

/// What the environment may ask for, and would silently not get.
fn refuse_what_is_not_there() -> Result<(), String> {
    let known = [("COMPRESSION", "none"), ("METRICS_TEMPORALITY_PREFERENCE", "cumulative")];
    for (name, only) in known {
        let set = Signal::Metrics.setting(name).filter(|value| !value.eq_ignore_ascii_case(only));
        if let Some(value) = set {
            return Err(format!("OTEL_EXPORTER_OTLP_{name}: {value:?} must be {only}"));
        }
    }
    Ok(())
}

fn channel(timeout: Duration) -> Result<Channel, String> {
    let url = Signal::Metrics.setting("ENDPOINT").unwrap_or_default();
    let wrong = |error: tonic::transport::Error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {url:?}: {}", chain(&error));
    let endpoint = Endpoint::from_shared(url.clone()).map_err(wrong)?.timeout(timeout).connect_timeout(timeout);
    let encrypted = url.starts_with("https:");
    let tls = ClientTlsConfig::new().with_enabled_roots();
    let endpoint = if encrypted { endpoint.tls_config(tls).map_err(wrong)? } else { endpoint };
    Ok(endpoint.connect_lazy())
}

/// The signal's own endpoint is taken as it is; that of all signals is what their paths are under.
fn url() -> Result<Url, String> {
    let of = Signal::Metrics;
    let (name, text) = if let Some(own) = of.own_setting("ENDPOINT") {
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", own)
    } else {
        let base = of.setting("ENDPOINT").unwrap_or_default();
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/{PATH}", base.trim_end_matches('/')))
    };
    Url::parse(&text).map_err(|error| format!("{name}: {text:?}: {error}"))
}

fn http(timeout: Duration) -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder().timeout(timeout).redirect(redirect::Policy::none()).build();
    client.map_err(|error| format!("could not prepare for a collector: {}", chain(&error)))
}

/// `name=value,…`, the values percent-encoded: secrets, as a rule, so a mistake is told without them.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let header = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let (name, mut value) = (HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(&*value).ok()?);
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers: Option<HeaderMap> = entries.map(header).collect();
    headers
        .ok_or_else(|| "OTEL_EXPORTER_OTLP_HEADERS: must be name=value,name=value with percent-encoded values".into())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs_with_decoded_values() {
        let read = headers("authorization=Bearer%20a%3Db, x-tenant=shop,").unwrap();
        assert!(read["authorization"] == "Bearer a=b" && read["x-tenant"] == "shop", "other values");
        assert!(!format!("{read:?}").contains("Bearer"), "a secret is shown");
        for wrong in ["novalue", "na me=v", "n=%0a"] {
            let error = headers(wrong).unwrap_err();
            assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains(wrong), "{error}");
        }
    }
}
