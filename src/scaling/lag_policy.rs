//! `scaleOn: lag`: records behind, by KEDA's rules for its Kafka triggers.

use super::even::next_divisor;
use super::{CapReason, Decision, Quantity, Step};
use crate::lag::{
    CommittedOffset, GroupHistory, GroupObservation, LagBasis, LagRules, Moment, PartitionHistory,
    PartitionObservation, partition_lag,
};
use crate::trigger::{Cap, Compat, GroupType, IsolationLevel, KafkaSource, LagPolicy, PersistentLag};

/// Judges a group's observation, taken at `taken_at`.
pub(super) fn decide(
    policy: &LagPolicy,
    source: &KafkaSource,
    observation: &GroupObservation,
    history: &GroupHistory,
    taken_at: Moment,
) -> Decision {
    let tally = Tally::count(policy, source.isolation, observation, history, taken_at);
    let mut steps = tally.steps(source.partitions.beyond(observation.most_partitions()));
    let value = match observation.group_type {
        GroupType::Consumer => cap(policy, &tally, &mut steps),
        GroupType::Share => {
            steps.push(Step::ShareGroup);
            tally.counted()
        }
    };
    steps.push(Step::Activation { lag: tally.activity, threshold: policy.activation_threshold });
    Decision {
        value: Quantity::from_count(u64::try_from(value).unwrap_or(0)),
        target: Quantity::from_count(policy.threshold.get()),
        active: i128::from(tally.activity) > i128::from(policy.activation_threshold),
        steps,
    }
}

/// Sums over the partitions.
#[derive(Default)]
struct Tally {
    partitions: u64,
    with_lag: u64,
    /// Every record behind: what activity is judged by.
    activity: i64,
    /// Records behind in partitions that stand still, when those are not to count.
    standing: i64,
    standing_partitions: u64,
    unusual: Vec<(LagBasis, u64)>,
}

impl Tally {
    fn count(
        policy: &LagPolicy,
        isolation: IsolationLevel,
        observation: &GroupObservation,
        history: &GroupHistory,
        taken_at: Moment,
    ) -> Self {
        let rules = LagRules {
            offset_reset: policy.offset_reset,
            without_commit: policy.without_commit,
            isolation,
            compat: policy.compat,
        };
        let mut tally = Self::default();
        for (_, partition, past) in history.with(observation) {
            let lag = partition_lag(partition, past, rules, taken_at);
            tally.partitions += 1;
            tally.activity = tally.activity.saturating_add(lag.records);
            if stands_still(policy.persistent_lag, partition, past, taken_at) && lag.records > 0 {
                tally.standing = tally.standing.saturating_add(lag.records);
                tally.standing_partitions += 1;
            } else if lag.records > 0 {
                tally.with_lag += 1;
            }
            tally.note(lag.basis);
        }
        tally
    }

    /// Losses add up; other kinds are counted.
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

    /// What the value is made of.
    const fn counted(&self) -> i64 {
        self.activity.saturating_sub(self.standing)
    }

    fn steps(&self, beyond: Vec<(u32, u32)>) -> Vec<Step> {
        let mut steps = Vec::with_capacity(4);
        let with_lag = self.with_lag + self.standing_partitions;
        steps.push(Step::Counted { partitions: self.partitions, with_lag, lag: self.activity });
        if !beyond.is_empty() {
            steps.push(Step::SelectedBeyond { ranges: beyond });
        }
        steps.extend(self.unusual.iter().map(|&(basis, partitions)| Step::Unusual { basis, partitions }));
        if self.standing_partitions > 0 {
            steps.push(Step::PersistentLagExcluded { partitions: self.standing_partitions, lag: self.standing });
        }
        steps
    }
}

/// A commit that had not moved for the window when it was read.
/// Without a commit there is nothing that could stand still.
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

/// The lag that the value shows: no more than the replicas that can help, times the threshold.
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
        // KEDA divides downwards, so that up to one threshold less one record gets past its cap
        Compat::Strict => lag / threshold > bound,
    };
    if too_many {
        steps.push(Step::Capped { replicas, by, from: lag });
        lag = most;
    }
    lag
}
