//! `scaleOn: catchUp`

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::metadata::{Metadata, shown};

/// A number with three digits behind the point: exact, so that two triggers that say the same are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(u64);

/// `scaleOn: catchUp`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatchUpPolicy {
    /// The promise: no record waits longer than this, 5 s to 24 h.
    pub max_age: Duration,
    /// The share of their capacity that consumers are to use for what arrives: 0.1 to 0.95.
    pub target_utilization: Decimal,
    /// What one consumer can do in a second, until it is measured: records, or kilobytes with KCL 3.
    pub capacity_per_consumer: Option<Decimal>,
    /// How many consumers run in a replica.
    pub consumers_per_replica: NonZeroU32,
    /// The HPA's `behavior.scaleDown.stabilizationWindowSeconds`: up to 1 h, as Kubernetes allows.
    pub stabilization_window: Duration,
    /// The HPA's `behavior.scaleUp.tolerance`: 0 to 1.
    pub scale_up_tolerance: Decimal,
    /// When the workload is to run at all.
    pub activation: Activation,
}

/// The workload is active above this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// So many records behind.
    Lag(u64),
    /// An unread record this old.
    Age(Duration),
}

const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(5);
const LONGEST_MAX_AGE: Duration = Duration::from_secs(86_400);
/// Kubernetes' own default and limit.
const DEFAULT_STABILIZATION: Duration = Duration::from_secs(300);
const LONGEST_STABILIZATION: Duration = Duration::from_secs(3600);
const MOST_CONSUMERS: i64 = 1000;

const UTILIZATION: Range = Range { default: Decimal(820), least: Decimal(100), most: Decimal(950) };
/// Kubernetes' own default.
const TOLERANCE: Range = Range { default: Decimal(100), least: Decimal(0), most: Decimal(1000) };

struct Range {
    default: Decimal,
    least: Decimal,
    most: Decimal,
}

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
            let capacity = Decimal::parse(text).filter(|number| *number > Decimal(0));
            if capacity.is_none() {
                metadata.problem("capacityPerConsumer", format!("{} must be a number of at least 0.001", shown(text)));
            }
            capacity
        });
        Some(Self {
            max_age,
            target_utilization: number(metadata, "targetUtilization", &UTILIZATION),
            capacity_per_consumer: capacity.flatten(),
            consumers_per_replica: u32::try_from(consumers).ok().and_then(NonZeroU32::new)?,
            stabilization_window,
            scale_up_tolerance: number(metadata, "scaleUpTolerance", &TOLERANCE),
            activation: activation?,
        })
    }
}

impl Default for CatchUpPolicy {
    /// What metadata mean that say nothing; anything unread activates.
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

fn number(metadata: &Metadata<'_>, key: &str, range: &Range) -> Decimal {
    let Some(text) = metadata.text(key) else { return range.default };
    match Decimal::parse(text) {
        Some(number) if (range.least..=range.most).contains(&number) => number,
        _ => {
            let Range { least, most, .. } = range;
            metadata.problem(key, format!("{} must be a number from {least} to {most}", shown(text)));
            range.default
        }
    }
}

impl Decimal {
    /// A number in thousandths.
    pub(super) const fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths)
    }

    /// Digits, and up to three of them behind a point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| (1..=12).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return None;
        }
        Some(Self(whole.parse::<u64>().ok()? * 1000 + format!("{fraction:0<3}").parse::<u64>().ok()?))
    }

    /// The nearest such number; `None` for one below 0, or too great for its digits to be told.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    pub fn nearest(number: f64) -> Option<Self> {
        (0.0..1e12).contains(&number).then(|| Self((number * 1000.0).round() as u64))
    }

    /// The number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "twelve digits are fewer than a float's")]
    pub const fn get(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
