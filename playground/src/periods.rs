//! The periods of a cluster, and how much shorter the demo makes them.

use std::time::Duration;

use keda_stream_scaler::scaling::hpa::{DOWNSCALE_STABILIZATION, SYNC_PERIOD};

/// The seconds of work that a replica may have as lag, in a cluster. With less the HPA scales to its limit at every step, with more
/// the lag that the threshold accepts is too old.
const LAG_THRESHOLD_SECONDS: u32 = 20;

/// The time that a consumer needs for one record.
pub(super) const WORK: Duration = Duration::from_millis(25);
/// The resulting throughput of a consumer, in records per second.
pub(super) const RECORDS_A_SECOND: u32 = 40;

/// Periods of a cluster, all divided by the same number. With more than 5 the scaler's own minimum `pollInterval` would be longer
/// than its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Periods {
    pub(super) speed: u8,
    /// The interval at which the HPA reads the metric.
    pub(super) sync: Duration,
    /// The HPA's scale-down stabilization window.
    pub(super) down_window: Duration,
    /// The time from a replica's creation to its consumer's first request.
    pub(super) pod_start: Duration,
    /// The interval at which the scaler reads the source.
    pub(super) poll: Duration,
    /// The objective `maxAge`: no record may wait longer.
    pub(super) objective: Duration,
    /// The interval at which consumers commit.
    pub(super) commit: Duration,
}

impl Periods {
    pub(super) fn of(speed: u8) -> Self {
        let share = |seconds: u64| Duration::from_secs(seconds) / u32::from(speed);
        Self {
            speed,
            sync: SYNC_PERIOD / u32::from(speed),
            // a quarter of Kubernetes' default: the policy needs less, and the lag threshold needs that much
            down_window: DOWNSCALE_STABILIZATION / 4 / u32::from(speed),
            pod_start: share(20),
            poll: share(10),
            objective: share(60),
            // the default of Kafka's clients
            commit: share(5),
        }
    }

    pub(super) fn lag_threshold(self) -> u32 {
        LAG_THRESHOLD_SECONDS * RECORDS_A_SECOND / u32::from(self.speed)
    }
}
