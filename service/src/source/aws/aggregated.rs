//! Records that the Kinesis Producer Library aggregated into one.

use prost::Message as _;

/// The magic bytes at the start of an aggregated record, and the length of the checksum at its end (the library's `aggregation-format.md`).
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const CHECKSUM_BYTES: usize = 16;

/// The fields of the library's `AggregatedRecord` that are needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct AggregatedRecord {
    #[prost(bytes = "vec", repeated, tag = "3")]
    records: Vec<Vec<u8>>,
}

/// Returns the number of user records in a record: 1 for one that is not aggregated.
pub(super) fn user_records(data: &[u8]) -> u64 {
    let packed = data.strip_prefix(&MAGIC).and_then(|rest| rest.get(..rest.len().checked_sub(CHECKSUM_BYTES)?));
    let records =
        packed.and_then(|packed| AggregatedRecord::decode(packed).ok()).map_or(0, |packed| packed.records.len());
    u64::try_from(records).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(records: usize) -> Vec<u8> {
        let message = AggregatedRecord { records: vec![b"\x08\x00\x1a\x01x".to_vec(); records] };
        [&MAGIC[..], &message.encode_to_vec(), &[7; CHECKSUM_BYTES]].concat()
    }

    #[test]
    fn user_records_are_counted_in_packed_records_only() {
        assert_eq!(user_records(&packed(3)), 3);
        for plain in [&b""[..], b"{}", &MAGIC, &packed(3)[..10], &packed(3)[1..], &packed(0)] {
            assert_eq!(user_records(plain), 1);
        }
    }
}
