//! How old the oldest unread record of an application is, and which shards must be probed to say so.
//!
//! Each shard has a lowest and a highest possible age. The answer is the highest of all, so a shard whose highest age does not pass
//! another's lowest need not be probed, and one that passes no threshold need not either. An age that was not read is always an
//! upper bound: the answer is never less than the truth.

use std::time::Duration;

use super::lineage::{Lineage, ReadState};
use super::{Beginning, Checkpoint, Found, Lease, Position, Probes, Shard, ShardId, ShardState, Timestamp};
use crate::trigger::{AgeFrom, AgesOf};

/// Where each shard's age matters, those above this are to be exact: less than this is not called behind.
const EACH_EXACT_ABOVE: Duration = Duration::from_secs(10);

/// An age that is known to this is not probed to be known better: times inside sequence numbers are whole seconds.
const EXACT_ENOUGH: Duration = Duration::from_secs(1);

/// The service's clock is known to this; its times are not asked about before they are surely past.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// What decides how exactly ages are known.
#[derive(Clone, Copy, Debug)]
pub struct AgeRules {
    /// What ages may be derived from.
    pub from: AgeFrom,
    /// Where the application begins without a checkpoint.
    pub beginning: Beginning,
    /// When the application was first observed.
    pub seen: Timestamp,
    /// A probe that found nothing at this time or later is current. It is the same for all of a round: what was read since the
    /// round began stays current until it ends, however long that takes.
    pub current_since: Timestamp,
    /// A probe that found a record at this time or later is current: a record that was found earlier may have been deleted.
    pub records_since: Timestamp,
    /// When the shards were listed: what ended since then may have children that are not listed.
    pub listed: Timestamp,
    /// The stream keeps records this long.
    pub retention: Duration,
    /// Of when the checkpoints are.
    pub checkpoints: CheckpointsOf,
}

/// Of when the checkpoints are that ages are derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointsOf {
    /// Of this round.
    ThisRound,
    /// Of an earlier one: the application may have got further since, and every age is an upper bound.
    AnEarlierRound,
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
        /// Since it arrived; an upper bound unless it is that of the record itself.
        age: Duration,
        /// What it is derived from.
        basis: AgeBasis,
    },
    /// The lease is of a shard that has expired or never was.
    NoSuchShard,
}

/// What an age is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgeBasis {
    /// The first unread record: exact.
    Record,
    /// The first unread record by a checkpoint that was read some time ago: an upper bound.
    EarlierCheckpoint,
    /// The time inside the checkpoint: an upper bound.
    SequenceNumber,
    /// An earlier probe, before which nothing that is unread arrived: an upper bound.
    EarlierRead,
    /// Empty pages, behind which there may be records: an upper bound, as the service reports it.
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
    /// What must be probed before the answer is as exact as it should be; the oldest first.
    pub wanted: Vec<Wanted>,
}

/// A probe that would make an answer more exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The shard to probe.
    pub shard: ShardId,
    /// Whether it is listed as open.
    pub state: ShardState,
    /// Where the application is.
    pub position: Position,
    /// Why.
    pub need: Need,
    /// The difference between the highest and the lowest age that are possible without the probe.
    pub width: Duration,
}

/// Why a probe is wanted; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing at all bounds the age: there is no answer without this probe.
    Unknown,
    /// The shard was never probed for this application, only the checkpoint bounds the age.
    First,
    /// An earlier probe of this position found nothing: only a new one can say that nothing has come since.
    Quiet,
    /// The age is bounded by an earlier probe.
    Bounded,
}

/// What is known of the age of one shard that is being read.
struct Estimate<'a> {
    shard: &'a Shard,
    position: Position,
    lowest: Duration,
    highest: Duration,
    /// `None` where nothing is unread.
    basis: Option<AgeBasis>,
    state: ProbeState,
}

/// What the last probe behind the present position says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    /// A record that is still the first one, or a page that can be followed no further now.
    Current,
    /// Nothing was there, and that is current.
    Empty,
    /// The shard is read to its end.
    Ended,
    /// Nothing was there some time ago, here or at an earlier position.
    WasEmpty(Need),
    /// A new probe would say more.
    Wanted(Need),
}

// === impl Survey ===

impl Survey {
    /// Judges `shards` and `leases` at `now` by what probes have found.
    #[must_use]
    pub fn new(shards: &[Shard], leases: &[Lease], probes: &Probes, rules: &AgeRules, now: Timestamp) -> Self {
        let lineage = Lineage::new(shards, leases, rules.beginning, rules.seen);
        let mut reports = Vec::with_capacity(shards.len());
        let mut estimates = Vec::new();
        for shard in shards {
            let lease = lineage.lease(&shard.id);
            let backlog = match lineage.standing(shard, probes) {
                ReadState::Finished => Backlog::Finished,
                ReadState::Waits(on) => Backlog::Waits { on },
                ReadState::Reads(position) => {
                    let estimate = Estimate::new(shard, &position, probes, rules, now);
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

    /// Whether a closed shard is yet to be read to its end.
    #[must_use]
    pub fn reads_closed_shards(&self) -> bool {
        self.shards.iter().any(|report| report.state == Some(ShardState::Closed) && report.backlog != Backlog::Finished)
    }

    /// The shard that is furthest behind, its age, and what it was derived from.
    #[must_use]
    pub fn oldest(&self) -> Option<(&ShardReport, Duration, AgeBasis)> {
        let unread = self.shards.iter().filter_map(|report| match report.backlog {
            Backlog::Unread { age, basis } => Some((report, age, basis)),
            _ => None,
        });
        unread.max_by_key(|(_, age, _)| *age)
    }
}

// === impl ShardReport ===

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

// === impl Estimate ===

impl<'a> Estimate<'a> {
    fn new(shard: &'a Shard, position: &Position, probes: &Probes, rules: &AgeRules, now: Timestamp) -> Self {
        let Limit { time, basis: limit_basis, probed } = Limit::of(shard, position, probes, rules, now);
        let bounded = now.since(time);
        let of_shard = probes.get(&shard.id);
        let kept = now.minus(rules.retention);
        let unread = of_shard.and_then(|known| known.unread_since(position, rules.records_since, kept));
        let unread = unread.filter(|_| rules.checkpoints == CheckpointsOf::ThisRound);
        let lowest = unread.map_or(Duration::ZERO, |arrived| now.since(arrived)).min(bounded);
        let estimate =
            |lowest, highest, basis, state| Self { shard, position: position.clone(), lowest, highest, basis, state };
        let nothing = |state| estimate(Duration::ZERO, Duration::ZERO, None, state);
        let bound = |need| estimate(lowest, bounded, Some(limit_basis), ProbeState::Wanted(need));
        // a consumer that begins then has nothing to read yet, and the service refuses to look into the future
        if matches!(position, Position::At(time) if time.plus(CLOCKS_APART) >= now) {
            return nothing(ProbeState::Empty);
        }
        let Some(probe) = of_shard.and_then(|known| known.answer(position, &shard.id)) else {
            let unknown = !probed && matches!(limit_basis, AgeBasis::Retention | AgeBasis::Beginning);
            return bound(if unknown {
                Need::Unknown
            } else if probed {
                Need::Bounded
            } else {
                Need::First
            });
        };
        match &probe.found {
            Found::Record { arrived, .. } => {
                let age = now.since(*arrived);
                // what retention may have deleted is not the first record any more
                if probe.at >= rules.records_since && age < rules.retention {
                    match rules.checkpoints {
                        CheckpointsOf::ThisRound => estimate(age, age, Some(AgeBasis::Record), ProbeState::Current),
                        CheckpointsOf::AnEarlierRound => {
                            estimate(Duration::ZERO, age, Some(AgeBasis::EarlierCheckpoint), ProbeState::Current)
                        }
                    }
                } else {
                    bound(Need::Bounded)
                }
            }
            Found::End if shard.state == ShardState::Closed => nothing(ProbeState::Ended),
            // others continue it, and the list does not have them yet
            Found::End => {
                let age = now.since(rules.listed);
                estimate(Duration::ZERO, age, Some(AgeBasis::EarlierRead), ProbeState::Ended)
            }
            Found::Tip if probe.at >= rules.current_since => nothing(ProbeState::Empty),
            Found::Tip => {
                let need = if probe.position == *position { Need::Quiet } else { Need::Bounded };
                Self { state: ProbeState::WasEmpty(need), ..bound(need) }
            }
            Found::EmptyPages { behind } => {
                let reported = behind.map(|behind| now.since(probe.at).saturating_add(behind));
                let reported = reported.filter(|age| *age < bounded);
                let unknown =
                    reported.is_none() && !probed && matches!(limit_basis, AgeBasis::Retention | AgeBasis::Beginning);
                let state = if unknown {
                    ProbeState::Wanted(Need::Unknown)
                } else if probe.at >= rules.current_since {
                    ProbeState::Current
                } else {
                    ProbeState::Wanted(Need::Bounded)
                };
                let basis = if reported.is_some() { AgeBasis::EmptyPages } else { limit_basis };
                estimate(lowest, reported.unwrap_or(bounded), Some(basis), state)
            }
        }
    }

    fn backlog(&self) -> Backlog {
        match self.basis {
            None => Backlog::CaughtUp,
            Some(basis) => Backlog::Unread { age: self.highest, basis },
        }
    }

    const fn width(&self) -> Duration {
        self.highest.saturating_sub(self.lowest)
    }
}

/// The latest time of which it is known that nothing unread arrived before it.
struct Limit {
    time: Timestamp,
    basis: AgeBasis,
    /// Whether a probe of this position or of an earlier one has found anything.
    probed: bool,
}

impl Limit {
    fn of(shard: &Shard, position: &Position, probes: &Probes, rules: &AgeRules, now: Timestamp) -> Self {
        let of_position = match position {
            Position::TrimHorizon => None,
            Position::At(time) => Some((*time, AgeBasis::Beginning)),
            Position::After(number) | Position::Within(number, _) => {
                number.arrived_after(&shard.id, now).map(|arrived| (arrived, AgeBasis::SequenceNumber))
            }
        };
        let of_shard = shard.begun(now).map(|begun| (begun, AgeBasis::Beginning));
        let floor = probes.get(&shard.id).and_then(|known| known.floor(position, &shard.id));
        let of_probes = floor.map(|floor| (floor, AgeBasis::EarlierRead));
        let of_retention = (now.minus(rules.retention), AgeBasis::Retention);
        let all = [of_position, of_shard, of_probes].into_iter().flatten();
        let (time, basis) = all.fold(of_retention, |latest, other| if other.0 > latest.0 { other } else { latest });
        Self { time, basis, probed: floor.is_some() }
    }
}

/// Which shards to probe, the oldest first.
fn wanted(estimates: Vec<Estimate<'_>>, from: AgeFrom) -> Vec<Wanted> {
    if from == AgeFrom::SequenceNumber {
        return Vec::new();
    }
    let known = estimates.iter().map(|estimate| estimate.lowest).max().unwrap_or_default();
    // an application that has read everything is probed again and again: only a new probe can say that nothing came
    let idle = estimates
        .iter()
        .all(|estimate| matches!(estimate.state, ProbeState::Empty | ProbeState::Ended | ProbeState::WasEmpty(_)));
    let above = match from {
        AgeFrom::Auto(AgesOf::Oldest { exact_above }) => exact_above.max(known),
        AgeFrom::Auto(AgesOf::Each) => EACH_EXACT_ABOVE,
        AgeFrom::Probe | AgeFrom::SequenceNumber => Duration::ZERO,
    };
    let quiet_above = match from {
        AgeFrom::Auto(AgesOf::Oldest { exact_above }) => exact_above / 4,
        _ => above,
    };
    let mut wanted: Vec<_> = estimates
        .into_iter()
        .filter_map(|estimate| match estimate.state {
            ProbeState::WasEmpty(need) | ProbeState::Wanted(need) => Some((need, estimate)),
            ProbeState::Current | ProbeState::Empty | ProbeState::Ended => None,
        })
        .filter(|(need, estimate)| {
            // a quiet shard beside busy ones would seem ever older, until the threshold
            let seems_old =
                estimate.highest > quiet_above.max(known) && matches!(estimate.state, ProbeState::WasEmpty(_));
            let matters = estimate.highest > above || seems_old || idle || from == AgeFrom::Probe;
            *need == Need::Unknown || (matters && (estimate.width() >= EXACT_ENOUGH || estimate.lowest.is_zero()))
        })
        .collect();
    wanted.sort_by_key(|(_, estimate)| std::cmp::Reverse(estimate.highest));
    let wanted = wanted.into_iter().map(|(need, estimate)| Wanted {
        shard: estimate.shard.id.clone(),
        state: estimate.shard.state,
        width: estimate.width(),
        position: estimate.position,
        need,
    });
    wanted.collect()
}
