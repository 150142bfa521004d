//! The results of readings where everything is known: on a paused clock, without the SDK.

use std::time::Duration;

mod fake;
mod incarnations;
mod model;
mod planted;
#[allow(dead_code, unreachable_pub, reason = "shared with the scripted AWS, which uses the rest")]
#[path = "../../../../../tests/it/support/scripted_aws/sequence.rs"]
mod sequence;
mod sharing;
mod validity;
mod writes;

use self::sequence::KinesisNumber;
use crate::lag::streams::SequenceNumber;

const S: fn(u64) -> Duration = Duration::from_secs;
const FIRST: &str = "shardId-000000000000";

/// Returns a sequence number of Kinesis; times are seconds since 1970.
fn number(shard: u32, created_secs: u64, secs: u64, index: u64) -> SequenceNumber {
    let text = KinesisNumber { created_secs, index, secs, shard }.text();
    SequenceNumber::parse(&text).expect("digits")
}

/// Asserts an age in seconds; reading the truth takes a round.
#[track_caller]
fn assert_about(age: f64, expected: f64) {
    assert!((expected - 0.01..expected + 1.0).contains(&age), "{age} s, {expected} s expected");
}
