//! The service's clock, from the `Date` headers of its answers: a wrong clock on this machine must not produce wrong ages.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;

use tokio::time::Instant;

use crate::lag::streams::Timestamp;

/// Smaller differences count as none, in milliseconds.
const TOLERANCE_MS: i64 = 1_000;

/// Answers that took longer, in milliseconds, are not used to measure the difference.
const QUICK_MS: i64 = 1_000;

/// The difference between this machine's clock and the service's, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceClock(Arc<AtomicI64>);

impl ServiceClock {
    /// Returns the time of the service's clock.
    pub(super) fn now(&self) -> Timestamp {
        let now = local_ms().saturating_add(self.0.load(Ordering::Relaxed));
        Timestamp::from_unix_ms(u64::try_from(now).unwrap_or(0))
    }

    fn learn(&self, date: &DateTime, answer: Exchange) {
        let before = self.0.load(Ordering::Relaxed);
        let ahead = answer.ahead(date.secs().saturating_mul(1000), before);
        self.0.store(ahead, Ordering::Relaxed);
        match (before, ahead) {
            (0, 0) => {}
            (0, _) => tracing::warn!(ahead_ms = ahead, "clock skew detected: AWS's clock differs from this machine's"),
            (_, 0) => {
                tracing::info!(ahead_ms = before, "clock skew gone: AWS's clock agrees with this machine's again");
            }
            _ => {}
        }
    }
}

/// When a request was sent and its answer received, in Unix milliseconds by this machine's clock.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    sent_ms: i64,
    received_ms: i64,
}

impl Exchange {
    /// Returns how far the service's clock is ahead, in milliseconds, given the answer's `date_ms` and the difference known `before`.
    ///
    /// The service took its time somewhere between the two moments and truncated it to the second. A quick answer shows the difference;
    /// a slow one only whether a known difference can still be right.
    fn ahead(self, date_ms: i64, before: i64) -> i64 {
        let least = date_ms.saturating_sub(self.received_ms);
        let most = date_ms.saturating_add(1000).saturating_sub(self.sent_ms).max(least);
        let possible = |ahead: i64| (least - TOLERANCE_MS..=most + TOLERANCE_MS).contains(&ahead);
        let quick = self.received_ms - self.sent_ms <= QUICK_MS;
        match (possible(0), quick) {
            // a known difference that is still possible is kept, so that the value does not oscillate between answers
            _ if possible(before) => before,
            (true, _) => 0,
            // an age that is too high is preferred to one that is too low
            (false, true) => most,
            (false, false) => before.clamp(least, most),
        }
    }
}

/// When a request was sent, stored with the request.
#[derive(Clone, Copy, Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

#[expect(clippy::disallowed_methods, reason = "records are stamped with wall-clock time")]
fn local_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "ServiceClock"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Sent(Instant::now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Sent(sent)) = config.load::<Sent>().copied()
            && let Some(date) = context.response().headers().get("date")
            && let Ok(date) = DateTime::from_str(date, Format::HttpDate)
        {
            let took = i64::try_from(sent.elapsed().as_millis()).unwrap_or(i64::MAX);
            let received_ms = local_ms();
            self.learn(&date, Exchange { sent_ms: received_ms.saturating_sub(took), received_ms });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    /// Returns the difference that is known after an answer that took `took`; the service, whose clock is `skew` ahead, stamped it
    /// `after` the request was sent.
    fn learned(skew: i64, phase: i64, after: i64, took: i64, before: i64) -> i64 {
        let sent_ms = NOON + phase;
        let date_ms = (sent_ms + after + skew).div_euclid(1000) * 1000;
        Exchange { sent_ms, received_ms: sent_ms + took }.ahead(date_ms, before)
    }

    #[test]
    fn an_answer_that_is_late_is_no_skew() {
        for phase in (0..1000).step_by(37) {
            for took in [0, 500, 2_100, 3_000, 9_000, 60_000] {
                for after in [0, took / 2, took] {
                    assert_eq!(learned(0, phase, after, took, 0), 0, "after {after} of {took} ms");
                    let known = learned(5_000, phase, after, took, 5_500);
                    assert!(
                        (5_000..=7_000).contains(&known),
                        "a known skew stays: {known}, after {after} of {took} ms"
                    );
                }
            }
        }
    }

    #[test]
    fn a_skew_is_learned_from_a_quick_answer_and_never_too_small() {
        for skew in [-7_200_000, -5_000, 4_000, 5_000, 86_400_000] {
            for phase in (0..1000).step_by(37) {
                for took in [0, 15, 400, 900] {
                    let known = learned(skew, phase, took / 2, took, 0);
                    assert!((skew..=skew + 2_000).contains(&known), "{skew}: {known}");
                    assert_eq!(learned(0, phase, took / 2, took, known), 0, "and goes when the clocks agree again");
                }
            }
        }
    }

    #[test]
    fn a_slow_answer_corrects_what_cannot_be_right() {
        let known = learned(3_600_000, 0, 1_500, 3_000, 0);
        assert!((3_597_000..=3_604_000).contains(&known), "{known}");
        assert_eq!(learned(0, 0, 3_000, 3_000, 3_600_000), 0);
    }
}
