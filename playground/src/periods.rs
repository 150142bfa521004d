//! What takes how long in a cluster, and how much shorter it is made for a show.

use std::time::Duration;

use keda_stream_scaler::scaling::hpa::{DOWNSCALE_STABILIZATION, SYNC_PERIOD};

/// In a cluster a replica may have the work of so many seconds before it. With less the HPA goes to its limit for every step, with
/// more the lag that this accepts is too old.
const LAG_THRESHOLD_SECONDS: u32 = 20;

/// What a consumer works on one record.
pub(super) const WORK: Duration = Duration::from_millis(25);
/// What that makes in a second.
pub(super) const RECORDS_A_SECOND: u32 = 40;

/// Periods of a cluster, all of them divided by the same number. With more than 5 the scaler's own least `pollInterval` would be longer
/// than its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Periods {
    pub(super) speed: u8,
    /// The HPA looks so often.
    pub(super) sync: Duration,
    /// The HPA goes down to the highest recommendation of so long.
    pub(super) down_window: Duration,
    /// From a replica's creation to its consumer's first request.
    pub(super) pod_start: Duration,
    /// The scaler reads so often.
    pub(super) poll: Duration,
    /// `maxAge`: no record is to wait longer.
    pub(super) objective: Duration,
    /// How often consumers commit.
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
