//! Which workers are alive: a dead worker stays the owner in the lease table until another takes over.
//!
//! KCL renews a lease three times within `failoverTimeMillis` and considers its worker dead after that time. The table does not contain the
//! setting, so it is derived from the observed renewals.

use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::streams::{Lease, ShardId, Survey};

/// The number of renewals within the time after which KCL considers a worker dead.
const RENEWALS_TO_FAILOVER: u32 = 3;

/// A worker is alive for at least this long after a renewal: KCL's defaults are 10 s (before 3.0) and 30 s.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// A worker without observed renewals is alive for this long: enough for a `failoverTimeMillis` of 9 minutes.
const UNSEEN_LIFE: Duration = Duration::from_secs(180);

/// A worker is dead after this long, however rarely it has renewed.
const LONGEST_LIFE: Duration = Duration::from_secs(1800);

/// When each lease was last renewed, and how often it is renewed, as far as observed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Renewals(Vec<Renewal>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Renewal {
    shard: ShardId,
    owner: Option<Arc<str>>,
    counter: u64,
    /// When a reading first showed the present counter.
    seen_at: Moment,
    /// The longest time between two renewals by this owner; earlier ones have less weight. `None` until it has renewed once.
    interval: Option<Duration>,
}

impl Renewals {
    /// Returns the renewals after a reading that was taken at `taken_at`.
    #[must_use]
    pub fn fold(past: Option<&Self>, survey: &Survey, taken_at: Moment) -> Self {
        let leases = survey.shards.iter().filter_map(|report| report.lease.as_ref());
        let renewals = leases.filter_map(|lease| {
            let known = past.and_then(|past| past.of(&lease.shard)).filter(|known| known.owner == lease.owner);
            Renewal::fold(known, lease, taken_at)
        });
        // shards are ordered, and so are their leases
        Self(renewals.collect())
    }

    /// Whether the owner of a lease that was read at `taken_at` was alive then; true where the store counts no renewals.
    #[must_use]
    pub fn alive(&self, lease: &Lease, taken_at: Moment) -> bool {
        self.of(&lease.shard).is_none_or(|renewal| taken_at.since(renewal.seen_at) < renewal.life())
    }

    fn of(&self, shard: &ShardId) -> Option<&Renewal> {
        let index = self.0.binary_search_by(|known| known.shard.cmp(shard)).ok()?;
        self.0.get(index)
    }
}

impl Renewal {
    /// Updates one lease. `known` is the history of the same lease and owner; `None` where the store counts no renewals.
    fn fold(known: Option<&Self>, lease: &Lease, taken_at: Moment) -> Option<Self> {
        let counter = lease.counter?;
        let (seen_at, interval) = match known {
            None => (taken_at, None),
            Some(known) if known.counter == counter => (known.seen_at, known.interval),
            Some(known) => (taken_at, known.interval_with(counter, taken_at)),
        };
        Some(Self { shard: lease.shard.clone(), owner: lease.owner.clone(), counter, seen_at, interval })
    }

    /// The interval after a reading with another counter. A counter that rose by several means as many renewals.
    fn interval_with(&self, counter: u64, taken_at: Moment) -> Option<Duration> {
        let renewals = counter.checked_sub(self.counter).map_or(1, |more| u32::try_from(more).unwrap_or(u32::MAX));
        let seen = taken_at.since(self.seen_at) / renewals.max(1);
        // a worker that came back under its old name does not renew rarely: it was dead
        if seen > LONGEST_LIFE / RENEWALS_TO_FAILOVER {
            return self.interval;
        }
        let faded = self.interval.map_or(Duration::ZERO, |interval| interval / 5 * 4);
        Some(seen.max(faded))
    }

    fn life(&self) -> Duration {
        let life = |interval: Duration| (interval * RENEWALS_TO_FAILOVER).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        self.interval.map_or(UNSEEN_LIFE, life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::streams::{Backlog, Checkpoint, ShardReport, ShardState};

    fn survey(owner: &str, counter: u64) -> Survey {
        let shard = ShardId::new("shardId-000000000000");
        let lease = Lease {
            shard: shard.clone(),
            checkpoint: Checkpoint::TrimHorizon,
            sub_sequence: None,
            parents: Vec::new(),
            owner: Some(owner.into()),
            counter: Some(counter),
            throughput_kbps: None,
        };
        let report = ShardReport {
            shard,
            state: Some(ShardState::Open),
            lease: Some(lease),
            bound: None,
            backlog: Backlog::CaughtUp,
        };
        Survey { shards: vec![report], wanted: Vec::new() }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    /// Reads every `poll` s a lease that is renewed every `renewal` s until `stopped` s; returns for each reading whether its
    /// worker was alive.
    fn course(renewal: u64, poll: u64, stopped: u64, until: u64) -> Vec<(u64, bool)> {
        let mut renewals = None;
        let readings = (0..=until / poll).map(|number| 17 + number * poll);
        let seen = readings.map(|second| {
            let survey = survey("w", second.min(stopped) / renewal);
            let next = Renewals::fold(renewals.as_ref(), &survey, at(second));
            let lease = survey.shards[0].lease.as_ref().expect("a lease");
            let alive = next.alive(lease, at(second));
            renewals = Some(next);
            (second, alive)
        });
        seen.collect()
    }

    #[test]
    fn a_living_worker_is_alive_at_every_reading_whatever_its_failover_time() {
        for failover in [3, 10, 30, 60, 180, 300, 500] {
            for poll in [2, 10, 60, 600] {
                let seen = course((failover / 3).max(1), poll, u64::MAX, 7200);
                let dead: Vec<_> = seen.iter().filter(|(_, alive)| !alive).collect();
                assert!(dead.is_empty(), "failover {failover} s, read every {poll} s: {dead:?}");
            }
        }
    }

    #[test]
    fn a_dead_worker_is_dead_soon_after_its_failover_time_and_stays_so() {
        for (failover, within) in [(3, 80), (10, 80), (30, 90), (180, 260), (300, 420)] {
            let seen = course((failover / 3).max(1), 10, 3600, 7200);
            let died = seen.iter().find(|(_, alive)| !alive).expect("it dies").0;
            assert!(
                (3600 + failover.min(60)..=3600 + within).contains(&died),
                "failover {failover} s: dead at {died} s"
            );
            assert!(seen.iter().filter(|(second, _)| *second >= died).all(|(_, alive)| !alive), "{failover}");
        }
    }

    #[test]
    fn a_gap_in_the_readings_is_no_rare_renewal() {
        // renewed every 3 s, and not read for 9 minutes
        let mut renewals = Renewals::fold(None, &survey("w", 0), at(0));
        for second in [10, 20, 560, 570] {
            renewals = Renewals::fold(Some(&renewals), &survey("w", second / 3), at(second));
        }
        assert!(renewals.0[0].interval < Some(Duration::from_secs(6)), "{renewals:?}");
    }

    #[test]
    fn a_rare_renewal_is_remembered_over_some_quick_ones() {
        let mut renewals = Renewals::fold(None, &survey("w", 0), at(0));
        for (counter, second) in [(1, 100), (2, 110), (3, 120)] {
            renewals = Renewals::fold(Some(&renewals), &survey("w", counter), at(second));
        }
        assert_eq!(renewals.0[0].life(), Duration::from_secs(3 * 64), "100 s, less a fifth twice");
    }

    #[test]
    fn a_worker_that_was_dead_for_hours_and_came_back_is_judged_by_its_renewals() {
        let mut renewals = Renewals::fold(None, &survey("w", 0), at(0));
        for (counter, second) in [(1, 10), (2, 20), (3, 30_000), (4, 30_010)] {
            renewals = Renewals::fold(Some(&renewals), &survey("w", counter), at(second));
        }
        assert_eq!(renewals.0[0].life(), SHORTEST_LIFE);
        // a worker that was dead for minutes is alive again after some renewals
        for (counter, second) in
            [(5, 30_510)].into_iter().chain((6..40).map(|counter| (counter, 30_510 + counter * 10)))
        {
            renewals = Renewals::fold(Some(&renewals), &survey("w", counter), at(second));
        }
        assert_eq!(renewals.0[0].life(), SHORTEST_LIFE);
    }

    #[test]
    fn a_lease_that_changed_hands_says_nothing_of_its_new_owner_s_renewals() {
        let first = Renewals::fold(None, &survey("a", 1), at(0));
        let second = Renewals::fold(Some(&first), &survey("b", 2), at(500));
        assert_eq!(second.0[0].interval, None);
        assert_eq!(second.0[0].life(), UNSEEN_LIFE);
    }
}
