//! `scaleOn: catchUp`

use std::num::NonZeroU32;
use std::time::Duration;

use super::metadata::{Metadata, shown};
use super::syntax::{Decimal, Range};

/// `scaleOn: catchUp`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatchUpPolicy {
    /// The objective: no record waits longer than this, 5 s to 24 h.
    pub max_age: Duration,
    /// The utilization that consumers are sized for: 0.1 to 0.95.
    pub target_utilization: Decimal,
    /// The capacity of one consumer per second, used until it is measured: records, or kilobytes with KCL 3.
    pub capacity_per_consumer: Option<Decimal>,
    /// The number of consumers that run in a replica.
    pub consumers_per_replica: NonZeroU32,
    /// The HPA's `behavior.scaleDown.stabilizationWindowSeconds`: up to 1 h, as Kubernetes allows.
    pub stabilization_window: Duration,
    /// The HPA's `behavior.scaleUp.tolerance`: 0 to 1.
    pub scale_up_tolerance: Decimal,
    /// The threshold above which the workload is active.
    pub activation: Activation,
}

/// The threshold above which the workload is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The number of records behind.
    Lag(u64),
    /// The age of the oldest unread record.
    Age(Duration),
}

const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(5);
const LONGEST_MAX_AGE: Duration = Duration::from_secs(86_400);
/// Kubernetes' own default and limit.
const DEFAULT_STABILIZATION: Duration = Duration::from_secs(300);
const LONGEST_STABILIZATION: Duration = Duration::from_secs(3600);
const MOST_CONSUMERS: i64 = 1000;

const UTILIZATION: Range = Range {
    default: Decimal::from_thousandths(820),
    least: Decimal::from_thousandths(100),
    most: Decimal::from_thousandths(950),
};
/// Kubernetes' own default.
const TOLERANCE: Range = Range {
    default: Decimal::from_thousandths(100),
    least: Decimal::from_thousandths(0),
    most: Decimal::from_thousandths(1000),
};

impl CatchUpPolicy {
    pub(super) fn read(metadata: &Metadata<'_>, activation: Option<Activation>) -> Option<Self> {
        // the name of `maxAge` before 0.2
        let before = metadata.duration("catchUpTime", DEFAULT_MAX_AGE, SHORTEST_MAX_AGE, LONGEST_MAX_AGE);
        let max_age = metadata.duration("maxAge", before, SHORTEST_MAX_AGE, LONGEST_MAX_AGE);
        let stabilization_window = metadata.duration(
            "scaleDownStabilizationWindow",
            DEFAULT_STABILIZATION,
            Duration::ZERO,
            LONGEST_STABILIZATION,
        );
        let consumers = metadata.number("consumersPerReplica", 1, 1);
        if consumers > MOST_CONSUMERS {
            metadata.problem("consumersPerReplica", format!("must be at most {MOST_CONSUMERS}"));
        }
        let capacity = metadata.text("capacityPerConsumer").map(|text| {
            let capacity = Decimal::parse(text).filter(|number| *number > Decimal::from_thousandths(0));
            if capacity.is_none() {
                metadata.problem("capacityPerConsumer", format!("{} must be a number of at least 0.001", shown(text)));
            }
            capacity
        });
        Some(Self {
            max_age,
            target_utilization: metadata.decimal("targetUtilization", &UTILIZATION),
            capacity_per_consumer: capacity.flatten(),
            consumers_per_replica: u32::try_from(consumers).ok().and_then(NonZeroU32::new)?,
            stabilization_window,
            scale_up_tolerance: metadata.decimal("scaleUpTolerance", &TOLERANCE),
            activation: activation?,
        })
    }
}

impl Default for CatchUpPolicy {
    /// The activation of metadata without a threshold: any unread record activates.
    fn default() -> Self {
        Self {
            max_age: DEFAULT_MAX_AGE,
            target_utilization: UTILIZATION.default,
            capacity_per_consumer: None,
            consumers_per_replica: NonZeroU32::MIN,
            stabilization_window: DEFAULT_STABILIZATION,
            scale_up_tolerance: TOLERANCE.default,
            activation: Activation::Lag(0),
        }
    }
}
