//! Sequence numbers: decimal numbers too long for an integer of this machine.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A sequence number as AWS writes it, ordered as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequence(pub(super) String);

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a sequence number of Kinesis says, in the only layout since 2016. In hex digits: a 2, when its shard was created
/// (9), the last digit of the shard's number, the index (16), two zeros, the time (9), the shard's number (8), a 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KinesisNumber {
    /// When the shard was created, in seconds since 1970.
    pub created_secs: u64,
    /// How manieth of its shard it is.
    pub index: u64,
    /// About when the record came, in seconds since 1970.
    pub secs: u64,
    /// The number of the shard.
    pub shard: u32,
}

impl KinesisNumber {
    /// The decimal number.
    pub fn text(&self) -> String {
        let Self { created_secs, index, secs, shard } = self;
        let hex = format!("2{created_secs:09x}{:x}{index:016x}00{secs:09x}{shard:08x}2", shard % 16);
        rebase(&hex, 16, 10)
    }

    /// What `text` says, if it is in this layout.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let hex = digits.then(|| rebase(text, 10, 16))?;
        if hex.len() != 47 || !hex.starts_with('2') || !hex.ends_with('2') {
            return None;
        }
        let field = |from: usize, to: usize| u64::from_str_radix(&hex[from..to], 16).unwrap();
        let shard = field(38, 46).try_into().unwrap();
        Some(Self { created_secs: field(1, 10), index: field(11, 27), secs: field(29, 38), shard })
    }
}

/// The digits of a number, in another base.
fn rebase(digits: &str, from: u32, to: u32) -> String {
    let mut places = vec![0];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(from).unwrap();
        for place in &mut places {
            carry += *place * from;
            *place = carry % to;
            carry /= to;
        }
        while carry > 0 {
            places.push(carry % to);
            carry /= to;
        }
    }
    places.iter().rev().map(|place| char::from_digit(*place, to).unwrap()).collect()
}
