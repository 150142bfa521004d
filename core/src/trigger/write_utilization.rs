//! `scaleOn: writeUtilization`

use std::fmt;
use std::time::Duration;

use super::aws_access::AwsAccess;
use super::aws_names::KinesisStream;
use super::dialect::AwsDialect;
use super::metadata::Metadata;
use super::syntax::{Decimal, Range};

/// `scaleOn: writeUtilization`: the number of shards that the writes to a Kinesis stream need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriteUtilizationPolicy {
    /// The utilization of the shards after a change: 0.1 to 0.9.
    pub target_utilization: Decimal,
    /// The utilization that raises the count: above the target, at most 0.95.
    pub scale_up_utilization: Decimal,
    /// The count is lowered when it has been too high for this long: 30 min to 24 h.
    pub scale_down_after: Duration,
    /// Writes within this time are prepared for if they occurred at this time on both of the last two days: up to 6 h, and 0 for never.
    pub look_ahead: Duration,
}

/// The writes to a Kinesis stream, and the account through which they are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WritesSource {
    /// The name or ARN of the stream.
    pub stream: KinesisStream,
    /// Region, endpoint and identity.
    pub access: AwsAccess,
}

const TARGET: Range = Range {
    default: Decimal::from_thousandths(600),
    least: Decimal::from_thousandths(100),
    most: Decimal::from_thousandths(900),
};
const SCALE_UP: Range = Range {
    default: Decimal::from_thousandths(750),
    least: Decimal::from_thousandths(100),
    most: Decimal::from_thousandths(950),
};
const DEFAULT_DOWN_AFTER: Duration = Duration::from_secs(2 * 3600);
const SHORTEST_DOWN_AFTER: Duration = Duration::from_secs(1800);
/// `CloudWatch` is read for two days, and a habit needs both days.
const LONGEST_DOWN_AFTER: Duration = Duration::from_secs(86_400);
const DEFAULT_LOOK_AHEAD: Duration = Duration::from_secs(3600);
const LONGEST_LOOK_AHEAD: Duration = Duration::from_secs(6 * 3600);

impl WriteUtilizationPolicy {
    pub(super) fn read(metadata: &Metadata<'_>) -> Self {
        let target_utilization = metadata.decimal("targetUtilization", &TARGET);
        let scale_up_utilization = metadata.decimal("scaleUpUtilization", &SCALE_UP);
        if scale_up_utilization <= target_utilization {
            let message = format!("must be above targetUtilization, which is {target_utilization}");
            metadata.problem("scaleUpUtilization", message);
        }
        let duration = |key, default, least, most| metadata.duration(key, default, least, most);
        Self {
            target_utilization,
            scale_up_utilization,
            scale_down_after: duration("scaleDownAfter", DEFAULT_DOWN_AFTER, SHORTEST_DOWN_AFTER, LONGEST_DOWN_AFTER),
            look_ahead: duration("lookAhead", DEFAULT_LOOK_AHEAD, Duration::ZERO, LONGEST_LOOK_AHEAD),
        }
    }
}

impl Default for WriteUtilizationPolicy {
    /// The policy of metadata without any of its keys.
    fn default() -> Self {
        Self {
            target_utilization: TARGET.default,
            scale_up_utilization: SCALE_UP.default,
            scale_down_after: DEFAULT_DOWN_AFTER,
            look_ahead: DEFAULT_LOOK_AHEAD,
        }
    }
}

impl WritesSource {
    pub(super) fn read(metadata: &Metadata<'_>, dialect: AwsDialect) -> Option<Self> {
        if dialect != AwsDialect::Kinesis {
            let message = "writeUtilization is for source aws-kinesis-stream: DynamoDB sizes its streams itself";
            metadata.problem("scaleOn", message);
            return None;
        }
        let (stream, region) = KinesisStream::read(metadata);
        let access = AwsAccess::read(metadata, region);
        Some(Self { stream: stream?, access: access? })
    }
}

impl fmt::Display for WritesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writes to stream {}, {}", self.stream, self.access)
    }
}
