//! Traces: sent to a collector that the environment names, and to nobody otherwise.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::endpoint::{Endpoint, says};
use crate::support::process::Serving;
use crate::support::server::scaled_object;

const SOON: Duration = Duration::from_secs(20);
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Spans are sent so soon.
const AT_ONCE: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Exported>>>);

struct Exported {
    tenant: Option<String>,
    request: ExportTraceServiceRequest,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").map(|tenant| tenant.to_str().unwrap().to_owned());
        self.0.lock().unwrap().push(Exported { tenant, request: request.into_inner() });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (collector, address) = (Self::default(), listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|exported| &exported.request.resource_spans);
        resources.flat_map(|of| of.scope_spans.iter().flat_map(|of| of.spans.clone())).collect()
    }

    async fn span(&self, name: &str) -> Span {
        let begun = Instant::now();
        loop {
            if let Some(span) = self.spans().into_iter().find(|span| span.name == name) {
                return span;
            }
            assert!(begun.elapsed() < SOON, "no {name} in {:#?}", self.spans());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn ask(serving: &Serving, name: &str) {
    let about = scaled_object(name, &[("bootstrapServers", "127.0.0.1:9")]);
    serving.client().await.is_active(about).await.unwrap_err();
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    if let Some(Value::StringValue(text)) = &value.value { Some(text) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_rounds_and_requests_are_sent_to_the_collector_that_the_environment_names() {
    let (collector, address) = Collector::start().await;
    let endpoint = format!("http://{address}");
    let environment = [
        (ENDPOINT, endpoint.as_str()),
        (PROTOCOL, "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        AT_ONCE,
    ];
    let serving = Serving::start_in("127.0.0.1:0", &environment, &[]).await;
    ask(&serving, "traced").await;
    let call = collector.span("externalscaler.ExternalScaler/IsActive").await;
    assert_eq!(attribute(&call, "rpc.system.name"), Some("grpc"));
    let code = attribute(&call, "rpc.response.status_code");
    assert!(matches!(code, Some("UNAVAILABLE" | "DEADLINE_EXCEEDED")), "{call:#?}");
    let request = collector.span("kafka.Metadata").await;
    assert!(attribute(&request, "outcome").is_some_and(|outcome| outcome != "ok"), "{request:#?}");
    let round = collector.span("sampling round").await;
    let rounds: Vec<_> = collector.spans().into_iter().filter(|span| span.name == round.name).collect();
    assert!(rounds.iter().any(|round| round.span_id == request.parent_span_id), "{request:#?} in {rounds:#?}");
    {
        let requests = collector.0.lock().unwrap();
        let Exported { tenant, request } = &requests[0];
        assert_eq!(tenant.as_deref(), Some("shop"));
        let resource = format!("{:?}", request.resource_spans[0].resource);
        assert!(
            resource.contains("keda-stream-scaler") && resource.contains("deployment.environment.name"),
            "{resource}"
        );
    }
    // what is left is sent at the end
    let before = collector.spans().len();
    ask(&serving, "last").await;
    serving.signal("TERM").await;
    assert_eq!(serving.code().await, Some(0));
    let named = |span: &Span| span.name == "externalscaler.ExternalScaler/IsActive";
    assert_eq!(collector.spans().into_iter().skip(before).filter(named).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_chooses_the_protocol() {
    let collector = Endpoint::start(|_| says(200, "")).await;
    let environment =
        [(ENDPOINT, collector.url()), (PROTOCOL, "http/protobuf".to_owned()), ("OTEL_SERVICE_NAME", "mine".to_owned())];
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).chain([AT_ONCE]).collect();
    let serving = Serving::start_in("127.0.0.1:0", &environment, &[]).await;
    ask(&serving, "traced").await;
    let begun = Instant::now();
    while collector.asked().is_empty() {
        assert!(begun.elapsed() < SOON, "{:#?}", serving.lines());
        sleep(Duration::from_millis(10)).await;
    }
    let asked = &collector.asked()[0];
    assert_eq!((asked.path.as_str(), asked.header("content-type")), ("/v1/traces", Some("application/x-protobuf")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_connected_to_where_the_environment_forbids_it() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let environment = [(ENDPOINT, endpoint.as_str()), ("OTEL_SDK_DISABLED", "true"), AT_ONCE];
    let serving = Serving::start_in("127.0.0.1:0", &environment, &[]).await;
    ask(&serving, "untraced").await;
    serving.signal("TERM").await;
    assert_eq!(serving.code().await, Some(0));
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_is_told_once_and_holds_nothing_up() {
    let environment = [(ENDPOINT, "http://127.0.0.1:9"), (PROTOCOL, "grpc"), AT_ONCE];
    let serving = Serving::start_in("127.0.0.1:0", &environment, &[]).await;
    for number in 0..4 {
        ask(&serving, &format!("dropped-{number}")).await;
    }
    let begun = Instant::now();
    let told = || serving.lines().iter().filter(|line| line.contains("spans cannot be exported")).count();
    while told() == 0 {
        assert!(begun.elapsed() < SOON, "{:#?}", serving.lines());
        sleep(Duration::from_millis(10)).await;
    }
    ask(&serving, "dropped").await;
    assert_eq!(told(), 1, "{:#?}", serving.lines());
    let begun = Instant::now();
    serving.signal("TERM").await;
    assert_eq!(serving.code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
