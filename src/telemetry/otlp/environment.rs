//! OpenTelemetry's variables.

use std::env;
use std::time::Duration;

use opentelemetry_sdk::Resource;

pub(super) const NAME: &str = "keda-stream-scaler";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// Whether the environment names an endpoint for it, and forbids nothing.
    pub(super) fn is_wanted(self) -> bool {
        let disabled = is("OTEL_SDK_DISABLED", "true") || is(&format!("OTEL_{}_EXPORTER", self.word()), "none");
        !disabled && self.setting("ENDPOINT").is_some()
    }

    /// `OTEL_EXPORTER_OTLP_…` of this signal, or else of all.
    pub(super) fn setting(self, name: &str) -> Option<String> {
        self.own_setting(name).or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    /// `OTEL_EXPORTER_OTLP_…` of this signal alone.
    pub(super) fn own_setting(self, name: &str) -> Option<String> {
        variable(&format!("OTEL_EXPORTER_OTLP_{}_{name}", self.word()))
    }
}

/// A variable; the empty one is absent.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn is(name: &str, word: &str) -> bool {
    variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
}

/// So many milliseconds.
pub(super) fn milliseconds(name: &str, text: Option<String>, default: Duration) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(default) };
    match text.parse() {
        Ok(milliseconds @ 1..) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(format!("{name}: {text:?} must be a whole number of milliseconds, at least 1")),
    }
}

/// Who the spans and metrics are of; what the environment says comes first.
pub(super) fn resource() -> Resource {
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
    let resource = Resource::builder();
    if named { resource.build() } else { resource.with_service_name(NAME).build() }
}
