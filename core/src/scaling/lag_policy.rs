//! `scaleOn: lag`: records behind, by KEDA's rules for its Kafka triggers.

use super::{CapReason, Decision, Quantity, Step};
use crate::lag::{
    CommittedOffset, CountedLag, GroupHistory, GroupLag, GroupObservation, LagBasis, Moment, PartitionHistory,
    PartitionObservation,
};
use crate::trigger::{Cap, Compat, GroupType, KafkaSource, LagPolicy, PersistentLag, ResetRules};

/// A reading of a group with its derived facts.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) source: &'a KafkaSource,
    pub(super) group: &'a GroupObservation,
    pub(super) history: &'a GroupHistory,
    pub(super) lag: &'a GroupLag,
    pub(super) taken_at: Moment,
}

/// Evaluates a group's reading.
pub(super) fn decide(policy: &LagPolicy, reading: Reading<'_>) -> Decision {
    let rules = ResetRules { offset_reset: policy.offset_reset, without_commit: policy.without_commit };
    let tally = Tally::count(rules, policy.compat, policy.persistent_lag, reading);
    let mut steps = tally.steps(reading);
    let value = match reading.group.group_type {
        GroupType::Consumer => cap(policy, &tally, &mut steps),
        GroupType::Share => {
            steps.push(Step::ShareGroup);
            tally.counted()
        }
    };
    steps.push(Step::Activation { lag: tally.lag, threshold: policy.activation_threshold });
    Decision {
        value: Quantity::from_count(u64::try_from(value).unwrap_or(0)),
        target: Quantity::from_count(policy.threshold.get()),
        active: i128::from(tally.lag) > i128::from(policy.activation_threshold),
        steps,
    }
}

/// The first steps of any decision about a group: the records behind, and the lag that a trigger counts.
pub(super) fn first_steps(rules: ResetRules, reading: Reading<'_>) -> Vec<Step> {
    Tally::count(rules, Compat::Fixed, PersistentLag::Counts, reading).steps(reading)
}

/// Sums over the partitions, as a trigger counts them.
#[derive(Default)]
struct Tally {
    partitions: u64,
    with_lag: u64,
    /// The whole lag, which decides on activation.
    lag: i64,
    /// The part of it that the reset policy counts.
    by_reset_policy: u64,
    /// What KEDA's rule adds to the records behind, or subtracts.
    as_built_in: i64,
    /// The lag of partitions without progress, where those are excluded from the value.
    standing: i64,
    standing_partitions: u64,
    unusual: Vec<(LagBasis, u64)>,
}

impl Tally {
    fn count(rules: ResetRules, compat: Compat, persistent_lag: PersistentLag, reading: Reading<'_>) -> Self {
        let mut tally = Self::default();
        for (_, partition, past, lag) in reading.lag.with(reading.group, reading.history) {
            let counted = lag.counted(partition, rules, compat);
            let records = counted.records();
            tally.partitions += 1;
            tally.lag = tally.lag.saturating_add(records);
            match counted {
                CountedLag::RecordsBehind(_) => {}
                CountedLag::ByResetPolicy(records) => {
                    tally.by_reset_policy = tally.by_reset_policy.saturating_add(records);
                }
                CountedLag::AsBuiltIn(records) => {
                    let behind = i64::try_from(lag.records_behind.unwrap_or(0)).unwrap_or(i64::MAX);
                    tally.as_built_in = tally.as_built_in.saturating_add(records.saturating_sub(behind));
                }
            }
            if stands_still(persistent_lag, partition, past, reading.taken_at) && records > 0 {
                tally.standing = tally.standing.saturating_add(records);
                tally.standing_partitions += 1;
            } else if records > 0 {
                tally.with_lag += 1;
            }
            tally.note(lag.basis);
        }
        tally
    }

    /// Notes a partition's basis: losses are summed, other kinds are counted.
    fn note(&mut self, basis: LagBasis) {
        if basis == LagBasis::Committed {
            return;
        }
        for (seen, partitions) in &mut self.unusual {
            match (seen, basis) {
                (LagBasis::LogStart { lost }, LagBasis::LogStart { lost: more }) => *lost = lost.saturating_add(more),
                (LagBasis::PastEnd { by }, LagBasis::PastEnd { by: other }) => *by = (*by).max(other),
                (seen, basis) if *seen == basis => {}
                _ => continue,
            }
            *partitions += 1;
            return;
        }
        self.unusual.push((basis, 1));
    }

    /// The lag that the value is based on.
    const fn counted(&self) -> i64 {
        self.lag.saturating_sub(self.standing)
    }

    fn steps(&self, reading: Reading<'_>) -> Vec<Step> {
        let Reading { source, group, lag, .. } = reading;
        let mut steps = Vec::with_capacity(4);
        steps.push(Step::Counted {
            partitions: self.partitions,
            partitions_behind: lag.partitions_behind(),
            records_behind: lag.records_behind(),
        });
        let beyond = source.partitions.beyond(group.most_partitions());
        if !beyond.is_empty() {
            steps.push(Step::SelectedBeyond { ranges: beyond });
        }
        steps.extend(self.unusual.iter().map(|&(basis, partitions)| Step::Unusual { basis, partitions }));
        let (by_reset_policy, as_built_in) = (self.by_reset_policy, self.as_built_in);
        if by_reset_policy > 0 || as_built_in != 0 {
            let without_commit = lag.without_commit();
            steps.push(Step::Lag { lag: self.lag, by_reset_policy, without_commit, as_built_in });
        }
        if self.standing_partitions > 0 {
            steps.push(Step::PersistentLagExcluded { partitions: self.standing_partitions, lag: self.standing });
        }
        steps
    }
}

/// Whether a commit had not moved for the window when it was read. Without a commit, nothing can stand still.
fn stands_still(
    rule: PersistentLag,
    partition: &PartitionObservation,
    past: &PartitionHistory,
    taken_at: Moment,
) -> bool {
    match rule {
        PersistentLag::Counts => false,
        PersistentLag::Excluded { stall_window } => {
            partition.committed != CommittedOffset::None && taken_at.since(past.unchanged_since) >= stall_window
        }
    }
}

/// The lag that the value shows: at most the number of useful replicas, times the threshold.
fn cap(policy: &LagPolicy, tally: &Tally, steps: &mut Vec<Step>) -> i64 {
    let threshold = i64::try_from(policy.threshold.get()).unwrap_or(i64::MAX);
    let mut lag = tally.counted();
    let (even, by) = match policy.cap {
        Cap::None => return lag,
        Cap::Partitions => (false, CapReason::Partitions),
        Cap::PartitionsWithLag => (false, CapReason::PartitionsWithLag),
        Cap::EvenDistribution => (true, CapReason::Partitions),
        Cap::EvenDistributionOverPartitionsWithLag => (true, CapReason::PartitionsWithLag),
    };
    if even {
        let replicas = next_divisor(lag, tally.partitions, policy.threshold.get());
        lag = i64::try_from(replicas).unwrap_or(i64::MAX).saturating_mul(threshold);
        steps.push(Step::EvenDistribution { replicas });
    }
    let replicas = match by {
        CapReason::Partitions => tally.partitions,
        CapReason::PartitionsWithLag => tally.with_lag,
    };
    let bound = i64::try_from(replicas).unwrap_or(i64::MAX);
    let most = bound.saturating_mul(threshold);
    let too_many = match policy.compat {
        Compat::Fixed => lag > most,
        // KEDA rounds down, so that up to one threshold less one record exceeds its cap
        Compat::Strict => lag / threshold > bound,
    };
    if too_many {
        steps.push(Step::Capped { replicas, by, from: lag, to: most });
        lag = most;
    }
    lag
}

/// The smallest divisor of `partitions` that, times `threshold`, covers `lag`; `partitions` itself where none does.
///
/// KEDA v2.21, `getNextFactorThatBalancesConsumersToTopicPartitions`; a lag of 0 gives 1.
pub(super) fn next_divisor(lag: i64, partitions: u64, threshold: u64) -> u64 {
    divisors(partitions)
        .find(|divisor| i128::from(*divisor) * i128::from(threshold) >= i128::from(lag))
        .unwrap_or(partitions)
}

/// The divisors of `number`, ascending.
fn divisors(number: u64) -> impl Iterator<Item = u64> {
    (1..=number).filter(move |candidate| number.is_multiple_of(*candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C7: the divisors of a number.
    #[test]
    fn divisors_ascend_from_one_to_the_number_itself() {
        for (number, expected) in [
            (10, vec![1, 2, 5, 10]),
            (13, vec![1, 13]),
            (17, vec![1, 17]),
            (25, vec![1, 5, 25]),
            (100, vec![1, 2, 4, 5, 10, 20, 25, 50, 100]),
        ] {
            assert_eq!(divisors(number).collect::<Vec<_>>(), expected);
        }
    }

    /// C4: the next divisor that covers the lag.
    #[test]
    fn the_next_divisor_covers_the_lag() {
        for (lag, divisor) in [(10, 1), (20, 2), (40, 4), (50, 5), (99, 10), (100, 10), (101, 20)] {
            assert_eq!(next_divisor(lag, 100, 10), divisor, "lag {lag}");
        }
        assert_eq!(next_divisor(5000, 100, 10), 100, "never more than the partitions");
    }
}
