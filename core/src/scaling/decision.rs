//! The decision and its reasons: one value that the RPC, the JSON, the command line and the page all print.

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
    /// The metric's target per replica.
    pub target: Quantity,
    /// Whether the workload should run: the activity is strictly greater than its threshold.
    pub active: bool,
    /// The steps that led to the value, in order.
    pub steps: Vec<Step>,
}

/// One step towards a decision; `Display` formats it for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
pub enum Step {
    /// The records that the group has not read: the same number as in `/samples`, in the metrics and in charts.
    Counted {
        /// The number of partitions that were counted.
        partitions: u64,
        /// The number of them with records behind.
        partitions_behind: u64,
        /// The sum of their records behind; `None` where no partition has a valid commit.
        records_behind: Option<u64>,
    },
    /// The lag differs from the records behind.
    Lag {
        /// The lag that the trigger counts.
        lag: i64,
        /// The part of it that `offsetResetPolicy` counts for partitions without a valid commit.
        by_reset_policy: u64,
        /// The number of these partitions.
        without_commit: u64,
        /// What `compat: strict` adds to the records behind; negative where it subtracts.
        as_built_in: i64,
    },
    /// Partitions are selected that do not exist.
    SelectedBeyond {
        /// Their numbers, as ranges that include both ends.
        ranges: Vec<(u32, u32)>,
    },
    /// Partitions whose records behind are not simply end less commit.
    Unusual {
        /// The position from which they were counted.
        basis: LagBasis,
        /// The number of these partitions.
        partitions: u64,
    },
    /// Partitions without progress are excluded from the value, but still count for activation.
    PersistentLagExcluded {
        /// The number of excluded partitions.
        partitions: u64,
        /// The lag of the excluded partitions.
        lag: i64,
    },
    /// The lag was set to the next number of replicas that divides the partitions.
    EvenDistribution {
        /// The new number of replicas.
        replicas: u64,
    },
    /// Every consumer of a share group reads every partition, so partitions do not limit the replicas.
    ShareGroup,
    /// The value is capped: further replicas would be idle.
    Capped {
        /// The maximum number of useful replicas.
        replicas: u64,
        /// What limits the useful replicas.
        by: CapReason,
        /// The value before the cap.
        from: i64,
        /// The value after it.
        to: i64,
    },
    /// The lag was compared with the activation threshold.
    Activation {
        /// The lag, including partitions without progress.
        lag: i64,
        /// The workload is active above this lag.
        threshold: u64,
    },
    /// The open shards of the stream.
    OpenShards {
        /// The number of open shards.
        open: u64,
    },
    /// Closed shards were counted too, as KEDA does.
    ClosedShardsCounted {
        /// The number of closed shards.
        closed: u64,
    },
    /// The shard count was compared with the activation threshold.
    ShardActivation {
        /// The number of shards that count.
        shards: u64,
        /// The workload is active above this count.
        threshold: i64,
        /// Whether the workload is active.
        active: bool,
    },
    /// The application has written no checkpoint: the unread records follow from `initialPosition` alone.
    NeverRan {
        /// The state of the checkpoint table.
        checkpoints: Checkpoints,
    },
    /// The shard whose oldest unread record is the oldest of all.
    Oldest {
        /// The id of the shard.
        shard: String,
        /// The time since that record arrived, in milliseconds.
        age_ms: u64,
        /// What the age is derived from.
        basis: AgeBasis,
    },
    /// Nothing is unread.
    NothingUnread {
        /// The number of shards that are read; the others are finished or wait for these.
        shards: u64,
    },
    /// The stream will delete records before they are read, unless the application catches up.
    NearRetention {
        /// How much of the retention has passed.
        risk: RetentionRisk,
        /// The stream's retention in milliseconds.
        retention_ms: u64,
    },
    /// The checkpoint table is too large to be read in each round.
    CheckpointsRead {
        /// How long before this round its rows were read, in milliseconds.
        ago_ms: u64,
        /// The interval between reads, in milliseconds.
        every_ms: u64,
        /// The cost of one read, in DynamoDB read units.
        read_units: f64,
    },
    /// The age was compared with the activation threshold.
    AgeActivation {
        /// The age in milliseconds.
        age_ms: u64,
        /// The workload is active above this age, in milliseconds.
        threshold_ms: u64,
        /// Whether the workload is active.
        active: bool,
    },
    /// A step of the catch-up law.
    #[serde(untagged)]
    CatchUp(CatchUpStep),
    /// A step of the write utilization law.
    #[serde(untagged)]
    Writes(WriteStep),
}

/// How close unread records are to being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RetentionRisk {
    /// The age is over half of the retention, where AWS advises an alarm.
    OverHalf,
    /// The age is over four fifths of the retention.
    OverFourFifths,
}

/// What limits the useful replicas.
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
    /// The replicas that an HPA with an `AverageValue` target calculates.
    #[must_use]
    pub fn replicas(&self) -> u64 {
        self.value.replicas_at(self.target)
    }

    /// The number above which replicas would be idle, where the decision knows partitions or shards.
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
    /// Creates a quantity from an exact count.
    #[must_use]
    pub const fn from_count(count: u64) -> Self {
        Self(Amount::Count(count))
    }

    /// Creates a quantity from a result of the law, which cannot be NaN or negative.
    #[must_use]
    pub(super) const fn from_number(number: f64) -> Self {
        Self(Amount::Measure(if number.is_finite() && number > 0.0 { number } else { 0.0 }))
    }

    /// Creates a quantity from a time, in seconds.
    pub(crate) const fn from_seconds(time: Duration) -> Self {
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

    /// The number, except for a count that a float cannot represent.
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

    /// The value for clients that accept only integers: rounded up, so that a positive value never becomes 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
    pub fn ceil(self) -> i64 {
        match self.0 {
            Amount::Count(count) => i64::try_from(count).unwrap_or(i64::MAX),
            Amount::Measure(number) => number.ceil() as i64,
        }
    }

    /// The replicas that an HPA with an `AverageValue` target calculates for this value; at least 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ratio is finite and not negative, and a float saturates when it is cast"
    )]
    pub(crate) fn replicas_at(self, target: Self) -> u64 {
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
    /// The name used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OverHalf => "over_half",
            Self::OverFourFifths => "over_four_fifths",
        }
    }

    /// Every risk, for registering metrics before one occurs.
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
