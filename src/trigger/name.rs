//! The metric's name and target: pure functions of the metadata that never fail.
//!
//! The name stands in the HPA, and KEDA asks for it before anything is known to be right; so it is the built-in's name, also
//! for metadata that is otherwise wrong.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;

use super::metadata::Metadata;
use super::syntax;

/// KEDA's default for `lagThreshold`.
pub(super) const DEFAULT_LAG_THRESHOLD: i64 = 10;

/// A metric's name: one segment of a path, by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName(String);

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The built-in's name for this trigger, without KEDA's `s0-`.
#[must_use]
pub fn metric_name(metadata: &HashMap<String, String>) -> MetricName {
    let metadata = Metadata::new(metadata);
    let name = match (metadata.text("topic"), metadata.text("consumerGroup")) {
        (Some(topics), _) if metadata.text("source") == Some("apache-kafka") => {
            let topics: Vec<_> = topics.split(',').map(str::trim).collect();
            format!("kafka-{}", topics.join(","))
        }
        (Some(topic), _) => format!("kafka-{topic}"),
        (None, Some(group)) => format!("kafka-{group}-topics"),
        (None, None) => "kafka".to_owned(),
    };
    MetricName(normalize(&name))
}

/// The target of the metric: the threshold, or its default where the threshold is wrong.
#[must_use]
pub fn metric_target(metadata: &HashMap<String, String>) -> NonZeroU64 {
    let text = Metadata::new(metadata).text("lagThreshold");
    let threshold = text.and_then(syntax::parse_integer).unwrap_or(DEFAULT_LAG_THRESHOLD);
    positive(threshold).or_else(|| positive(DEFAULT_LAG_THRESHOLD)).unwrap_or(NonZeroU64::MIN)
}

pub(super) fn positive(number: i64) -> Option<NonZeroU64> {
    u64::try_from(number).ok().and_then(NonZeroU64::new)
}

/// KEDA's `NormalizeString`; beyond it, what cannot stand in a path or a header.
fn normalize(name: &str) -> String {
    name.chars()
        .map(|sign| match sign {
            '/' | '.' | ':' | '%' | '(' | ')' | '?' | '#' | '\\' => '-',
            sign if sign.is_control() || sign.is_whitespace() || !sign.is_ascii() => '-',
            sign => sign,
        })
        .collect()
}
