//! The records of a partition, in memory, in the batches that producers sent.

use std::collections::VecDeque;

use tokio::time::Instant;

/// The offset of a field in a record batch.
const MAGIC: usize = 16;
const LAST_OFFSET_DELTA: usize = 23;
const HEADER: usize = 61;

/// A partition's log.
#[derive(Default)]
pub(super) struct Log {
    batches: VecDeque<Batch>,
    start: i64,
    end: i64,
}

struct Batch {
    last: i64,
    appended: Instant,
    bytes: Vec<u8>,
}

impl Log {
    /// Creates an empty log whose first record will have this offset.
    pub(super) fn beginning_at(offset: i64) -> Self {
        Self { batches: VecDeque::new(), start: offset, end: offset }
    }

    /// Appends a batch and returns its first offset; `None` if it is not in the batch format that brokers have stored since 0.11.
    pub(super) fn append(&mut self, batch: &[u8], now: Instant) -> Option<i64> {
        let delta = batch.get(LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4)?.try_into().ok().map(i32::from_be_bytes)?;
        let length = batch.get(8..12)?.try_into().ok().map(i32::from_be_bytes)?;
        let whole = usize::try_from(length).is_ok_and(|length| length + 12 == batch.len());
        if batch.len() < HEADER || batch[MAGIC] != 2 || delta < 0 || !whole {
            return None;
        }
        let base = self.end;
        // the checksum does not cover the offset: a broker writes it
        let bytes = [&base.to_be_bytes(), &batch[8..]].concat();
        let last = base + i64::from(delta);
        self.batches.push_back(Batch { last, appended: now, bytes });
        self.end = last + 1;
        Some(base)
    }

    /// Returns the batches from the one with this offset on: at least one, and further ones up to `most` bytes;
    /// `None` outside the log.
    pub(super) fn read(&self, offset: i64, most: usize) -> Option<Vec<u8>> {
        if !(self.start..=self.end).contains(&offset) {
            return None;
        }
        let mut read = Vec::new();
        for batch in self.batches.range(self.holding(offset)..) {
            if !read.is_empty() && read.len() + batch.bytes.len() > most {
                break;
            }
            read.extend(&batch.bytes);
        }
        Some(read)
    }

    /// Returns when the record with this offset arrived; `None` if it has not arrived yet.
    pub(super) fn appended(&self, offset: i64) -> Option<Instant> {
        self.batches.get(self.holding(offset)).map(|batch| batch.appended)
    }

    /// Deletes batches that end before `offset`.
    pub(super) fn trim(&mut self, offset: i64) {
        let gone = self.holding(offset);
        if let Some(last) = self.batches.drain(..gone).next_back() {
            self.start = last.last + 1;
        }
    }

    /// Deletes the batches that arrived before this time.
    pub(super) fn expire(&mut self, before: Instant) {
        let gone = self.batches.partition_point(|batch| batch.appended < before);
        if let Some(last) = self.batches.drain(..gone).next_back() {
            self.start = last.last + 1;
        }
    }

    pub(super) const fn start(&self) -> i64 {
        self.start
    }

    pub(super) const fn end(&self) -> i64 {
        self.end
    }

    /// Returns the index of the first batch that does not end before `offset`.
    fn holding(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.last < offset)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn batch(records: i32) -> Vec<u8> {
        let mut batch = vec![0; HEADER + 5];
        let length = i32::try_from(batch.len() - 12).unwrap();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[MAGIC] = 2;
        batch[LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4].copy_from_slice(&(records - 1).to_be_bytes());
        batch
    }

    #[test]
    fn offsets_follow_each_other_and_what_was_trimmed_is_gone() {
        let (mut log, now) = (Log::default(), Instant::now());
        assert_eq!(
            (log.append(&batch(3), now), log.append(&batch(2), now + Duration::from_secs(1))),
            (Some(0), Some(3))
        );
        assert_eq!((log.start(), log.end()), (0, 5));
        assert_eq!(log.read(4, 1).unwrap()[..8], 3_i64.to_be_bytes());
        assert_eq!(log.read(0, 1000).unwrap().len(), 2 * batch(1).len());
        assert_eq!((log.read(5, 1000), log.read(6, 1000)), (Some(Vec::new()), None));
        assert_eq!(
            (log.appended(2), log.appended(4), log.appended(5)),
            (Some(now), Some(now + Duration::from_secs(1)), None)
        );
        log.trim(2);
        assert_eq!(log.start(), 0, "a batch goes as a whole");
        log.trim(3);
        assert_eq!((log.start(), log.read(0, 1000)), (3, None));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let mut log = Log::default();
        let mut old = batch(1);
        old[MAGIC] = 1;
        for bytes in [&old[..], &batch(1)[..40], &[batch(1), batch(1)].concat(), &[]] {
            assert_eq!(log.append(bytes, Instant::now()), None);
        }
        assert_eq!(log.end(), 0);
    }
}
