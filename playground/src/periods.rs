//! The periods of a cluster, and how much shorter the demo makes them.

use std::time::Duration;

use keda_stream_scaler::scaling::hpa::SYNC_PERIOD;

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
    /// The HPAs' scale-down stabilization window.
    pub(super) down_window: Duration,
    /// The time from a pod's creation to its consumer's first request.
    pub(super) pod_start: Duration,
    /// The interval at which the scaler reads the source.
    pub(super) poll: Duration,
    /// The promise `maxAge`: no record may wait longer.
    pub(super) promise: Duration,
    /// The interval at which consumers commit.
    pub(super) commit: Duration,
    /// The time after which the leases of a KCL worker expire, and the interval at which they are assigned.
    pub(super) failover: Duration,
    /// The time that both groups have lived through before the start.
    pub(super) history: Duration,
}

impl Periods {
    /// Returns the periods at a speed, where `down_window` is the scale-down window of a cluster.
    pub(super) fn of(speed: u8, down_window: Duration) -> Self {
        let share = |seconds: u64| Duration::from_secs(seconds) / u32::from(speed);
        Self {
            speed,
            sync: SYNC_PERIOD / u32::from(speed),
            down_window: down_window / u32::from(speed),
            pod_start: share(20),
            poll: share(10),
            promise: share(60),
            // the default of Kafka's clients
            commit: share(5),
            // KCL's `failoverTimeMillis`
            failover: share(10),
            history: share(3600),
        }
    }
}
