//! Which counts of consumers are useful.
//!
//! With 12 partitions, 6 consumers own two each; with 7 to 11 one consumer still owns two. Only counts that reduce the greatest share help:
//! 12 / 1, 12 / 2, 12 / 3 and so on, rounded up.

use crate::lag::flow::count;

/// The smallest useful count that is not below `consumers`.
pub(super) fn useful_from(places: usize, consumers: usize) -> usize {
    let wanted = consumers.clamp(1, places.max(1));
    places.div_ceil((places / wanted).max(1)).max(1)
}

/// The greatest useful count that is not above `consumers`.
pub(super) fn useful_to(places: usize, consumers: usize) -> usize {
    let wanted = consumers.clamp(1, places.max(1));
    places.div_ceil(places.div_ceil(wanted).max(1)).max(1)
}

/// The greatest useful count below `consumers`.
pub(super) fn fewer(places: usize, consumers: usize) -> usize {
    useful_to(places, places.div_ceil(places.div_ceil(consumers.max(1)) + 1))
}

/// The useful counts around the requested one, and the requested one.
pub(super) fn nearby(places: usize, wanted: usize) -> Vec<usize> {
    let mut counts = vec![useful_to(places, wanted.saturating_sub(1)), wanted, useful_from(places, wanted + 1)];
    counts.dedup();
    counts
}

/// The value that makes an HPA scale from `now` to `wanted`: the HPA ignores changes within its tolerance, so the value is a little above
/// that, but never requests more consumers than there are places.
pub(super) fn over_tolerance(wanted: usize, now: usize, places: usize, tolerance: f64) -> f64 {
    let (asked, edge) = (count(wanted), count(now) * (1.0 + tolerance));
    let more = edge + 0.01;
    if now < wanted && asked <= edge + 1e-9 && more.ceil() <= count(places) { more } else { asked }
}

/// The next whole number; an excess that is due to rounding only does not count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float saturates when it is cast"
)]
pub(super) fn whole(number: f64) -> usize {
    (number - 1e-9).ceil() as usize
}

/// How often `part` fits into `all`, limited to `most`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float saturates when it is cast"
)]
pub(super) fn times(all: f64, part: f64, most: usize) -> usize {
    ((all / part + 1e-9) as usize).min(most)
}
