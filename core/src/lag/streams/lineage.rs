//! Which shards an application reads now: a shard waits for its parents.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::{Checkpoint, Lease, SequenceNumber, Shard, ShardId, ShardProbes, ShardState, Timestamp};

/// The results of probes, by shard.
pub type Probes = HashMap<ShardId, ShardProbes>;

/// Where an application starts without a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Beginning {
    /// At the oldest record.
    TrimHorizon,
    /// At this time.
    At(Timestamp),
    /// At the newest record when its consumer starts. That record is not stored anywhere, so everything since `seen`, when the scaler first
    /// observed the application, counts as unread.
    Latest {
        /// When the scaler first observed the application.
        seen: Timestamp,
    },
}

/// The position in a shard after which records are unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before the first record: all records are unread.
    TrimHorizon,
    /// Records that arrived from this time on are unread.
    At(Timestamp),
    /// Records after this one are unread.
    After(SequenceNumber),
    /// Records after the user record with this index, which the Kinesis Producer Library packed into this record, are unread. 0 is also the
    /// index in the checkpoint of a record that is not packed.
    Within(SequenceNumber, u64),
}

/// What an application still reads of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadState {
    /// The application has finished the shard.
    Finished,
    /// The application waits until it has finished this parent.
    Waits(ShardId),
    /// The application reads from this position.
    Reads(Position),
}

/// The shards of a stream and the leases of an application, by shard.
pub(super) struct Lineage<'a> {
    shards: HashMap<&'a ShardId, &'a Shard>,
    leases: HashMap<&'a ShardId, &'a Lease>,
    /// Ancestors of a shard that has a lease: their own leases were deleted when they were finished, or never existed.
    passed: HashSet<&'a ShardId>,
    beginning: Beginning,
    seen: Timestamp,
    /// A cache: each child of a shard, and the children's children, query whether it is finished.
    finished: RefCell<HashMap<&'a ShardId, bool>>,
}

impl Position {
    /// Whether everything that is unread at `later` is certainly unread at `self` too, in this shard.
    #[must_use]
    pub fn is_at_or_before(&self, later: &Self, shard: &ShardId, now: Timestamp) -> bool {
        match (self, later) {
            (Self::TrimHorizon, _) => true,
            (Self::At(one), Self::At(other)) => one <= other,
            // only the time inside a number shows on which side of a time its record is
            (Self::At(time), Self::After(number) | Self::Within(number, _)) => {
                number.arrived_after(shard, now).is_some_and(|arrived| arrived >= *time)
            }
            (Self::After(one) | Self::Within(one, _), Self::After(other)) => one <= other,
            (Self::After(one), Self::Within(other, _)) => one < other,
            (Self::Within(one, index), Self::Within(other, later)) => (one, index) <= (other, later),
            (_, Self::TrimHorizon) | (Self::After(_) | Self::Within(..), Self::At(_)) => false,
        }
    }

    /// Whether the record of this number, which arrived at this time, is certainly unread at this position.
    pub(super) fn is_before(&self, number: &SequenceNumber, arrived: Timestamp) -> bool {
        match self {
            Self::TrimHorizon => true,
            Self::At(time) => *time <= arrived,
            // for a partly processed record only a probe shows whether the rest is unread
            Self::After(done) | Self::Within(done, _) => done < number,
        }
    }
}

impl<'a> Lineage<'a> {
    /// Creates the lineage; `seen` is when the scaler first observed the application.
    pub(super) fn new(shards: &'a [Shard], leases: &'a [Lease], beginning: Beginning, seen: Timestamp) -> Self {
        let shards: HashMap<_, _> = shards.iter().map(|shard| (&shard.id, shard)).collect();
        let leases: HashMap<_, _> = leases.iter().map(|lease| (&lease.shard, lease)).collect();
        let finished = RefCell::default();
        let mut lineage = Self { shards, leases, passed: HashSet::new(), beginning, seen, finished };
        lineage.passed = lineage.ancestors_of_leased();
        lineage
    }

    pub(super) fn lease(&self, shard: &ShardId) -> Option<&'a Lease> {
        self.leases.get(shard).copied()
    }

    /// Unfinished leases of shards that are not in the stream.
    pub(super) fn without_shard(&self) -> impl Iterator<Item = &'a Lease> {
        let unfinished = |lease: &&Lease| lease.checkpoint != Checkpoint::ShardEnd;
        self.leases.values().copied().filter(unfinished).filter(|lease| !self.shards.contains_key(&lease.shard))
    }

    pub(super) fn standing(&self, shard: &Shard, probes: &Probes) -> ReadState {
        let checkpoint = self.lease(&shard.id).map(|lease| &lease.checkpoint);
        let position = match checkpoint {
            Some(Checkpoint::ShardEnd) => return ReadState::Finished,
            Some(Checkpoint::After(number)) => {
                let (number, part) = (number.clone(), self.lease(&shard.id).and_then(|lease| lease.sub_sequence));
                return ReadState::Reads(match part {
                    None => Position::After(number),
                    Some(part) => Position::Within(number, part),
                });
            }
            None if self.passed.contains(&shard.id) => return ReadState::Finished,
            None => self.unleased(shard),
            Some(Checkpoint::TrimHorizon) => Some(Position::TrimHorizon),
            Some(Checkpoint::Latest) => Some(Position::At(self.seen)),
            Some(Checkpoint::AtTimestamp) => Some(match self.beginning {
                Beginning::At(time) => Position::At(time),
                // the time is only in the application's configuration: starting at the oldest record misses nothing
                Beginning::TrimHorizon | Beginning::Latest { .. } => Position::TrimHorizon,
            }),
        };
        let Some(position) = position else { return ReadState::Finished };
        match shard.parents.iter().find(|parent| !self.is_finished(parent, probes)) {
            Some(parent) => ReadState::Waits(parent.clone()),
            None => ReadState::Reads(position),
        }
    }

    /// Where the application will start a shard without a lease; `None` where it never will.
    fn unleased(&self, shard: &Shard) -> Option<Position> {
        let continues = !shard.parents.is_empty();
        match self.beginning {
            // an application that has run continues with the children of the shards that it has read
            _ if continues && !self.leases.is_empty() => Some(Position::TrimHorizon),
            Beginning::TrimHorizon => Some(Position::TrimHorizon),
            Beginning::At(time) => Some(Position::At(time)),
            Beginning::Latest { seen } => (shard.state == ShardState::Open).then_some(Position::At(seen)),
        }
    }

    fn is_finished(&self, id: &ShardId, probes: &Probes) -> bool {
        let Some(shard) = self.shards.get(id) else {
            // an expired shard has no records left to read
            return true;
        };
        if let Some(finished) = self.finished.borrow().get(id) {
            return *finished;
        }
        // no shard is its own ancestor; this ends the recursion if a store contradicts that
        self.finished.borrow_mut().insert(&shard.id, true);
        let finished = match self.standing(shard, probes) {
            ReadState::Finished => true,
            ReadState::Waits(_) => false,
            // all read and not yet marked as finished, which lasts while no consumer runs
            ReadState::Reads(position) => probes.get(id).is_some_and(|known| known.is_drained(&position, id)),
        };
        self.finished.borrow_mut().insert(&shard.id, finished);
        finished
    }

    fn ancestors_of_leased(&self) -> HashSet<&'a ShardId> {
        let mut passed = HashSet::new();
        let mut next: Vec<_> = self.leases.keys().copied().collect();
        while let Some(id) = next.pop() {
            let of_shard = self.shards.get(id).map(|shard| &shard.parents);
            let of_lease = self.leases.get(id).map(|lease| &lease.parents);
            for parent in of_shard.into_iter().chain(of_lease).flatten() {
                if passed.insert(parent) {
                    next.push(parent);
                }
            }
        }
        passed
    }
}
