//! The age of an application's oldest unread record, and which shards must be probed to determine it.
//!
//! Each shard has a lowest and a highest possible age. The answer is the maximum of the highest ages, so a shard need not be probed if its
//! highest age does not exceed another's lowest, or exceeds no threshold. An age that was not probed is always an upper bound: the answer
//! is never below the true age.

use std::time::Duration;

use super::lineage::{Lineage, ReadState};
use super::{Beginning, Checkpoint, Found, Lease, Position, Probes, Shard, ShardId, ShardState, Timestamp};
use crate::trigger::{AgeFrom, AgesOf};

/// Where each shard's age matters, ages above this must be exact; a shard with a lower age does not count as behind.
const EACH_EXACT_ABOVE: Duration = Duration::from_secs(10);

/// An age with at most this uncertainty is not probed again: times inside sequence numbers are whole seconds.
const EXACT_ENOUGH: Duration = Duration::from_secs(1);

/// The uncertainty of the service's clock; the scaler requests only times that have certainly passed.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// The rules for how exactly ages are determined.
#[derive(Clone, Copy, Debug)]
pub struct AgeRules {
    /// The sources that ages may be derived from.
    pub from: AgeFrom,
    /// Where the application starts without a checkpoint.
    pub beginning: Beginning,
    /// When the application was first observed.
    pub seen: Timestamp,
    /// A probe that found nothing at this time or later is current. The time is the same for the whole round: what was read since the round
    /// began stays current until it ends, however long that takes.
    pub current_since: Timestamp,
    /// A probe that found a record at this time or later is current: a record that was found earlier may have been deleted.
    pub records_since: Timestamp,
    /// When the shards were listed: shards that ended since then may have children that are not listed.
    pub listed: Timestamp,
    /// How long the stream keeps records.
    pub retention: Duration,
    /// Which round the checkpoints are from.
    pub checkpoints: CheckpointsOf,
}

/// Which round the checkpoints that ages are derived from were read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointsOf {
    /// They were read in this round.
    ThisRound,
    /// They were read in an earlier round: the application may have advanced since, and every age is an upper bound.
    AnEarlierRound,
}

/// What an application has not read of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// The shard is finished.
    Finished,
    /// The shard continues another, which comes first; its unread records are younger.
    Waits {
        /// The shard that comes first.
        on: ShardId,
    },
    /// Nothing is unread.
    CaughtUp,
    /// The shard may have unread records, the oldest of this age.
    Unread {
        /// The time since it arrived; an upper bound unless the record itself was read.
        age: Duration,
        /// What it is derived from.
        basis: AgeBasis,
    },
    /// The shard of the lease has expired or never existed.
    NoSuchShard,
}

/// What an age is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgeBasis {
    /// The first unread record: exact.
    Record,
    /// The first unread record after a checkpoint of an earlier round: an upper bound.
    EarlierCheckpoint,
    /// The time inside the checkpoint: an upper bound.
    SequenceNumber,
    /// An earlier probe, before which no unread record arrived: an upper bound.
    EarlierRead,
    /// Empty pages, after which there may be records: an upper bound, as the service reports it.
    EmptyPages,
    /// The start of the shard, or of the application's reading: an upper bound.
    Beginning,
    /// The stream's retention: an upper bound.
    Retention,
}

/// One shard or lease of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardReport {
    /// The shard that this report is about.
    pub shard: ShardId,
    /// Whether the shard accepts records; `None` where it is not in the stream.
    pub state: Option<ShardState>,
    /// The application's lease of the shard, if it has one.
    pub lease: Option<Lease>,
    /// The time since the record of the checkpoint arrived: an upper bound that needs no probe.
    pub bound: Option<Duration>,
    /// The unread part of the shard.
    pub backlog: Backlog,
}

/// The state of an application at one point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Every shard, and every lease without one; ordered by shard.
    pub shards: Vec<ShardReport>,
    /// The probes that are needed for the requested accuracy; the oldest shard first.
    pub wanted: Vec<Wanted>,
}

/// A probe that would make an answer more exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The shard to probe.
    pub shard: ShardId,
    /// Whether the shard is listed as open.
    pub state: ShardState,
    /// The position of the application.
    pub position: Position,
    /// The reason for the probe.
    pub need: Need,
    /// The difference between the highest and the lowest age that are possible without the probe.
    pub width: Duration,
}

/// The reason for a probe; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The age has no bound at all: there is no answer without this probe.
    Unknown,
    /// The shard was never probed for this application; only the checkpoint bounds the age.
    First,
    /// An earlier probe of this position found nothing: only a new one can show that nothing has arrived since.
    Quiet,
    /// An earlier probe bounds the age.
    Bounded,
}

/// What is known about the age of one shard that is being read.
struct Estimate<'a> {
    shard: &'a Shard,
    position: Position,
    lowest: Duration,
    highest: Duration,
    /// The source of the age; `None` where nothing is unread.
    basis: Option<AgeBasis>,
    state: ProbeState,
}

/// What the last probe after the present position shows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    /// A record that is still the first one, or a page that has no successor now.
    Current,
    /// The probe found nothing, and that is current.
    Empty,
    /// The shard is read to its end.
    Ended,
    /// A probe found nothing some time ago, here or at an earlier position.
    WasEmpty(Need),
    /// A new probe would improve the answer.
    Wanted(Need),
}

// === impl Survey ===

impl Survey {
    /// Evaluates `shards` and `leases` at `now` by the results of probes.
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

    /// Whether the application still has to read a closed shard to its end.
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
        // a consumer that starts then has nothing to read yet, and the service rejects times in the future
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
                // a record that retention may have deleted is no longer the first one
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
            // children continue it, and the list does not contain them yet
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

/// The latest time before which no unread record arrived.
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

/// Selects the shards to probe, the oldest first.
fn wanted(estimates: Vec<Estimate<'_>>, from: AgeFrom) -> Vec<Wanted> {
    if from == AgeFrom::SequenceNumber {
        return Vec::new();
    }
    let known = estimates.iter().map(|estimate| estimate.lowest).max().unwrap_or_default();
    // an application that has read everything is probed repeatedly: only a new probe can show that nothing has arrived
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
            // a quiet shard among busy ones would appear ever older, until the threshold
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
