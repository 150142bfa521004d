//! `scaleOn: writeUtilization`

use std::time::Duration;

use super::Decimal;

/// `scaleOn: writeUtilization`: as many shards as the writes to a Kinesis stream need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriteUtilizationPolicy {
    /// The use of the shards after a change: 0.1 to 0.9.
    pub target_utilization: Decimal,
    /// The use that raises the count: above the target, at most 0.95.
    pub scale_up_utilization: Decimal,
    /// The count is lowered when it has been too high for this long: 30 min to 24 h.
    pub scale_down_after: Duration,
    /// What is due within this time is prepared for, where it came at this time on both of the last two days: up to 6 h, and 0 for never.
    pub look_ahead: Duration,
}

impl Default for WriteUtilizationPolicy {
    fn default() -> Self {
        Self {
            target_utilization: Decimal::from_thousandths(600),
            scale_up_utilization: Decimal::from_thousandths(750),
            scale_down_after: Duration::from_secs(7200),
            look_ahead: Duration::from_secs(3600),
        }
    }
}
