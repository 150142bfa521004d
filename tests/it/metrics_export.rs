//! Metrics: sent to a collector that the environment names, as a scrape would see them, and to nobody otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::endpoint::{Endpoint, says};
use crate::support::process::{Ended, Serving, run_in};
use crate::support::server::scaled_object;

const SOON: Duration = Duration::from_secs(20);
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const OFTEN: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "50");
const SELDOM: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "3600000");

/// A collector that keeps what it is sent, and may refuse a part of it.
#[derive(Clone, Default)]
struct Collector {
    exported: Arc<Mutex<Vec<Exported>>>,
    refused: Arc<AtomicI64>,
}

#[derive(Clone)]
struct Exported {
    tenant: Option<String>,
    request: ExportMetricsServiceRequest,
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").map(|tenant| tenant.to_str().unwrap().to_owned());
        self.exported.lock().unwrap().push(Exported { tenant, request: request.into_inner() });
        let refused = ExportMetricsPartialSuccess {
            rejected_data_points: self.refused.load(Ordering::Relaxed),
            error_message: "too many labels".to_owned(),
        };
        Ok(Response::new(ExportMetricsServiceResponse { partial_success: Some(refused) }))
    }
}

impl Collector {
    async fn start(self) -> (Self, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (self, address)
    }

    fn last(&self) -> Option<Exported> {
        self.exported.lock().unwrap().last().cloned()
    }

    /// What was sent last, as soon as this holds for it.
    async fn sent(&self, holds: impl Fn(&Exported) -> bool) -> Exported {
        let begun = Instant::now();
        loop {
            match self.last() {
                Some(exported) if holds(&exported) => return exported,
                last => {
                    let names = last.as_ref().map(Exported::families);
                    assert!(
                        begun.elapsed() < SOON,
                        "{:?}",
                        names.map(|families| families.into_keys().collect::<Vec<_>>())
                    );
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Exported {
    fn families(&self) -> BTreeMap<&str, &Data> {
        let metrics = &self.request.resource_metrics[0].scope_metrics[0].metrics;
        metrics.iter().map(|metric| (metric.name.as_str(), metric.data.as_ref().unwrap())).collect()
    }

    /// How many calls of `IsActive` had begun.
    fn calls(&self) -> f64 {
        let Data::Sum(started) = self.families()["grpc_server_started"] else { panic!("no sum") };
        let of_method =
            |key: &str, value: &Value| key == "grpc_method" && *value == Value::StringValue("IsActive".into());
        let mut points = started.data_points.iter();
        let point = points.find(|point| {
            let mut attributes = point.attributes.iter();
            attributes
                .any(|attribute| of_method(&attribute.key, attribute.value.as_ref().unwrap().value.as_ref().unwrap()))
        });
        match point.unwrap().value {
            Some(Number::AsDouble(value)) => value,
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(serving: &Serving, name: &str) {
    let about = scaled_object(name, &[("bootstrapServers", "127.0.0.1:9")]);
    serving.client().await.is_active(about).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scrape_sees_is_sent_to_the_collector_that_the_environment_names() {
    let (collector, address) = Collector::default().start().await;
    let endpoint = format!("http://{address}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        (PROTOCOL, "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        OFTEN,
    ];
    let serving = Serving::start_in("127.0.0.1:0", &environment, &[]).await;
    ask(&serving, "exported").await;
    let known_to_a_scrape: BTreeSet<_> = {
        let (_, text) = serving.get("/metrics").await;
        let lines = text.lines().zip(text.lines().skip(1));
        let with_series = lines.filter(|(_, next)| !next.starts_with('#')).map(|(line, _)| line);
        // the names of OpenMetrics, which has none of the endings
        let names = with_series.filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        names.map(|name| name.trim_end_matches("_total").trim_end_matches("_info").to_owned()).collect()
    };
    let all = |exported: &Exported| exported.families().len() >= known_to_a_scrape.len() && exported.calls() >= 1.0;
    let exported = collector.sent(all).await;
    let names: BTreeSet<_> = exported.families().into_keys().map(str::to_owned).collect();
    assert_eq!(names, known_to_a_scrape);
    let Data::Histogram(times) = exported.families()["grpc_server_handling_seconds"] else { panic!("no histogram") };
    let counted: Vec<_> = times.data_points.iter().filter(|point| point.count == 1).collect();
    assert_eq!((counted.len(), counted[0].explicit_bounds.len(), counted[0].bucket_counts.len()), (1, 8, 9));
    assert_eq!(exported.tenant.as_deref(), Some("shop"));
    let resource = format!("{:?}", exported.request.resource_metrics[0].resource);
    assert!(resource.contains("keda-stream-scaler") && resource.contains("deployment.environment.name"), "{resource}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_metrics_are_sent_at_the_end() {
    let (collector, address) = Collector::default().start().await;
    let endpoint = format!("http://{address}");
    let serving = Serving::start_in("127.0.0.1:0", &[(ENDPOINT, &endpoint), (PROTOCOL, "grpc"), SELDOM], &[]).await;
    ask(&serving, "last").await;
    assert!(collector.last().is_none());
    serving.signal("TERM").await;
    assert_eq!(serving.code().await, Some(0));
    assert!((collector.last().unwrap().calls() - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_all_signals_has_a_path_for_metrics_and_their_own_is_taken_as_it_is() {
    for (variable, path, expected) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/base/", "/base/v1/metrics"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/own", "/own"),
    ] {
        let collector = Endpoint::start(|_| says(200, "")).await;
        let endpoint = format!("{}{path}", collector.url());
        let serving = Serving::start_in("127.0.0.1:0", &[(variable, &endpoint), SELDOM], &[]).await;
        serving.signal("TERM").await;
        assert_eq!(serving.code().await, Some(0));
        let asked = collector.asked();
        let asked = asked.iter().find(|asked| asked.path == expected).unwrap_or_else(|| panic!("{asked:#?}"));
        assert_eq!(asked.header("content-type"), Some("application/x-protobuf"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_collector_is_connected_to_where_the_environment_forbids_it() {
    for forbidden in [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = Serving::start_in("127.0.0.1:0", &[(ENDPOINT, &endpoint), forbidden, OFTEN], &[]).await;
        ask(&serving, "unmeasured").await;
        serving.signal("TERM").await;
        assert_eq!(serving.code().await, Some(0));
        assert!(timeout(Duration::ZERO, listener.accept()).await.is_err(), "{forbidden:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_do_not_arrive_are_told_once_and_hold_nothing_up() {
    let (collector, refusing) = Collector::default().start().await;
    collector.refused.store(3, Ordering::Relaxed);
    let down = "127.0.0.1:9".parse().unwrap();
    for (address, why) in [(refusing, "3 were refused: too many labels"), (down, "Unavailable: ")] {
        let endpoint = format!("http://{address}");
        let serving = Serving::start_in("127.0.0.1:0", &[(ENDPOINT, &endpoint), (PROTOCOL, "grpc"), OFTEN], &[]).await;
        let told = serving.logged("message", "metrics cannot be exported").await.to_string();
        ask(&serving, "answered").await;
        let again = serving.lines().iter().filter(|line| line.contains("metrics cannot be exported")).count();
        assert!(again == 1 && told.contains(why), "{:#?}", serving.lines());
        if address == refusing {
            collector.refused.store(0, Ordering::Relaxed);
            serving.logged("message", "metrics are exported again").await;
        }
        serving.signal("TERM").await;
        assert_eq!(serving.code().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_asks_for_in_vain_ends_the_start_with_its_name() {
    for (name, value, expected) in [
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json", "\"http/json\" must be one of http/protobuf, grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_COMPRESSION: \"gzip\" must be none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "\"delta\" must be cumulative"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0", "must be a whole number of milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "OTEL_METRIC_EXPORT_INTERVAL: \"1m\" must be a whole number"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "secret", "OTEL_EXPORTER_OTLP_HEADERS: must be name=value"),
        (ENDPOINT, "collector", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: \"collector\""),
    ] {
        let environment = [(ENDPOINT, "http://127.0.0.1:9"), (name, value)];
        let Ended { code, stderr, .. } = run_in(&environment, &["serve"]).await;
        assert!(code == Some(1) && stderr.contains(expected), "{name}: {stderr}");
    }
}
