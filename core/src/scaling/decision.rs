//! What was decided and why: one value that the RPC, the JSON, the command line and the page all print.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::catch_up::CatchUpStep;
use super::write_utilization::WriteStep;
use crate::lag::streams::AgeBasis;
use crate::lag::{Checkpoints, LagBasis, Observation};

/// A metric's value or target: finite and never negative, by construction. A count is exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity(Amount);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Count(u64),
    Measure(f64),
}

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
    /// The records that the group has not read: the same number in `/samples`, in the metrics and in charts.
    Counted {
        /// The partitions that were counted.
        partitions: u64,
        /// How many of them have records behind.
        partitions_behind: u64,
        /// The sum of their records behind; `None` where no partition has a valid commit.
        records_behind: Option<u64>,
    },
    /// The lag is another number than the records behind.
    Lag {
        /// The lag that the trigger counts.
        lag: i64,
        /// The part of it that `offsetResetPolicy` counts for partitions without a valid commit.
        by_reset_policy: u64,
        /// What `compat: strict` adds to the records behind; negative where it takes off.
        as_built_in: i64,
    },
    /// Partitions are selected that do not exist.
    SelectedBeyond {
        /// Their numbers: ranges with both ends.
        ranges: Vec<(u32, u32)>,
    },
    /// Partitions whose records behind were not simply end less commit.
    Unusual {
        /// What they were counted from.
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
        /// The lag, standing partitions included.
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
        threshold: i64,
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
    /// A step of the law of shards.
    #[serde(untagged)]
    Writes(WriteStep),
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
    /// A count.
    #[must_use]
    pub const fn from_count(count: u64) -> Self {
        Self(Amount::Count(count))
    }

    /// What the law calculates with; what is no number, or below 0, cannot come from it.
    #[must_use]
    pub(super) const fn from_number(number: f64) -> Self {
        Self(Amount::Measure(if number.is_finite() && number > 0.0 { number } else { 0.0 }))
    }

    /// A time in seconds.
    #[must_use]
    pub const fn from_seconds(time: Duration) -> Self {
        Self(Amount::Measure(time.as_secs_f64()))
    }

    /// The number; a count beyond 2⁵³ is rounded to the nearest float.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact counts are those of exact_float and ceil")]
    pub const fn get(self) -> f64 {
        match self.0 {
            Amount::Count(count) => count as f64,
            Amount::Measure(number) => number,
        }
    }

    /// The number, unless it is a count that a float cannot hold.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count as a float is whole, not negative and at most 2^64"
    )]
    pub fn exact_float(self) -> Option<f64> {
        let float = self.get();
        match self.0 {
            Amount::Count(count) => (float as u128 == u128::from(count)).then_some(float),
            Amount::Measure(_) => Some(float),
        }
    }

    /// For readers that know integers only: rounded up, so that a positive value never becomes 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
    pub fn ceil(self) -> i64 {
        match self.0 {
            Amount::Count(count) => i64::try_from(count).unwrap_or(i64::MAX),
            Amount::Measure(number) => number.ceil() as i64,
        }
    }

    /// The replicas that an HPA with an `AverageValue` target wants for this value; at least 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ratio is finite and not negative, and a float saturates when it is cast"
    )]
    pub fn replicas_at(self, target: Self) -> u64 {
        match (self.0, target.0) {
            (_, Amount::Count(0)) => 0,
            (Amount::Count(value), Amount::Count(target)) => value.div_ceil(target),
            _ if target.get() > 0.0 => (self.get() / target.get()).ceil() as u64,
            _ => 0,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Amount::Count(count) => count.fmt(f),
            Amount::Measure(number) => number.fmt(f),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.exact_float()) {
            (Amount::Count(count), None) => serializer.serialize_u64(count),
            _ => serializer.serialize_f64(self.get()),
        }
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
            Observation::Kafka(_) | Observation::Shards(_) | Observation::Writes(_) => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_stays_exact_and_a_measure_is_rounded_up_for_readers_of_integers() {
        let exact = |count: u64| {
            let quantity = Quantity::from_count(count);
            assert_eq!(quantity.to_string(), count.to_string());
            (serde_json::to_string(&quantity).expect("JSON"), quantity.ceil(), quantity.exact_float())
        };
        let row = |json: &str, integer, float| (json.to_owned(), integer, float);
        assert_eq!(exact(0), row("0.0", 0, Some(0.0)));
        assert_eq!(exact(150), row("150.0", 150, Some(150.0)));
        assert_eq!(exact(1 << 53), row("9007199254740992.0", 1 << 53, Some(9_007_199_254_740_992.0)));
        assert_eq!(exact((1 << 53) + 1), row("9007199254740993", (1 << 53) + 1, None));
        assert_eq!(exact(u64::MAX), row("18446744073709551615", i64::MAX, None));
        let age = Quantity::from_seconds(Duration::from_millis(1500));
        assert_eq!((age.to_string().as_str(), age.ceil(), age.exact_float()), ("1.5", 2, Some(1.5)));
    }

    #[test]
    fn replicas_of_counts_are_divided_as_whole_numbers() {
        let replicas = |value, target| Quantity::from_count(value).replicas_at(Quantity::from_count(target));
        let third = 3_002_399_751_580_331;
        assert_eq!([replicas(3 * third, third), replicas(3 * third + 1, third), replicas(0, third)], [3, 4, 0]);
        assert_eq!(Quantity::from_number(2.5).replicas_at(Quantity::from_count(1)), 3);
        assert_eq!(Quantity::from_number(2.5).replicas_at(Quantity::from_count(0)), 0);
    }
}
