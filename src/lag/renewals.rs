//! Which workers are alive: a worker that is gone stays the owner in the lease table until another takes over.

use std::time::Duration;

use super::Moment;
use super::streams::{Lease, ShardId, Survey};

/// A worker renews its leases every few seconds; KCL takes one for dead after 10 s (before 3.0) or 30 s.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// When each lease was renewed last, as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Renewals(Vec<(ShardId, u64, Moment)>);

impl Renewals {
    /// With the leases of a reading.
    #[must_use]
    pub fn fold(past: Option<&Self>, survey: &Survey, now: Moment) -> Self {
        let leases = survey.shards.iter().filter_map(|report| report.lease.as_ref());
        let renewals = leases.filter_map(|lease| {
            let counter = lease.counter?;
            let known = past.and_then(|past| past.of(&lease.shard)).filter(|(_, known, _)| *known == counter);
            Some((lease.shard.clone(), counter, known.map_or(now, |(.., at)| *at)))
        });
        // shards are ordered, and so are their leases
        Self(renewals.collect())
    }

    /// Whether the owner of a lease is alive, as far as anything tells; a store without counters tells nothing.
    #[must_use]
    pub fn alive(&self, lease: &Lease, now: Moment) -> bool {
        self.of(&lease.shard).is_none_or(|(.., renewed)| now.since(*renewed) < DEAD_AFTER)
    }

    fn of(&self, shard: &ShardId) -> Option<&(ShardId, u64, Moment)> {
        let index = self.0.binary_search_by(|(known, ..)| known.cmp(shard)).ok()?;
        self.0.get(index)
    }
}
