//! The results of probes of one shard, by position: facts that hold for every application.

use std::time::Duration;

use super::{Position, SequenceNumber, ShardId, Timestamp};

/// The maximum number of probes per shard; the oldest are dropped first.
const MAX_PROBES: usize = 128;

/// Probes are dropped after this time: a newer one or the checkpoint gives a better bound.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// What a probe found after a position of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The first record.
    Record {
        /// Its sequence number; `None` where the service returned text that is not a number.
        number: Option<SequenceNumber>,
        /// When the record arrived.
        arrived: Timestamp,
    },
    /// No record, up to the tip of the shard.
    Tip,
    /// No record, and none will follow: the shard is closed and read to its end.
    End,
    /// No record on the pages that were read; later pages may have some.
    EmptyPages {
        /// How far before the tip these pages end, where the service reports it.
        behind: Option<Duration>,
    },
}

/// One probe of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The position after which records were requested.
    pub position: Position,
    /// When the request was sent, by the service's clock.
    pub at: Timestamp,
    /// The result of the request.
    pub found: Found,
}

/// The probes of one shard, for all applications together.
#[derive(Clone, Debug, Default)]
pub struct ShardProbes(Vec<Probe>);

impl Probe {
    /// Whether this probe shows the first record after `position`, or that there was none.
    fn answers(&self, position: &Position, shard: &ShardId) -> bool {
        self.position == *position
            || match &self.found {
                Found::Tip | Found::End => self.position.is_at_or_before(position, shard, self.at),
                Found::Record { number: Some(number), arrived } => {
                    position.is_before(number, *arrived) && self.position.is_at_or_before(position, shard, self.at)
                }
                Found::Record { number: None, .. } | Found::EmptyPages { .. } => false,
            }
    }

    /// A time before which no record that is unread at `position` arrived.
    fn floor(&self, position: &Position, shard: &ShardId) -> Option<Timestamp> {
        let time = match self.found {
            Found::Record { arrived, .. } => arrived,
            Found::Tip | Found::End => self.at,
            Found::EmptyPages { .. } => return None,
        };
        self.position.is_at_or_before(position, shard, self.at).then_some(time)
    }
}

impl ShardProbes {
    /// Adds a probe and removes the older ones that it supersedes.
    pub fn add(&mut self, probe: Probe, shard: &ShardId) {
        let forgotten = probe.at.minus(FORGOTTEN_AFTER);
        let undecided = |found: &Found| matches!(found, Found::EmptyPages { .. });
        // empty pages do not show when records arrived, as an older probe of the same position may
        let replaced =
            |old: &Probe| probe.answers(&old.position, shard) && (!undecided(&probe.found) || undecided(&old.found));
        self.0.retain(|old| old.at >= forgotten && !replaced(old));
        if self.0.len() >= MAX_PROBES
            && let Some(oldest) = (0..self.0.len()).min_by_key(|index| self.0.get(*index).map(|probe| probe.at))
        {
            self.0.swap_remove(oldest);
        }
        self.0.push(probe);
    }

    /// The newest probe that shows what follows `position`.
    #[must_use]
    pub fn answer(&self, position: &Position, shard: &ShardId) -> Option<&Probe> {
        self.0.iter().filter(|probe| probe.answers(position, shard)).max_by_key(|probe| probe.at)
    }

    /// The latest time before which no record that is unread at `position` arrived.
    pub(super) fn floor(&self, position: &Position, shard: &ShardId) -> Option<Timestamp> {
        self.0.iter().filter_map(|probe| probe.floor(position, shard)).max()
    }

    /// The arrival time of the oldest record that is known to be unread at `position`, by probes since `since`, and that arrived after
    /// `kept`: older ones may have been deleted.
    pub(super) fn unread_since(&self, position: &Position, since: Timestamp, kept: Timestamp) -> Option<Timestamp> {
        let recent = self.0.iter().filter(|probe| probe.at >= since);
        let unread = recent.filter_map(|probe| match &probe.found {
            Found::Record { number: Some(number), arrived } => position.is_before(number, *arrived).then_some(*arrived),
            _ => None,
        });
        unread.filter(|arrived| *arrived > kept).min()
    }

    /// Whether nothing after `position` is unread, now or later.
    pub(super) fn is_drained(&self, position: &Position, shard: &ShardId) -> bool {
        self.answer(position, shard).is_some_and(|probe| probe.found == Found::End)
    }
}
