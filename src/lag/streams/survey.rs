//! How old the oldest unread record of an application is, and which shards must be read to say so.
//!
//! Each shard has a lowest and a highest possible age. The answer is the highest of all, so a shard whose highest age does not pass
//! another's lowest need not be read, and one that passes no threshold need not either. An age that was not read is always an
//! upper bound: the answer is never less than the truth.

use std::time::Duration;

use super::lineage::{Lineage, Standing};
use super::{Beginning, Checkpoint, Lease, Position, Reads, Saw, Shard, ShardId, ShardState, Timestamp};
use crate::trigger::{AgeFrom, AgesOf};

/// Where each shard's age matters, those above this are to be exact: less than this is not called behind.
const EACH_EXACT_ABOVE: Duration = Duration::from_secs(10);

/// What decides how exactly ages are known.
#[derive(Clone, Copy, Debug)]
pub struct AgeRules {
    /// What ages may be told from.
    pub from: AgeFrom,
    /// Where the application begins without a checkpoint.
    pub beginning: Beginning,
    /// When the application was first looked at.
    pub seen: Timestamp,
    /// For so long an empty read is as good as a new one.
    pub current_for: Duration,
    /// The stream keeps records for so long.
    pub retention: Duration,
}

/// What an application has not read of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// The shard is finished.
    Finished,
    /// The shard is continued from another, which comes first; what is unread here is younger.
    Waits {
        /// That other.
        on: ShardId,
    },
    /// Nothing is unread.
    CaughtUp,
    /// The oldest unread record, if there is one, is so old.
    Unread {
        /// Since it arrived; an upper bound unless told by the record itself.
        age: Duration,
        /// What told it.
        basis: AgeBasis,
    },
    /// The lease is of a shard that has expired or never was.
    NoSuchShard,
}

/// What told an age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgeBasis {
    /// The first unread record: exact.
    Record,
    /// The time inside the checkpoint: an upper bound.
    SequenceNumber,
    /// An earlier read, before which nothing that is unread arrived: an upper bound.
    EarlierRead,
    /// Empty pages, behind which there may be records: an upper bound, as the service tells it.
    EmptyPages,
    /// The beginning of the shard, or of what the application is to read: an upper bound.
    Beginning,
    /// The stream's retention: an upper bound.
    Retention,
}

/// One shard or lease of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardReport {
    /// The shard.
    pub shard: ShardId,
    /// Whether it is written to; `None` where the stream does not have it.
    pub state: Option<ShardState>,
    /// What the application has written of it, if anything.
    pub lease: Option<Lease>,
    /// Since the record of the checkpoint arrived: an upper bound, told without reading.
    pub bound: Option<Duration>,
    /// What is unread.
    pub backlog: Backlog,
}

/// The state of an application at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Every shard, and every lease without one; ordered by shard.
    pub shards: Vec<ShardReport>,
    /// What must be read before the answer is as exact as it is to be; the oldest first.
    pub wanted: Vec<(ShardId, Position)>,
}

/// What is known of the age of one shard that is being read.
struct Estimate<'a> {
    shard: &'a ShardId,
    position: Position,
    lowest: Duration,
    highest: Duration,
    /// `None` where an empty read says that nothing is unread.
    basis: Option<AgeBasis>,
    read: LastRead,
}

/// What the last look behind the present position was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastRead {
    /// There was none.
    None,
    /// The record that it found is still the first one; or the shard has ended.
    Lasting,
    /// Nothing was there, just now.
    EmptyNow,
    /// Nothing was there, some time ago.
    EmptyBefore,
    /// Only empty pages were seen.
    Undecided,
}

impl Survey {
    /// Judges `shards` and `leases` at `now` by what `reads` tell.
    #[must_use]
    pub fn new(shards: &[Shard], leases: &[Lease], reads: &Reads, rules: &AgeRules, now: Timestamp) -> Self {
        let lineage = Lineage::new(shards, leases, rules.beginning, rules.seen);
        let mut reports = Vec::with_capacity(shards.len());
        let mut estimates = Vec::new();
        for shard in shards {
            let lease = lineage.lease(&shard.id);
            let backlog = match lineage.standing(shard, reads) {
                Standing::Finished => Backlog::Finished,
                Standing::Waits(on) => Backlog::Waits { on },
                Standing::Reads(position) => {
                    let estimate = Estimate::new(shard, position, reads, rules, now);
                    let backlog = estimate.backlog();
                    estimates.push(estimate);
                    backlog
                }
            };
            reports.push(ShardReport::new(shard, lease, backlog, now));
        }
        reports.extend(lineage.without_shard().map(ShardReport::without_shard));
        reports.sort_by(|one, other| one.shard.cmp(&other.shard));
        Self { shards: reports, wanted: wanted(estimates, rules.from) }
    }

    /// The age of the oldest unread record over all shards; zero where nothing is unread.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.oldest().map_or(Duration::ZERO, |(_, age, _)| age)
    }

    /// The shard that is furthest behind, its age, and what told it.
    #[must_use]
    pub fn oldest(&self) -> Option<(&ShardReport, Duration, AgeBasis)> {
        let unread = self.shards.iter().filter_map(|report| match report.backlog {
            Backlog::Unread { age, basis } => Some((report, age, basis)),
            _ => None,
        });
        unread.max_by_key(|(_, age, _)| *age)
    }
}

impl ShardReport {
    fn new(shard: &Shard, lease: Option<&Lease>, backlog: Backlog, now: Timestamp) -> Self {
        let bound = match lease.map(|lease| &lease.checkpoint) {
            Some(Checkpoint::After(number)) => number.arrived_after(&shard.id, now).map(|arrived| now.since(arrived)),
            _ => None,
        };
        Self { shard: shard.id.clone(), state: Some(shard.state), lease: lease.cloned(), bound, backlog }
    }

    fn without_shard(lease: &Lease) -> Self {
        Self {
            shard: lease.shard.clone(),
            state: None,
            lease: Some(lease.clone()),
            bound: None,
            backlog: Backlog::NoSuchShard,
        }
    }
}

impl<'a> Estimate<'a> {
    fn new(shard: &'a Shard, position: Position, reads: &Reads, rules: &AgeRules, now: Timestamp) -> Self {
        let (limit, limit_basis) = limit(shard, &position, reads, rules, now);
        let bounded = now.since(limit);
        let read = reads.at(&shard.id, &position).map(|read| (now.since(read.at), read.saw));
        let (lowest, highest, basis, read) = match read {
            None => (Duration::ZERO, bounded, Some(limit_basis), LastRead::None),
            Some((_, Saw::Record { arrived })) => {
                // what retention has deleted meanwhile cannot be read any more
                let age = now.since(arrived).min(rules.retention);
                (age, age, Some(AgeBasis::Record), LastRead::Lasting)
            }
            Some((_, Saw::End)) => (Duration::ZERO, Duration::ZERO, None, LastRead::Lasting),
            Some((ago, Saw::Tip)) if ago <= rules.current_for => {
                (Duration::ZERO, Duration::ZERO, None, LastRead::EmptyNow)
            }
            Some((_, Saw::Tip)) => (Duration::ZERO, bounded, Some(limit_basis), LastRead::EmptyBefore),
            Some((ago, Saw::EmptyPages { behind })) => {
                let told = ago.saturating_add(behind);
                let basis = if told < bounded { AgeBasis::EmptyPages } else { limit_basis };
                let read = if ago <= rules.current_for { LastRead::EmptyNow } else { LastRead::Undecided };
                (Duration::ZERO, told.min(bounded), Some(basis), read)
            }
        };
        Self { shard: &shard.id, position, lowest, highest, basis, read }
    }

    fn backlog(&self) -> Backlog {
        match self.basis {
            None => Backlog::CaughtUp,
            Some(basis) => Backlog::Unread { age: self.highest, basis },
        }
    }

    fn can_be_told_better(&self) -> bool {
        matches!(self.read, LastRead::None | LastRead::EmptyBefore | LastRead::Undecided)
    }
}

/// The latest time of which it is known that nothing unread arrived before it, and what tells so.
fn limit(shard: &Shard, position: &Position, reads: &Reads, rules: &AgeRules, now: Timestamp) -> (Timestamp, AgeBasis) {
    let of_position = match position {
        Position::TrimHorizon => None,
        Position::At(time) => Some((*time, AgeBasis::Beginning)),
        Position::After(number) => {
            number.arrived_after(&shard.id, now).map(|arrived| (arrived, AgeBasis::SequenceNumber))
        }
    };
    let of_shard = shard.begun(now).map(|begun| (begun, AgeBasis::Beginning));
    let of_reads = reads.floor(&shard.id, position).map(|floor| (floor, AgeBasis::EarlierRead));
    let of_retention = (now.minus(rules.retention), AgeBasis::Retention);
    let all = [of_position, of_shard, of_reads].into_iter().flatten();
    all.fold(of_retention, |latest, other| if other.0 > latest.0 { other } else { latest })
}

/// Which shards to read, the oldest first.
fn wanted(estimates: Vec<Estimate<'_>>, from: AgeFrom) -> Vec<(ShardId, Position)> {
    let known = estimates.iter().map(|estimate| estimate.lowest).max().unwrap_or_default();
    // an application that has read everything is looked at again and again: only a new read can say that nothing came
    let idle = estimates.iter().all(|estimate| matches!(estimate.read, LastRead::EmptyNow | LastRead::EmptyBefore));
    let mut wanted: Vec<_> = estimates
        .into_iter()
        .filter(Estimate::can_be_told_better)
        .filter(|estimate| match from {
            AgeFrom::SequenceNumber => false,
            AgeFrom::Probe => true,
            AgeFrom::Auto(AgesOf::Oldest { exact_above }) => {
                estimate.highest > exact_above.max(known) || (idle && estimate.read == LastRead::EmptyBefore)
            }
            AgeFrom::Auto(AgesOf::Each) => {
                estimate.highest > EACH_EXACT_ABOVE || (idle && estimate.read == LastRead::EmptyBefore)
            }
        })
        .collect();
    wanted.sort_by_key(|estimate| std::cmp::Reverse(estimate.highest));
    wanted.into_iter().map(|estimate| (estimate.shard.clone(), estimate.position)).collect()
}
