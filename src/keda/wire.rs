//! Decisions as KEDA reads them: exactly one spec and one value.
//!
//! KEDA from v2.17 on reads the float where it is positive and else the integer; older versions read the integer only. Both are set,
//! but for a count that a float cannot hold: that is in the integer alone.

use super::proto::{GetMetricSpecResponse, GetMetricsResponse, MetricSpec, MetricValue};
use crate::scaling::{Decision, Quantity};

#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn spec(metric_name: String, target: Quantity) -> GetMetricSpecResponse {
    let spec = MetricSpec { metric_name, target_size: target.ceil(), target_size_float: float(target) };
    GetMetricSpecResponse { metric_specs: vec![spec] }
}

/// Zero is zero in both fields, and an integer never rounds a positive value to 0.
#[expect(deprecated, reason = "KEDA before v2.17 reads no other field")]
pub(super) fn value(metric_name: String, decision: &Decision) -> GetMetricsResponse {
    let value = decision.value;
    let value = MetricValue { metric_name, metric_value: value.ceil(), metric_value_float: float(value) };
    GetMetricsResponse { metric_values: vec![value] }
}

fn float(quantity: Quantity) -> f64 {
    quantity.exact_float().unwrap_or(0.0)
}
