//! One look at one position of a shard: an iterator, and as many pages as it takes.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::page::Page;
use super::service::{Address, Service};
use crate::lag::streams::{Found, Position, Probe, SequenceNumber, ShardId, Timestamp};

/// Empty pages are followed this far in one look.
const MOST_PAGES: usize = 5;
/// Kinesis lets an iterator live for five minutes, DynamoDB Streams for fifteen.
const ITERATOR_LASTS: Duration = Duration::from_secs(240);

/// Where a look that found nothing can be continued.
pub(super) struct KeptIterator {
    position: Position,
    text: String,
    made: Instant,
    /// The empty pages between the position and this iterator.
    pages: usize,
}

/// What a look found, and where it can be continued if that is nothing.
pub(super) struct Looked {
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

/// One shard of one stream, and the position that is looked behind.
pub(super) struct Look<'a, S> {
    pub(super) service: &'a S,
    pub(super) stream: &'a Address,
    pub(super) shard: &'a ShardId,
    pub(super) position: &'a Position,
}

impl<S: Service> Look<'_, S> {
    /// Looks for the first record behind the position. None is between there and `kept`.
    pub(super) async fn look(&self, kept: Option<KeptIterator>) -> Result<Looked, Failure> {
        if let Some(kept) = kept {
            match self.follow(kept.text, kept.pages).await {
                Err(failure) if matches!(failure.kind, FailureKind::ExpiredIterator | FailureKind::Trimmed) => {}
                looked => return looked,
            }
        }
        match self.look_from(self.position).await {
            // what the checkpoint stands before is deleted: what is unread begins with the oldest record that is left
            Err(failure) if failure.kind == FailureKind::Trimmed && *self.position != Position::TrimHorizon => {
                self.look_from(&Position::TrimHorizon).await
            }
            looked => looked,
        }
    }

    async fn look_from(&self, begin: &Position) -> Result<Looked, Failure> {
        match begin {
            Position::Within(number, 0) if matches!(self.stream, Address::Kinesis(_)) => {
                let looked = self.follow(self.iterator(begin).await?, 0).await?;
                let nothing = matches!(looked.probe.found, Found::Tip | Found::End);
                // a worker may have died behind the first of several user records
                let part = if nothing { self.rest_of(number, 0).await?.ok() } else { None };
                Ok(part.unwrap_or(looked))
            }
            Position::Within(number, part) if *part > 0 => match self.rest_of(number, *part).await? {
                Ok(rest) => Ok(rest),
                Err(Some(next)) => self.follow(next, 0).await,
                Err(None) => self.follow(self.iterator(&Position::After(number.clone())).await?, 0).await,
            },
            _ => self.follow(self.iterator(begin).await?, 0).await,
        }
    }

    /// The record with this number, where user records of it are left behind the one with the index `part`; else the iterator that
    /// goes on behind it, where the record is still there.
    async fn rest_of(&self, number: &SequenceNumber, part: u64) -> Result<Result<Looked, Option<String>>, Failure> {
        let at = Position::Within(number.clone(), part.max(1));
        let page = self.page(self.iterator(&at).await?).await?;
        let Some(first) = page.first.filter(|first| first.number.as_ref() == Some(number)) else {
            return Ok(Err(None));
        };
        if first.user_records <= part.saturating_add(1) {
            return Ok(Err(page.next));
        }
        Ok(Ok(self.looked(page.at, Found::Record { number: first.number, arrived: first.arrived }, None)))
    }

    async fn follow(&self, mut text: String, mut pages: usize) -> Result<Looked, Failure> {
        let mut read = 0;
        loop {
            let page = self.page(text).await?;
            (read, pages) = (read + 1, pages + 1);
            let at = page.at;
            let (found, next) = match judge(page, pages) {
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

    fn looked(&self, at: Timestamp, found: Found, next: Option<(String, usize)>) -> Looked {
        let position = self.position.clone();
        let kept = |(text, pages)| KeptIterator { position: self.position.clone(), text, made: Instant::now(), pages };
        Looked { probe: Probe { position, at, found }, iterator: next.map(kept) }
    }

    async fn iterator(&self, position: &Position) -> Result<String, Failure> {
        self.service.iterator(self.stream, self.shard, position).await
    }

    async fn page(&self, iterator: String) -> Result<Page, Failure> {
        self.service.page(self.stream, self.shard, iterator).await
    }
}

enum Judged {
    Found(Found, Option<String>),
    /// An empty page; the next one may not be.
    Undecided {
        behind: Option<Duration>,
        next: String,
    },
}

/// What the last of `pages` pages says, if all before it were empty.
fn judge(page: Page, pages: usize) -> Judged {
    match (page.first, page.next) {
        (Some(first), _) => Judged::Found(Found::Record { number: first.number, arrived: first.arrived }, None),
        (None, None) => Judged::Found(Found::End, None),
        (None, Some(next)) if page.behind == Some(Duration::ZERO) => Judged::Found(Found::Tip, Some(next)),
        // DynamoDB Streams does not report how far it is to the tip: one empty page says nothing, several say that it is reached
        (None, Some(next)) if page.behind.is_none() && pages >= MOST_PAGES => Judged::Found(Found::Tip, Some(next)),
        (None, Some(next)) => Judged::Undecided { behind: page.behind, next },
    }
}
