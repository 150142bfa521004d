//! The number of consumers that a set of partitions needs, where one consumer at most can work on a partition.

use super::counts::{times, useful_from, useful_to, whole};
use crate::lag::flow::count;

/// Isolating a hot partition may cost this many times the consumers that the total needs.
pub(super) const ISOLATION: f64 = 2.0;
/// Consumers may exceed their capacity by this factor before isolation is considered, to allow for rounding.
const FULL: f64 = 1.02;
/// A partition that exceeds one consumer's capacity leaves this share of a capacity for other partitions.
const ROOM: f64 = 0.1;

/// The smallest useful count of consumers of `capacity` for partitions with these needs per second.
pub(super) fn size(needs: &[f64], capacity: f64) -> usize {
    let places = needs.len();
    let soft = consumers(needs, capacity);
    let hottest = needs.iter().copied().enumerate().max_by(|one, other| one.1.total_cmp(&other.1));
    let Some((hot, most)) = hottest else { return 0 };
    let others =
        needs.iter().enumerate().filter(|(index, need)| *index != hot && **need < capacity).map(|(_, need)| *need);
    let (sum, number) = others.fold((0.0, 0), |(sum, number), need| (sum + need, number + 1));
    if sum <= 0.0 {
        return useful_from(places, whole(soft)).min(places);
    }
    let typical = sum / count(number);
    let evenly = places.div_ceil(times(capacity, typical, places).max(1));
    let wanted = useful_from(places, whole(soft).max(evenly));
    let company = (count(places) / count(wanted) - 1.0) * typical;
    if places < 2 || most + company <= FULL * capacity {
        return wanted.min(places);
    }
    // the hottest partition must share its consumer with fewer others
    let room = if most < capacity { capacity - most } else { ROOM * capacity };
    let alone = places.div_ceil((1 + times(room, typical, places)).min(places));
    wanted.max(alone.min(useful_to(places, isolation_budget(soft)))).min(places)
}

/// The consumers that the total needs; work beyond one consumer's capacity on a partition does not add others.
pub(super) fn consumers(needs: &[f64], capacity: f64) -> f64 {
    let sum: f64 = needs.iter().map(|need| need.min(capacity)).sum();
    consumers_for(sum, capacity)
}

/// The consumers that a total needs where each of them can do any part of it.
pub(super) fn consumers_for(sum: f64, capacity: f64) -> f64 {
    (sum / capacity).max(1e-9)
}

/// The maximum number of consumers that single partitions may add to the request.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float saturates when it is cast"
)]
pub(super) fn isolation_budget(soft: f64) -> usize {
    (ISOLATION * count(whole(soft))) as usize
}
