//! Streams of Kinesis, and what tests do to them.

use super::resharding::Control;
use super::sequence::{KinesisNumber, Sequence};
use super::shard::Shard;
use super::{ACCOUNT, REGION, ScriptedAws};

/// The index in the number that ends a closed shard.
const LAST_INDEX: u64 = i64::MAX.unsigned_abs();

pub(super) struct Stream {
    pub(super) created_ms: u64,
    pub(super) retention_hours: u32,
    pub(super) max_record_kib: u32,
    pub(super) shards: Vec<Shard>,
    pub(super) control: Control,
}

impl Stream {
    /// Where a shard is: they are numbered, and a stream may have ten thousand.
    fn index(&self, id: &str) -> Option<usize> {
        self.shards.binary_search_by(|shard| shard.id.as_str().cmp(id)).ok()
    }

    pub(super) fn shard(&self, id: &str) -> Option<&Shard> {
        Some(&self.shards[self.index(id)?])
    }

    fn shard_mut(&mut self, id: &str) -> &mut Shard {
        let index = self.index(id).unwrap();
        &mut self.shards[index]
    }

    /// Adds a shard and says its id.
    pub(super) fn open(&mut self, at_ms: u64, hash_range: (u128, u128), parents: Vec<String>) -> String {
        let next = self.shards.last().map_or(0, |shard| shard_number(&shard.id) + 1);
        let id = format!("shardId-{next:012}");
        let starting = number(&id, at_ms, 0, at_ms);
        self.shards.push(Shard { parents, hash_range, ..Shard::new(id.clone(), at_ms, starting) });
        id
    }

    /// Closes a shard and says which hash keys it had.
    pub(super) fn close(&mut self, id: &str, at_ms: u64) -> (u128, u128) {
        let shard = self.shard_mut(id);
        shard.close(number(id, shard.created_ms, LAST_INDEX, at_ms));
        shard.hash_range
    }
}

/// The ARN of a stream.
pub(super) fn stream_arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

/// The number in the id of a shard.
pub(super) fn shard_number(id: &str) -> u32 {
    id.strip_prefix("shardId-").and_then(|number| number.parse().ok()).unwrap()
}

fn number(shard: &str, created_ms: u64, index: u64, at_ms: u64) -> Sequence {
    let created_secs = created_ms / 1000;
    let secs = (at_ms / 1000).max(created_secs);
    Sequence(KinesisNumber { created_secs, index, secs, shard: shard_number(shard) }.text())
}

impl ScriptedAws {
    /// Creates a stream at this time and says the ids of its shards, which have the same number of hash keys each.
    /// A deleted stream that is made again numbers its shards from 0 again, as on AWS.
    pub fn create_stream(&self, name: &str, shards: u32, at_ms: u64) -> Vec<String> {
        let control = Control::default();
        let mut stream =
            Stream { created_ms: at_ms, retention_hours: 24, max_record_kib: 1024, shards: Vec::new(), control };
        let width = u128::MAX / u128::from(shards) + u128::from(shards > 1);
        let ids = (0..u128::from(shards)).map(|nth| {
            let end = if nth + 1 == u128::from(shards) { u128::MAX } else { (nth + 1) * width - 1 };
            stream.open(at_ms, (nth * width, end), Vec::new())
        });
        let ids = ids.collect();
        assert!(self.world().streams.insert(name.to_owned(), stream).is_none(), "there is a stream {name}");
        ids
    }

    /// Deletes a stream.
    pub fn delete_stream(&self, name: &str) {
        assert!(self.world().streams.remove(name).is_some(), "there is no stream {name}");
    }

    /// Sets how long records are kept, as far as answers tell; [`trim_stream`](Self::trim_stream) makes it happen.
    pub fn set_retention(&self, stream: &str, hours: u32) {
        self.with_stream(stream, |stream| stream.retention_hours = hours);
    }

    /// Sets how large a record may be, as far as answers tell.
    pub fn set_max_record_size(&self, stream: &str, kib: u32) {
        self.with_stream(stream, |stream| stream.max_record_kib = kib);
    }

    /// Puts a record that came at this time and says its sequence number. The time inside the number is 1 to 2 seconds
    /// before the arrival, as on AWS.
    pub fn put_record(&self, stream: &str, shard: &str, arrival_ms: u64) -> String {
        self.with_stream(stream, |stream| {
            let shard = stream.shard_mut(shard);
            let sequence = number(&shard.id, shard.created_ms, shard.numbered + 1, arrival_ms.saturating_sub(1000));
            shard.put(sequence, arrival_ms)
        })
    }

    /// The same for a record into which the Kinesis Producer Library has packed so many user records.
    pub fn put_packed_record(&self, stream: &str, shard: &str, arrival_ms: u64, user_records: usize) -> String {
        let sequence = self.put_record(stream, shard, arrival_ms);
        // its magic number, the field `records` of its protobuf message for each, and the MD5 of the message
        let messages = b"\x1a\x05\x08\x00\x1a\x01x".repeat(user_records);
        let data = [&[0xF3, 0x89, 0x9A, 0xC2], &messages[..], &[0; 16]].concat();
        self.with_stream(stream, |stream| {
            let last = stream.shard_mut(shard).records.last_mut();
            last.unwrap().data = data;
        });
        sequence
    }

    /// Closes a shard and opens two for its hash keys.
    pub fn split_shard(&self, stream: &str, shard: &str, at_ms: u64) -> [String; 2] {
        self.with_stream(stream, |stream| {
            let (start, end) = stream.close(shard, at_ms);
            let middle = start + (end - start) / 2;
            [(start, middle), (middle + 1, end)].map(|range| stream.open(at_ms, range, vec![shard.to_owned()]))
        })
    }

    /// Closes two shards and opens one for their hash keys.
    pub fn merge_shards(&self, stream: &str, shard: &str, adjacent: &str, at_ms: u64) -> String {
        self.with_stream(stream, |stream| {
            let (one, other) = (stream.close(shard, at_ms), stream.close(adjacent, at_ms));
            let range = (one.0.min(other.0), one.1.max(other.1));
            stream.open(at_ms, range, vec![shard.to_owned(), adjacent.to_owned()])
        })
    }

    /// Forgets a shard, as happens when all it had is older than the retention.
    pub fn remove_shard(&self, stream: &str, shard: &str) {
        self.with_stream(stream, |stream| stream.shards.retain(|kept| kept.id != shard));
    }

    /// Forgets the records that came before this time.
    pub fn trim_stream(&self, stream: &str, older_than_ms: u64) {
        self.with_stream(stream, |stream| stream.shards.iter_mut().for_each(|shard| shard.trim(older_than_ms)));
    }

    /// From now on each new iterator over this shard gives so many empty pages first.
    pub fn set_empty_pages(&self, stream: &str, shard: &str, pages: u32) {
        self.with_stream(stream, |stream| stream.shard_mut(shard).empty_pages = pages);
    }

    pub(super) fn with_stream<T>(&self, name: &str, change: impl FnOnce(&mut Stream) -> T) -> T {
        change(self.world().streams.get_mut(name).unwrap())
    }
}
