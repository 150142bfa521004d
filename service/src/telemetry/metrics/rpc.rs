//! Metrics of the contract's RPCs, under the names that all gRPC servers use, so that their dashboards work.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::Span;

use super::PREFIX;
use crate::telemetry::traces;

const SERVICE: &str = "externalscaler.ExternalScaler";

/// The histogram buckets in seconds: answers come from memory in microseconds; the first reading of a target may take up to 2.5 s.
const SECONDS: [f64; 8] = [0.000_1, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

/// The code of a call that its caller cancelled.
const CANCELED: RpcCode = RpcCode { name: "CANCELLED", label: "Canceled" };

/// The names of a gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcCode {
    /// The name in the specification, such as `NOT_FOUND`.
    pub name: &'static str,
    /// The name in metrics, such as `NotFound`, as servers in Go write it.
    pub label: &'static str,
}

/// A method of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RpcMethod {
    /// The RPC `IsActive`.
    IsActive,
    /// The RPC `StreamIsActive`.
    StreamIsActive,
    /// The RPC `GetMetricSpec`.
    GetMetricSpec,
    /// The RPC `StreamMetricSpec`.
    StreamMetricSpec,
    /// The RPC `GetMetrics`.
    GetMetrics,
}

/// Counts RPCs and measures their time.
#[derive(Clone, Debug)]
pub struct RpcMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    /// The metrics in the order of [`RpcMethod::ALL`]: every call uses them, so there is no lookup by label.
    methods: [OfMethod; RpcMethod::ALL.len()],
    handled: Family<HandledLabels, Counter>,
    streams: Gauge,
}

#[derive(Debug)]
struct OfMethod {
    started: Counter,
    seconds: Histogram,
}

/// An RPC in progress. If it is dropped before it has ended, its caller has cancelled it.
#[derive(Debug)]
pub struct Call {
    metrics: RpcMetrics,
    method: RpcMethod,
    begun: Instant,
    code: RpcCode,
    span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MethodLabels(RpcMethod);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HandledLabels {
    method: MethodLabels,
    code: &'static str,
}

impl RpcCode {
    /// Returns whether the code means a server error, by the semantic conventions.
    fn is_of_server(self) -> bool {
        ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"].contains(&self.name)
    }
}

// === impl RpcMethod ===

impl RpcMethod {
    const ALL: [Self; 5] =
        [Self::IsActive, Self::StreamIsActive, Self::GetMetricSpec, Self::StreamMetricSpec, Self::GetMetrics];

    const fn name(self) -> &'static str {
        match self {
            Self::IsActive => "IsActive",
            Self::StreamIsActive => "StreamIsActive",
            Self::GetMetricSpec => "GetMetricSpec",
            Self::StreamMetricSpec => "StreamMetricSpec",
            Self::GetMetrics => "GetMetrics",
        }
    }

    const fn is_stream(self) -> bool {
        matches!(self, Self::StreamIsActive | Self::StreamMetricSpec)
    }
}

// === impl RpcMetrics ===

impl RpcMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let started = Family::<MethodLabels, Counter>::default();
        let seconds =
            Family::<MethodLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let (handled, streams) = (Family::default(), Gauge::default());
        let methods = RpcMethod::ALL.map(MethodLabels).map(|method| OfMethod {
            started: started.get_or_create(&method).clone(),
            seconds: seconds.get_or_create(&method).clone(),
        });
        registry.register("grpc_server_started", "RPCs begun", started);
        registry.register("grpc_server_handled", "RPCs ended, by gRPC code", handled.clone());
        registry.register("grpc_server_handling_seconds", "Time of an RPC, streams included", seconds);
        registry.sub_registry_with_prefix(PREFIX).register("streams", "Open push streams", streams.clone());
        Self(Arc::new(Families { methods, handled, streams }))
    }

    /// Starts an RPC.
    #[must_use]
    pub fn started(&self, method: RpcMethod) -> Call {
        self.0.methods[method as usize].started.inc();
        if method.is_stream() {
            self.0.streams.inc();
        }
        let span = traces::rpc(SERVICE, method.name());
        Call { metrics: self.clone(), method, begun: Instant::now(), code: CANCELED, span }
    }
}

// === impl Call ===

impl Call {
    /// Ends the RPC with this code.
    pub fn ended(mut self, code: RpcCode) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Families { methods, handled, streams } = &*self.metrics.0;
        methods[self.method as usize].seconds.observe(self.begun.elapsed().as_secs_f64());
        let method = MethodLabels(self.method);
        handled.get_or_create(&HandledLabels { method, code: self.code.label }).inc();
        traces::end(&self.span, "rpc.response.status_code", self.code.name, self.code.is_of_server());
        if self.method.is_stream() {
            streams.dec();
        }
    }
}

// === labels ===

impl EncodeLabelSet for MethodLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let kind = if self.0.is_stream() { "server_stream" } else { "unary" };
        ("grpc_type", kind).encode(encoder.encode_label())?;
        ("grpc_service", SERVICE).encode(encoder.encode_label())?;
        ("grpc_method", self.0.name()).encode(encoder.encode_label())
    }
}

impl EncodeLabelSet for HandledLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.method.encode(encoder)?;
        ("grpc_code", self.code).encode(encoder.encode_label())
    }
}
