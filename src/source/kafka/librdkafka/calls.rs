//! How many requests went to the brokers, and how they ended.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::kafka::transport::RowError;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Committed offsets of one group.
    Committed,
    /// One end of the log, for partitions of one leader.
    Offsets,
    /// Ids, partitions and leaders of topics.
    Topics,
    /// The brokers and the names of topics.
    Metadata,
    /// State and members of one group.
    Group,
}

/// How it ended; a request of many rows has ended well when it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// [`RowError::Moving`].
    Moving,
    /// [`RowError::Unreachable`].
    Unreachable,
    /// [`RowError::Overdue`].
    Overdue,
    /// [`RowError::Denied`].
    Denied,
    /// [`RowError::Gone`].
    Gone,
    /// [`RowError::Broker`].
    Broker,
}

impl Api {
    /// Every one, for registering metrics before the first request.
    pub const ALL: [Self; 5] = [Self::Committed, Self::Offsets, Self::Topics, Self::Metadata, Self::Group];

    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Offsets => "offsets",
            Self::Topics => "topics",
            Self::Metadata => "metadata",
            Self::Group => "group",
        }
    }
}

impl Outcome {
    /// Every one, for registering metrics before the first request.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Moving, Self::Unreachable, Self::Overdue, Self::Denied, Self::Gone, Self::Broker];

    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Moving => "moving",
            Self::Unreachable => "unreachable",
            Self::Overdue => "overdue",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::Broker => "broker",
        }
    }

    pub(super) fn of<T>(result: &Result<T, RowError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(RowError::Moving(_)) => Self::Moving,
            Err(RowError::Unreachable(_)) => Self::Unreachable,
            Err(RowError::Overdue(_)) => Self::Overdue,
            Err(RowError::Denied(_)) => Self::Denied,
            Err(RowError::Gone(_)) => Self::Gone,
            Err(RowError::Broker(_)) => Self::Broker,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Calls([[AtomicU64; Outcome::ALL.len()]; Api::ALL.len()]);

impl Calls {
    /// Requests for `api` that ended as `outcome`.
    pub fn get(&self, api: Api, outcome: Outcome) -> u64 {
        self.0[api as usize][outcome as usize].load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, api: Api, outcome: Outcome) {
        self.0[api as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_a_count_of_its_own() {
        let calls = Calls::default();
        for api in Api::ALL {
            for outcome in Outcome::ALL {
                assert_eq!(calls.get(api, outcome), 0);
                calls.count(api, outcome);
            }
        }
        assert!(Api::ALL.iter().all(|api| Outcome::ALL.iter().all(|outcome| calls.get(*api, *outcome) == 1)));
    }
}
