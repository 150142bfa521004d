//! Sequence numbers in the layout that Kinesis uses: a decimal number whose hex digits hold times, a counter and the shard.

/// Where the counter is in the hex digits.
const COUNTER: std::ops::Range<usize> = 11..27;

/// Returns the number of a record: the `counter`th of its shard, arrived at `seconds` since 1970, in a shard created at `created`.
pub(super) fn sequence_number(shard: usize, created: u64, counter: u64, seconds: u64) -> String {
    let seconds = seconds.max(created);
    let hex = format!("2{created:09x}{:x}{counter:016x}00{seconds:09x}{shard:08x}2", shard % 16);
    rebased(&hex, 16, 10)
}

/// Returns the counter inside a sequence number.
pub(super) fn counter(number: &str) -> Option<u64> {
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(rebased(number, 10, 16).get(COUNTER)?, 16).ok()
}

/// Returns the digits of a number in another base.
fn rebased(digits: &str, from: u32, to: u32) -> String {
    let mut places = vec![0];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(from).unwrap_or_default();
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
    places.iter().rev().filter_map(|place| char::from_digit(*place, to)).collect()
}

#[cfg(test)]
mod tests {
    use keda_stream_scaler::lag::streams::{SequenceNumber, ShardId, Timestamp};

    use super::*;

    #[test]
    fn the_scaler_reads_the_arrival_in_a_sequence_number_and_the_order_is_that_of_the_records() {
        let (created, seconds) = (1_800_000_000, 1_800_003_600);
        let number = |counter, seconds| sequence_number(7, created, counter, seconds);
        let parsed = SequenceNumber::parse(&number(12, seconds)).unwrap();
        let now = Timestamp::from_unix_ms((seconds + 9) * 1000);
        let arrived = parsed.arrived_after(&ShardId::new("shardId-000000000007"), now);
        assert_eq!(arrived, Some(Timestamp::from_unix_ms(seconds * 1000)));
        assert!(parsed < SequenceNumber::parse(&number(13, seconds)).unwrap());
        assert_eq!(counter(&number(u64::from(u32::MAX) + 5, seconds)), Some(u64::from(u32::MAX) + 5));
        assert_eq!([counter(""), counter("TRIM_HORIZON"), counter("17")], [None; 3]);
    }
}
