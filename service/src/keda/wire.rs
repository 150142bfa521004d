//! Encodes decisions for KEDA: exactly one spec and one value.
//!
//! KEDA from v2.17 on reads the float if it is positive and otherwise the integer; older versions read only the integer. Both are
//! set, except for a count that a float cannot represent: that is set in the integer only.

use super::proto::{GetMetricSpecResponse, GetMetricsResponse, MetricSpec, MetricValue};
use crate::scaling::{Decision, Quantity};

#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn spec(metric_name: String, target: Quantity) -> GetMetricSpecResponse {
    let spec = MetricSpec { metric_name, target_size: target.ceil(), target_size_float: float(target) };
    GetMetricSpecResponse { metric_specs: vec![spec] }
}

/// Encodes a value. Zero is zero in both fields, and an integer never rounds a positive value to 0.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn value(metric_name: String, decision: &Decision) -> GetMetricsResponse {
    let value = decision.value;
    let value = MetricValue { metric_name, metric_value: value.ceil(), metric_value_float: float(value) };
    GetMetricsResponse { metric_values: vec![value] }
}

fn float(quantity: Quantity) -> f64 {
    quantity.exact_float().unwrap_or(0.0)
}
