//! What was decided and why: one value that the RPC, the JSON, the command line and the page all print.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::lag::LagBasis;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

// === impl Quantity ===

impl Quantity {
    /// A count; precise up to 2⁵³.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a lag of more than 2^53 records need not be told to the record")]
    pub const fn from_count(count: u64) -> Self {
        Self(count as f64)
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

// === impl Step ===

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { partitions, with_lag, lag } => {
                write!(f, "{lag} records behind in {with_lag} of {partitions} partitions")
            }
            Self::Unusual { basis, partitions } => write!(f, "{partitions} partitions: {}", basis_in_words(*basis)),
            Self::PersistentLagExcluded { partitions, lag } => {
                write!(f, "{partitions} partitions stand still: their {lag} records count for activity only")
            }
            Self::EvenDistribution { replicas } => {
                write!(f, "{replicas} replicas is the next number that divides the partitions")
            }
            Self::Capped { replicas, by: CapReason::Partitions, from } => {
                write!(f, "capped from {from}: with more than {replicas} replicas some would have no partition")
            }
            Self::Capped { replicas, by: CapReason::PartitionsWithLag, from } => {
                write!(f, "capped from {from}: only {replicas} partitions have lag")
            }
            Self::Activation { lag, threshold } => {
                let verdict = if i128::from(*lag) > i128::from(*threshold) { "active" } else { "not active" };
                write!(f, "{verdict}: {lag} records behind, more than {threshold} are needed")
            }
        }
    }
}

fn basis_in_words(basis: LagBasis) -> String {
    match basis {
        LagBasis::Committed => "counted from the commit".into(),
        LagBasis::LogStart { lost } => {
            format!("retention deleted {lost} records before they were read; counted from the start of the log")
        }
        LagBasis::NoCommit => "no commit; counted by offsetResetPolicy".into(),
        LagBasis::FormerTopic => {
            "the commit belongs to a deleted topic of this name; counted by offsetResetPolicy".into()
        }
        LagBasis::PastEnd { by } => format!("the commit lies {by} records past the end of the log"),
    }
}
