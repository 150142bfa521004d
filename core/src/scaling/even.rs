//! KEDA's `ensureEvenDistributionOfPartitions`: numbers of replicas that divide the partitions.

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
