//! KEDA's external-scaler contract: translates RPCs to the domain and back.
//!
//! Every RPC is answered from its metadata and from memory. `GetMetrics` and `IsActive` use one sample and one decision;
//! `GetMetricSpec` reads nothing but the metadata and never fails, because KEDA drops the text of its errors.

#[expect(clippy::pedantic, missing_docs, reason = "generated")]
#[rustfmt::skip]
#[path = "gen/externalscaler.rs"]
pub mod proto;

mod caller;
mod connections;
mod push;
mod server;
mod status;

use std::pin::Pin;
use std::time::Duration;

use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use self::caller::Acceptance;
use self::proto::external_scaler_server::ExternalScaler;
use self::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
pub use self::server::{CallerLimits, Incoming, Limits, ServeError, serve, serve_service};
pub use self::status::code_of;
use crate::lag::{Observe, SourceError};
use crate::limits::{Limit, Quota};
use crate::sampler::{Answer, PATIENCE, Sampler, ScaledObjectKey};
use crate::scaling::{Decision, Quantity, decide};
use crate::telemetry::{Call, RpcMethod, RpcMetrics};
use crate::trigger::{Trigger, metric_name, metric_target};

/// The part of a caller's deadline that is reserved for the response.
const MARGIN: Duration = Duration::from_millis(500);

/// Serves the RPCs of the contract.
pub struct ScalerService<O: Observe> {
    sampler: Sampler<O>,
    metrics: RpcMetrics,
    acceptance: Acceptance,
    streams: push::StreamLimits,
}

type StreamOf<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

// === impl ScalerService ===

impl<O: Observe> ScalerService<O> {
    /// Creates a service over `sampler`; `drain` ends its streams, each of which lives for `stream_lifetime` at most.
    pub fn new(
        sampler: Sampler<O>,
        metrics: RpcMetrics,
        callers: &CallerLimits,
        drain: CancellationToken,
        stream_lifetime: Duration,
    ) -> Self {
        let CallerLimits { limits, metrics: limit_metrics } = callers;
        let acceptance = Acceptance::new(limits.metadata_bytes, limit_metrics);
        let open = Quota::new(limits.streams, Limit::Streams, Limit::StreamsPerNamespace, limit_metrics);
        Self { sampler, metrics, acceptance, streams: push::StreamLimits { drain, lifetime: stream_lifetime, open } }
    }

    /// Parses the trigger of a call. Nothing is read for bad metadata, so that operators would not see it otherwise.
    fn trigger(&self, about: &ScaledObjectRef) -> Result<Trigger, Status> {
        Acceptance::check_names(about)?;
        let parse = || Trigger::parse(&about.scaler_metadata).map_err(|error| status::bad_metadata(&error));
        let trigger = self.acceptance.check_size(about).and_then(|()| parse());
        trigger.inspect_err(|refused| self.sampler.refuse(caller(about), refused.message()))
    }

    async fn judged(&self, about: &ScaledObjectRef, patience: Duration) -> Result<Decision, Status> {
        let trigger = self.trigger(about)?;
        let answer = self.sampler.ask(caller(about), &trigger, patience).await;
        if answer.is_ok() {
            self.sampler.note(&trigger.source, &about.scaler_metadata);
        }
        answer.and_then(|answer| judge(&trigger, &answer)).map_err(|error| status::no_reading(&error))
    }
}

/// Records the end of a call.
fn ended<T>(call: Call, outcome: Result<T, Status>) -> Result<Response<T>, Status> {
    call.ended(status::names(outcome.as_ref().err().map_or(Code::Ok, Status::code)));
    outcome.map(Response::new)
}

/// Returns the `ScaledObject` on whose behalf KEDA calls.
fn caller(about: &ScaledObjectRef) -> ScaledObjectKey<'_> {
    ScaledObjectKey::new(&about.namespace, &about.name)
}

fn judge(trigger: &Trigger, answer: &Answer) -> Result<Decision, SourceError> {
    decide(&trigger.policy, &trigger.source, &answer.sample)
}

fn spec_of(about: &ScaledObjectRef) -> GetMetricSpecResponse {
    let metadata = &about.scaler_metadata;
    encoded_spec(metric_name(metadata).to_string(), Quantity::from_count(metric_target(metadata).get()))
}

/// Returns how long the caller can wait for a first reading: its own deadline minus the reserve for the response.
fn patience<T>(request: &Request<T>) -> Duration {
    let deadline = request.metadata().get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
    deadline.map_or(PATIENCE, |deadline| deadline.saturating_sub(MARGIN).min(PATIENCE))
}

/// Parses the gRPC specification's `TimeoutValue TimeoutUnit`: at most eight digits and one of `H M S m u n`.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (value, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value: u64 = value.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(value.saturating_mul(60))),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[tonic::async_trait]
impl<O: Observe> ExternalScaler for ScalerService<O> {
    type StreamIsActiveStream = StreamOf<IsActiveResponse>;
    type StreamMetricSpecStream = StreamOf<GetMetricSpecResponse>;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let call = self.metrics.started(RpcMethod::IsActive);
        let decision = self.judged(request.get_ref(), patience(&request)).await;
        ended(call, decision.map(|decision| IsActiveResponse { result: decision.active }))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let call = self.metrics.started(RpcMethod::GetMetricSpec);
        ended(call, Ok(spec_of(request.get_ref())))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let call = self.metrics.started(RpcMethod::GetMetrics);
        let patience = patience(&request);
        let GetMetricsRequest { scaled_object_ref, metric_name: asked } = request.into_inner();
        let about = scaled_object_ref.unwrap_or_default();
        let outcome = self.judged(&about, patience).await.map(|decision| {
            let name = if asked.is_empty() { metric_name(&about.scaler_metadata).to_string() } else { asked };
            encoded_value(name, &decision)
        });
        ended(call, outcome)
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let call = self.metrics.started(RpcMethod::StreamIsActive);
        let about = request.get_ref();
        let trigger = self.trigger(about);
        match trigger.and_then(|trigger| push::watch(&self.sampler, about, trigger, &self.streams)) {
            Ok(watched) => Ok(Response::new(push::activity(watched, &self.streams, call))),
            Err(status) => ended(call, Err(status)),
        }
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let call = self.metrics.started(RpcMethod::StreamMetricSpec);
        let about = request.get_ref();
        let accepted = Acceptance::check_names(about).and_then(|()| self.acceptance.check_size(about));
        match accepted.and_then(|()| self.streams.admit(&about.namespace)) {
            Ok(pass) => Ok(Response::new(push::specs(spec_of(about), pass, &self.streams, call))),
            Err(status) => ended(call, Err(status)),
        }
    }
}

/// Encodes a spec. KEDA from v2.17 on reads the float if it is positive and otherwise the integer; older versions read only the integer.
/// Both are set, except for a count that a float cannot represent: that is set in the integer only.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
fn encoded_spec(metric_name: String, target: Quantity) -> GetMetricSpecResponse {
    let spec = MetricSpec { metric_name, target_size: target.ceil(), target_size_float: float(target) };
    GetMetricSpecResponse { metric_specs: vec![spec] }
}

/// Encodes a value. Zero is zero in both fields, and an integer never rounds a positive value to 0.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
fn encoded_value(metric_name: String, decision: &Decision) -> GetMetricsResponse {
    let value = decision.value;
    let value = MetricValue { metric_name, metric_value: value.ceil(), metric_value_float: float(value) };
    GetMetricsResponse { metric_values: vec![value] }
}

fn float(quantity: Quantity) -> f64 {
    quantity.exact_float().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_deadline_is_read_in_every_unit_of_the_specification() {
        let cases = [
            ("3S", Some(Duration::from_secs(3))),
            ("3000m", Some(Duration::from_secs(3))),
            ("2999871u", Some(Duration::from_micros(2_999_871))),
            ("5n", Some(Duration::from_nanos(5))),
            ("1M", Some(Duration::from_secs(60))),
            ("1H", Some(Duration::from_secs(3600))),
            ("", None),
            ("S", None),
            ("3x", None),
            ("-3S", None),
            ("3µ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(grpc_timeout(text), expected, "{text}");
        }
    }

    #[test]
    fn a_first_reading_is_waited_for_no_longer_than_the_caller_can() {
        let mut request = Request::new(());
        assert_eq!(patience(&request), PATIENCE);
        for (timeout, expected) in [("3S", PATIENCE), ("2S", Duration::from_millis(1500)), ("400m", Duration::ZERO)] {
            request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("a header"));
            assert_eq!(patience(&request), expected, "{timeout}");
        }
    }
}
