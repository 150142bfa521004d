//! Decisions as KEDA reads them: exactly one spec and one value, integer and float both set.

use super::proto::{GetMetricSpecResponse, GetMetricsResponse, MetricSpec, MetricValue};
use crate::scaling::{Decision, Quantity};

/// KEDA from v2.17 on reads the float where it is positive and else the integer; older versions read the integer only.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn spec(metric_name: String, target: Quantity) -> GetMetricSpecResponse {
    let spec = MetricSpec { metric_name, target_size: target.ceil(), target_size_float: target.get() };
    GetMetricSpecResponse { metric_specs: vec![spec] }
}

/// Zero is zero in both fields, and an integer never rounds a positive value to 0.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn value(metric_name: String, decision: &Decision) -> GetMetricsResponse {
    let value = decision.value;
    let value = MetricValue { metric_name, metric_value: value.ceil(), metric_value_float: value.get() };
    GetMetricsResponse { metric_values: vec![value] }
}
