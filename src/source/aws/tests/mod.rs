//! What readings answer where everything is known: on a paused clock, without the SDK.

use std::time::Duration;

mod fake;
mod incarnations;
mod model;
mod planted;
mod sharing;
mod validity;
mod writes;

const S: fn(u64) -> Duration = Duration::from_secs;
const FIRST: &str = "shardId-000000000000";

/// Ages, in seconds; the truth takes a round to be read.
#[track_caller]
fn assert_about(age: f64, expected: f64) {
    assert!((expected - 0.01..expected + 1.0).contains(&age), "{age} s, {expected} s expected");
}
