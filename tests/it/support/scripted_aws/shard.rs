//! A shard, its records, and the iterators over it: the same for Kinesis and for DynamoDB Streams.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::sequence::Sequence;

pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
    pub(super) hash_range: (u128, u128),
    pub(super) created_ms: u64,
    pub(super) starting: Sequence,
    /// Set when it is closed.
    pub(super) ending: Option<Sequence>,
    pub(super) records: Vec<Record>,
    /// How many records it has ever had.
    pub(super) numbered: u64,
    /// The newest record that is no longer kept.
    pub(super) trimmed: Option<Sequence>,
    /// How many empty pages each iterator gives before the first record.
    pub(super) empty_pages: u32,
}

pub(super) struct Record {
    pub(super) sequence: Sequence,
    pub(super) arrival_ms: u64,
    pub(super) data: Vec<u8>,
}

/// Where an iterator stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) sequence: Sequence,
    /// Whether the record of that number is still to be read.
    pub(super) inclusive: bool,
}

/// What an iterator says, to this server only.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The name, or the ARN if it is the stream of a table.
    pub(super) stream: String,
    pub(super) shard: String,
    pub(super) position: Position,
    pub(super) created_ms: u64,
    pub(super) empty_pages: u32,
}

/// What one read gives.
pub(super) struct Page<'a> {
    pub(super) records: &'a [Record],
    /// The first record that remains to be read.
    pub(super) unread: Option<&'a Record>,
    /// Where to read on; nothing at the end of a closed shard.
    pub(super) next: Option<Position>,
}

impl Shard {
    pub(super) fn new(id: String, created_ms: u64, starting: Sequence) -> Self {
        Self {
            id,
            parents: Vec::new(),
            hash_range: (0, u128::MAX),
            created_ms,
            starting,
            ending: None,
            records: Vec::new(),
            numbered: 0,
            trimmed: None,
            empty_pages: 0,
        }
    }

    pub(super) fn put(&mut self, sequence: Sequence, arrival_ms: u64) -> String {
        assert!(self.ending.is_none(), "shard {} is closed", self.id);
        let text = sequence.0.clone();
        self.records.push(Record { sequence, arrival_ms, data: b"an order".to_vec() });
        self.numbered += 1;
        text
    }

    pub(super) fn close(&mut self, ending: Sequence) {
        assert!(self.ending.is_none(), "shard {} is closed", self.id);
        self.ending = Some(ending);
    }

    /// Forgets the oldest records, up to the first that came at this time or later.
    pub(super) fn trim(&mut self, older_than_ms: u64) {
        let kept = self.records.iter().position(|record| record.arrival_ms >= older_than_ms);
        let mut gone = self.records.drain(..kept.unwrap_or(self.records.len()));
        self.trimmed = gone.next_back().map(|record| record.sequence).or(self.trimmed.take());
    }

    /// Where an iterator of this type begins, if there is such a type.
    pub(super) fn position(&self, kind: &str, sequence: Option<&str>, at_ms: Option<u64>) -> Option<Position> {
        let sequence = sequence.map(|text| Sequence(text.to_owned()));
        match kind {
            "TRIM_HORIZON" => Some(Position::after(self.trimmed.as_ref().unwrap_or(&self.starting))),
            "LATEST" => Some(self.tip()),
            "AT_SEQUENCE_NUMBER" => sequence.map(|sequence| Position { sequence, inclusive: true }),
            "AFTER_SEQUENCE_NUMBER" => sequence.map(|sequence| Position { sequence, inclusive: false }),
            "AT_TIMESTAMP" => {
                let at = at_ms?;
                let first = self.records.iter().find(|record| record.arrival_ms >= at);
                Some(first.map_or_else(|| self.tip(), Position::at))
            }
            _ => None,
        }
    }

    /// At most `limit` records from `position` on.
    pub(super) fn page(&self, position: &Position, limit: usize) -> Page<'_> {
        let from = self.records.iter().position(|record| !position.is_past(&record.sequence));
        let unread = &self.records[from.unwrap_or(self.records.len())..];
        let (records, unread) = unread.split_at(limit.min(unread.len()));
        let ended = self.ending.is_some() && unread.is_empty();
        let next = records.last().map_or_else(|| position.clone(), |last| Position::after(&last.sequence));
        Page { records, unread: unread.first(), next: (!ended).then_some(next) }
    }

    fn tip(&self) -> Position {
        let newest = self.records.last().map(|record| &record.sequence);
        Position::after(newest.or(self.trimmed.as_ref()).unwrap_or(&self.starting))
    }
}

impl Position {
    fn at(record: &Record) -> Self {
        Self { sequence: record.sequence.clone(), inclusive: true }
    }

    fn after(sequence: &Sequence) -> Self {
        Self { sequence: sequence.clone(), inclusive: false }
    }

    /// Whether the record of this number has been read.
    pub(super) fn is_past(&self, sequence: &Sequence) -> bool {
        if self.inclusive { *sequence < self.sequence } else { *sequence <= self.sequence }
    }
}

/// Something as a token that says nothing to a client.
pub(super) fn encode(what: &impl Serialize) -> String {
    STANDARD.encode(serde_json::to_vec(what).unwrap())
}

/// What a token of [`encode`] says.
pub(super) fn decode<T: DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()
}
