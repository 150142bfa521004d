//! What was decided and why: one value that the RPC, the JSON, the command line and the page all print.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::catch_up::CatchUpStep;
use crate::lag::streams::AgeBasis;
use crate::lag::{Checkpoints, LagBasis, Observation};

/// A metric's value or target: finite and never negative, by construction.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Quantity(f64);

/// The answer for one trigger at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The metric's value.
    pub value: Quantity,
    /// The metric's target for each replica.
    pub target: Quantity,
    /// Whether the workload should run at all: the activity is strictly greater than its threshold.
    pub active: bool,
    /// How it came about, in order.
    pub steps: Vec<Step>,
}

/// One step towards a decision; `Display` says it in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
pub enum Step {
    /// The partitions that were counted.
    Counted {
        /// How many.
        partitions: u64,
        /// How many of them have lag.
        with_lag: u64,
        /// The sum of their lags.
        lag: i64,
    },
    /// Partitions are selected that do not exist.
    SelectedBeyond {
        /// Their numbers: ranges with both ends.
        ranges: Vec<(u32, u32)>,
    },
    /// Partitions whose lag was not simply end less commit.
    Unusual {
        /// What it was counted from.
        basis: LagBasis,
        /// In how many partitions.
        partitions: u64,
    },
    /// Partitions that stand still were left out of the value; they still count for activity.
    PersistentLagExcluded {
        /// How many.
        partitions: u64,
        /// Their lag.
        lag: i64,
    },
    /// The lag was set to the next number of replicas that divides the partitions.
    EvenDistribution {
        /// That number.
        replicas: u64,
    },
    /// Every consumer of a share group reads every partition: partitions bound nothing.
    ShareGroup,
    /// More replicas than this would stand idle.
    Capped {
        /// The most replicas that help.
        replicas: u64,
        /// What bounds them.
        by: CapReason,
        /// The value before.
        from: i64,
    },
    /// The activity was compared with its threshold.
    Activation {
        /// Records behind, standing partitions included.
        lag: i64,
        /// It must be more than this.
        threshold: u64,
    },
    /// The shards that records are written to.
    OpenShards {
        /// How many.
        open: u64,
    },
    /// Closed shards were counted too, as KEDA does.
    ClosedShardsCounted {
        /// How many.
        closed: u64,
    },
    /// The count was compared with its threshold.
    ShardActivation {
        /// The count.
        shards: u64,
        /// It must be more than this.
        threshold: u64,
        /// Whether it is.
        active: bool,
    },
    /// The application has written nothing: what is unread follows from `initialPosition` alone.
    NeverRan {
        /// What there is.
        checkpoints: Checkpoints,
    },
    /// The shard whose oldest unread record is the oldest of all.
    Oldest {
        /// Which.
        shard: String,
        /// Since it arrived.
        age_ms: u64,
        /// What told so.
        basis: AgeBasis,
    },
    /// Nothing is unread.
    NothingUnread {
        /// In so many shards; the others are finished or wait for these.
        shards: u64,
    },
    /// The stream will delete records before they are read, unless the application catches up.
    NearRetention {
        /// How near.
        risk: RetentionRisk,
        /// After this time the stream deletes a record.
        retention_ms: u64,
    },
    /// The checkpoint table is so large that it is not read in each round.
    CheckpointsRead {
        /// When its rows were read, before this round.
        ago_ms: u64,
        /// How often it is read.
        every_ms: u64,
        /// What one read costs, in DynamoDB's read units.
        read_units: f64,
    },
    /// The age was compared with its threshold.
    AgeActivation {
        /// The age.
        age_ms: u64,
        /// It must be more than this.
        threshold_ms: u64,
        /// Whether it is.
        active: bool,
    },
    /// A step of the catch-up law.
    #[serde(untagged)]
    CatchUp(CatchUpStep),
}

/// How near records are to being deleted unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RetentionRisk {
    /// The age is over half of the retention, where AWS advises an alarm.
    OverHalf,
    /// The age is over four fifths of the retention.
    OverFourFifths,
}

/// What bounds the useful replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CapReason {
    /// The number of partitions.
    Partitions,
    /// The number of partitions that have lag.
    PartitionsWithLag,
}

// === impl Decision ===

impl Decision {
    /// The replicas that an HPA with an `AverageValue` target wants.
    #[must_use]
    pub fn replicas(&self) -> u64 {
        self.value.replicas_at(self.target)
    }

    /// More replicas than this would stand idle, as far as the decision knows partitions or shards.
    #[must_use]
    pub fn useful_replicas(&self) -> Option<u64> {
        let (mut places, mut in_one) = (None, 1);
        for step in &self.steps {
            match step {
                Step::ShareGroup => return None,
                Step::Counted { partitions, .. } => places = Some(*partitions),
                Step::CatchUp(CatchUpStep::Flow { partitions: all, .. } | CatchUpStep::Ages { shards: all, .. }) => {
                    places = u64::try_from(*all).ok();
                }
                Step::CatchUp(CatchUpStep::PerReplica { consumers_per_replica }) => {
                    in_one = u64::from(*consumers_per_replica);
                }
                _ => {}
            }
        }
        places.map(|places| places.div_ceil(in_one))
    }
}

// === impl Quantity ===

impl Quantity {
    /// A count; precise up to 2⁵³.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a lag of more than 2^53 records need not be told to the record")]
    pub const fn from_count(count: u64) -> Self {
        Self(count as f64)
    }

    /// What the law calculates with; what is no number, or below 0, cannot come from it.
    #[must_use]
    pub(super) const fn from_number(number: f64) -> Self {
        Self(if number.is_finite() && number > 0.0 { number } else { 0.0 })
    }

    /// A time in seconds.
    #[must_use]
    pub const fn from_seconds(time: Duration) -> Self {
        Self(time.as_secs_f64())
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// For readers that know integers only: rounded up, so that a positive value never becomes 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
    pub fn ceil(self) -> i64 {
        self.0.ceil() as i64
    }

    /// The replicas that an HPA with an `AverageValue` target wants for this value; at least 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ratio is finite and not negative, and a float saturates when it is cast"
    )]
    pub fn replicas_at(self, target: Self) -> u64 {
        if target.0 > 0.0 { (self.0 / target.0).ceil() as u64 } else { 0 }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

// === impl RetentionRisk ===

impl RetentionRisk {
    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OverHalf => "over_half",
            Self::OverFourFifths => "over_four_fifths",
        }
    }

    /// Every risk, for registering metrics before the first.
    pub const ALL: [Self; 2] = [Self::OverHalf, Self::OverFourFifths];

    /// The risk that an observation shows.
    #[must_use]
    pub fn in_observation(observation: &Observation) -> Option<Self> {
        match observation {
            Observation::Application(application) => Self::of(application.survey.age(), application.retention?),
            Observation::Kafka(_) | Observation::Shards(_) => None,
        }
    }

    /// The risk at this age of the oldest unread record.
    #[must_use]
    pub fn of(age: Duration, retention: Duration) -> Option<Self> {
        if age > retention * 4 / 5 {
            Some(Self::OverFourFifths)
        } else if age > retention / 2 {
            Some(Self::OverHalf)
        } else {
            None
        }
    }
}
