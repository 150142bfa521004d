//! One probe of one position of a shard: an iterator and as many pages as needed.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::page::{Page, PageRecord};
use super::service::{Address, Service};
use crate::lag::streams::{Found, Position, Probe, ShardId, ShardState, Timestamp};

/// The maximum number of empty pages that a probe of a DynamoDB stream follows; an empty page after that means that the tip is reached.
const MOST_PAGES: usize = 5;
/// How long an iterator is used: Kinesis expires it after five minutes, DynamoDB Streams after fifteen.
const ITERATOR_LASTS: Duration = Duration::from_secs(240);

/// The iterator with which a later probe resumes one that found nothing.
pub(super) struct KeptIterator {
    position: Position,
    text: String,
    made: Instant,
    /// The number of empty pages between the position and this iterator.
    pages: usize,
}

/// The result of a probe, and the iterator to resume it if it found nothing.
pub(super) struct ProbeResult {
    pub(super) probe: Probe,
    pub(super) iterator: Option<KeptIterator>,
}

impl KeptIterator {
    pub(super) fn is_fresh(&self) -> bool {
        self.made.elapsed() < ITERATOR_LASTS
    }

    pub(super) fn is_at(&self, position: &Position) -> bool {
        self.position == *position && self.is_fresh()
    }
}

/// One shard of one stream, and the position to probe.
pub(super) struct ProbeRequest<'a, S> {
    pub(super) service: &'a S,
    pub(super) stream: &'a Address,
    pub(super) shard: &'a ShardId,
    /// The listed state: a closed shard ends, and has no tip.
    pub(super) state: ShardState,
    pub(super) position: &'a Position,
}

impl<S: Service> ProbeRequest<'_, S> {
    /// Searches for the first record after the position. There is none between the position and `kept`.
    pub(super) async fn look(&self, kept: Option<KeptIterator>) -> Result<ProbeResult, Failure> {
        if let Some(kept) = kept {
            match self.follow(kept.text, kept.pages).await {
                Err(failure) if matches!(failure.kind, FailureKind::ExpiredIterator | FailureKind::Trimmed) => {}
                looked => return looked,
            }
        }
        match self.look_from(self.position).await {
            // the records at the checkpoint are deleted: the unread records begin with the oldest one that is left
            Err(failure) if failure.kind == FailureKind::Trimmed => self.look_from(&Position::TrimHorizon).await,
            looked => looked,
        }
    }

    async fn look_from(&self, begin: &Position) -> Result<ProbeResult, Failure> {
        let iterator = self.service.iterator(self.stream, self.shard, begin).await?;
        self.follow(iterator, 0).await
    }

    async fn follow(&self, mut text: String, mut pages: usize) -> Result<ProbeResult, Failure> {
        // the record of the checkpoint itself may be the first one
        let limit = if matches!(self.position, Position::Within(..)) { 2 } else { 1 };
        let mut read = 0;
        loop {
            let page = self.service.page(self.stream, self.shard, text, limit).await?;
            (read, pages) = (read + 1, pages + 1);
            let at = page.at;
            let (found, next) = match self.judge(page, pages) {
                Judged::Undecided { next, .. } if read < MOST_PAGES => {
                    text = next;
                    continue;
                }
                Judged::Undecided { behind, next } => (Found::EmptyPages { behind }, Some(next)),
                Judged::Found(found, next) => (found, next),
            };
            return Ok(self.looked(at, found, next.map(|next| (next, pages))));
        }
    }

    /// Evaluates the last of `pages` pages, given that the pages before it had no record after the position.
    fn judge(&self, page: Page, pages: usize) -> Judged {
        let first = page.records.into_iter().find(|record| !self.is_processed(record));
        match (first, page.next) {
            (Some(first), _) => Judged::Found(Found::Record { number: first.number, arrived: first.arrived }, None),
            (None, None) => Judged::Found(Found::End, None),
            (None, Some(next)) if self.is_tip(page.behind, pages) => Judged::Found(Found::Tip, Some(next)),
            (None, Some(next)) => Judged::Undecided { behind: page.behind, next },
        }
    }

    /// Whether the tip is reached. DynamoDB Streams does not report the distance to the tip: one empty page proves nothing, several do.
    fn is_tip(&self, behind: Option<Duration>, pages: usize) -> bool {
        let reached = match self.stream {
            Address::Kinesis(_) => behind == Some(Duration::ZERO),
            Address::DynamoDb(_) => pages >= MOST_PAGES,
        };
        reached && self.state == ShardState::Open
    }

    /// Whether a record is the one of the checkpoint and all its user records are processed.
    fn is_processed(&self, record: &PageRecord) -> bool {
        let Position::Within(number, part) = self.position else { return false };
        record.number.as_ref() == Some(number) && record.user_records <= part.saturating_add(1)
    }

    fn looked(&self, at: Timestamp, found: Found, next: Option<(String, usize)>) -> ProbeResult {
        let position = self.position.clone();
        let kept = |(text, pages)| KeptIterator { position: self.position.clone(), text, made: Instant::now(), pages };
        ProbeResult { probe: Probe { position, at, found }, iterator: next.map(kept) }
    }
}

enum Judged {
    Found(Found, Option<String>),
    /// The page is empty; the next one may not be.
    Undecided {
        behind: Option<Duration>,
        next: String,
    },
}
