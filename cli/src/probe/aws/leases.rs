//! The leases of a checkpoint table, for display.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::lag::streams::{Checkpoint, Lease, Row, Shard, ShardId, ShardState};
use crate::trigger::StoreLayout;

const THROUGHPUT: &str = "throughputKBps";
const ENTITY: &str = "entityType";

/// The client that wrote a table, as far as its rows show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// KCL 3.5 or newer: the table has rows of other kinds besides leases.
    Kcl35,
    /// KCL 3: leases contain the throughput of their owners.
    Kcl3,
    /// KCL 1 or 2, or the DynamoDB Streams adapter.
    Kcl1Or2,
    /// Another client, as `checkpointStore` configures.
    Other,
}

/// The leases of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    /// The number of leases.
    pub(crate) count: usize,
    /// The client that wrote them.
    pub(crate) writer: Writer,
    /// The owners of the unfinished leases; `None` where the store has no owners.
    pub(crate) owners: Option<Owners>,
    /// The shards of unfinished leases that the stream does not list.
    pub(crate) of_no_shard: Vec<ShardId>,
    /// The open shards that have no lease, while others have one.
    pub(crate) without_lease: Vec<ShardId>,
    counters: HashMap<ShardId, (u64, Arc<str>)>,
}

/// The owners of the unfinished leases of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    /// The number of leases of each worker.
    pub(crate) leases: BTreeMap<Arc<str>, usize>,
    /// The shards whose leases have no owner.
    pub(crate) unowned: Vec<ShardId>,
}

impl Owners {
    fn of<'a>(leases: impl Iterator<Item = &'a Lease>) -> Self {
        let mut owners = Self::default();
        for lease in leases {
            match &lease.owner {
                Some(owner) => *owners.leases.entry(owner.clone()).or_default() += 1,
                None => owners.unowned.push(lease.shard.clone()),
            }
        }
        owners
    }
}

impl Leases {
    pub(super) fn new(rows: &[Row], leases: &[Lease], shards: &[Shard], layout: &StoreLayout) -> Self {
        let unfinished = || leases.iter().filter(|lease| lease.checkpoint != Checkpoint::ShardEnd);
        let ids = |leases: &mut dyn Iterator<Item = &Lease>| leases.map(|lease| lease.shard.clone()).collect();
        let listed = |lease: &Lease| shards.iter().any(|shard| shard.id == lease.shard);
        let leased = |shard: &Shard| leases.iter().any(|lease| lease.shard == shard.id);
        let without_lease = shards.iter().filter(|shard| shard.state == ShardState::Open && !leased(shard));
        let counters =
            unfinished().filter_map(|lease| Some((lease.shard.clone(), (lease.counter?, lease.owner.clone()?))));
        Self {
            count: leases.len(),
            writer: writer(rows, layout),
            owners: (!layout.owners.is_empty()).then(|| Owners::of(unfinished())),
            of_no_shard: ids(&mut unfinished().filter(|lease| !listed(lease))),
            without_lease: without_lease.map(|shard| shard.id.clone()).collect(),
            counters: counters.collect(),
        }
    }

    /// Whether the leases count renewals, which show whether their owners are alive.
    pub(crate) fn counts_renewals(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Returns the owned leases that were not renewed between the `earlier` read and this one, with their owners.
    pub(crate) fn not_renewed_since(&self, earlier: &Self) -> Vec<(ShardId, Arc<str>)> {
        let same = self.counters.iter().filter(|(shard, now)| earlier.counters.get(*shard) == Some(now));
        let mut standing: Vec<_> = same.map(|(shard, (_, owner))| (shard.clone(), owner.clone())).collect();
        standing.sort();
        standing
    }
}

fn writer(rows: &[Row], layout: &StoreLayout) -> Writer {
    if layout.kind.is_none() {
        Writer::Other
    } else if rows.iter().any(|row| row.contains_key(ENTITY)) {
        Writer::Kcl35
    } else if rows.iter().any(|row| row.contains_key(THROUGHPUT)) {
        Writer::Kcl3
    } else {
        Writer::Kcl1Or2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(shard: &str, owner: Option<&str>, counter: u64) -> Lease {
        Lease {
            shard: ShardId::new(shard),
            checkpoint: Checkpoint::TrimHorizon,
            sub_sequence: None,
            parents: Vec::new(),
            owner: owner.map(Arc::from),
            counter: Some(counter),
            throughput_kbps: None,
        }
    }

    fn look(leases: &[Lease]) -> Leases {
        let shard = |id| Shard { id: ShardId::new(id), parents: Vec::new(), state: ShardState::Open, first: None };
        Leases::new(&[], leases, &[shard("a"), shard("b"), shard("c")], &StoreLayout::kcl())
    }

    #[test]
    fn what_fits_the_stream_and_what_does_not_is_told_apart() {
        let seen = look(&[lease("a", Some("w1"), 1), lease("b", None, 1), lease("gone", Some("w1"), 1)]);
        let owners = seen.owners.expect("owners");
        assert_eq!((seen.count, owners.leases.get("w1"), seen.writer), (3, Some(&2), Writer::Kcl1Or2));
        assert_eq!(owners.unowned, [ShardId::new("b")]);
        assert_eq!(seen.of_no_shard, [ShardId::new("gone")]);
        assert_eq!(seen.without_lease, [ShardId::new("c")]);
    }

    #[test]
    fn a_store_without_owners_has_no_lease_that_lacks_one() {
        let layout = StoreLayout { owners: Vec::new(), kind: None, ..StoreLayout::kcl() };
        let seen = Leases::new(&[], &[lease("a", None, 1)], &[], &layout);
        assert!(seen.owners.is_none(), "{seen:?}");
    }

    #[test]
    fn a_lease_whose_counter_and_owner_stand_still_was_not_renewed() {
        let before = look(&[lease("a", Some("w1"), 1), lease("b", Some("w2"), 1), lease("c", Some("w3"), 1)]);
        let after = look(&[lease("a", Some("w1"), 1), lease("b", Some("w2"), 2), lease("c", Some("w4"), 1)]);
        assert_eq!(after.not_renewed_since(&before), [(ShardId::new("a"), "w1".into())]);
    }
}
