//! The service's clock, from the dates of its answers: a machine whose own clock is wrong must not tell wrong ages.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use crate::lag::streams::Timestamp;

/// Dates are whole seconds and answers take time: what differs less than this is no difference.
const TOLERANCE_MS: i64 = 2_000;

/// How far this machine's clock is from the service's.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceClock(Arc<AtomicI64>);

impl ServiceClock {
    /// The service's time.
    pub(super) fn now(&self) -> Timestamp {
        let now = local_ms().saturating_add(self.0.load(Ordering::Relaxed));
        Timestamp::from_unix_ms(u64::try_from(now).unwrap_or(0))
    }

    fn learn(&self, date: &DateTime) {
        let ahead = date.secs().saturating_mul(1000).saturating_sub(local_ms());
        // a date is cut to the second, which may be nearly over: an age is rather told too high than too low
        let ahead = if ahead.abs() > TOLERANCE_MS { ahead.saturating_add(1000) } else { 0 };
        let before = self.0.swap(ahead, Ordering::Relaxed);
        if (before == 0) != (ahead == 0) {
            tracing::warn!(ahead_ms = ahead, "the service's clock and this machine's differ");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "records are stamped with the time of day")]
fn local_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "ServiceClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date")
            && let Ok(date) = DateTime::from_str(date, Format::HttpDate)
        {
            self.learn(&date);
        }
        Ok(())
    }
}
