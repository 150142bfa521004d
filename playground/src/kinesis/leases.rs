//! The leases of one KCL application: which worker owns which shard, and how far it is.
//!
//! This is KCL's behaviour in the terms that a scaler sees: renewals count up, checkpoints follow the position at an interval, a stopped
//! worker's leases are free after `failoverTimeMillis`, and a leader gives all workers as many shards. All times are arguments, so that the
//! simulated hour and the running demo use the same code.

use std::time::Duration;

use super::super::periods::Periods;

/// A worker renews its leases this often within `failoverTimeMillis`.
const RENEWALS: u32 = 3;
/// The weight of the newest measurement in a lease's throughput.
const NEWEST: f64 = 0.5;
/// The size of a record in kilobytes.
pub(crate) const KILOBYTES: f64 = 1.0;

/// The lease of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease {
    /// The worker that owns it.
    pub(crate) owner: Option<u64>,
    /// Every record before this one is processed.
    position: u64,
    /// The same at the last checkpoint.
    pub(crate) checkpoint: u64,
    /// The number of renewals.
    pub(crate) counter: u64,
    /// The kilobytes per second that the owner reads.
    pub(crate) throughput: f64,
    /// The position at the last renewal.
    renewed: u64,
}

/// The lease table of one application, and its workers.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    shards: Vec<Lease>,
    /// The workers that run, in the order in which they joined.
    workers: Vec<u64>,
    /// The workers that have stopped, and when their leases are free.
    stopped: Vec<(u64, Duration)>,
    renewal: Event,
    checkpoint: Event,
    assignment: Event,
    failover: Duration,
}

/// An event that happens at an interval.
#[derive(Clone, Copy, Debug)]
struct Event {
    every: Duration,
    next: Duration,
}

impl Event {
    const fn each(every: Duration) -> Self {
        Self { every, next: every }
    }

    /// Whether the event is due; then the next one is an interval later.
    fn is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

impl Leases {
    /// Creates a table in which every record before these positions is processed.
    pub(crate) fn new(positions: &[u64], periods: &Periods) -> Self {
        let lease = |at: &u64| Lease { position: *at, checkpoint: *at, renewed: *at, ..Lease::default() };
        Self {
            shards: positions.iter().map(lease).collect(),
            workers: Vec::new(),
            stopped: Vec::new(),
            renewal: Event::each(periods.failover / RENEWALS),
            checkpoint: Event::each(periods.commit),
            assignment: Event::each(periods.failover),
            failover: periods.failover,
        }
    }

    pub(crate) fn all(&self) -> &[Lease] {
        &self.shards
    }

    pub(crate) const fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Adds a worker, which gets shards at the next assignment.
    pub(crate) fn join(&mut self, worker: u64) {
        self.workers.push(worker);
    }

    /// Stops a worker: it writes its checkpoints, and its leases expire later.
    pub(crate) fn leave(&mut self, worker: u64, now: Duration) {
        self.workers.retain(|other| *other != worker);
        self.stopped.push((worker, now + self.failover));
        let owned = self.shards.iter_mut().filter(|lease| lease.owner == Some(worker));
        owned.for_each(|lease| lease.checkpoint = lease.position);
    }

    /// Does what is due: renewals, checkpoints and the assignment of shards.
    pub(crate) fn advance(&mut self, now: Duration) {
        let seconds = self.renewal.every.as_secs_f64() + now.saturating_sub(self.renewal.next).as_secs_f64();
        if self.renewal.is_due(now) {
            for lease in self.shards.iter_mut().filter(|lease| is_owned(lease, &self.workers)) {
                #[expect(clippy::cast_precision_loss, reason = "a few records")]
                let read = (lease.position - lease.renewed) as f64 * KILOBYTES / seconds;
                lease.throughput += NEWEST * (read - lease.throughput);
                (lease.renewed, lease.counter) = (lease.position, lease.counter + 1);
            }
        }
        if self.checkpoint.is_due(now) {
            let owned = self.shards.iter_mut().filter(|lease| is_owned(lease, &self.workers));
            owned.for_each(|lease| lease.checkpoint = lease.position);
        }
        if self.assignment.is_due(now) {
            self.assign(now);
        }
    }

    /// Gives free leases to the workers with the fewest, and moves leases until no worker has two more than another.
    pub(crate) fn assign(&mut self, now: Duration) {
        self.stopped.retain(|(_, until)| *until > now);
        if self.workers.is_empty() {
            return;
        }
        let mut counts: Vec<_> = self.workers.iter().map(|worker| self.owned_by(*worker).count()).collect();
        for lease in &mut self.shards {
            let held =
                |owner: u64| self.workers.contains(&owner) || self.stopped.iter().any(|(worker, _)| *worker == owner);
            if !lease.owner.is_some_and(held) {
                let fewest = extreme(&counts, |one, other| one < other);
                lease.owner = Some(self.workers[fewest]);
                counts[fewest] += 1;
            }
        }
        loop {
            let (most, fewest) =
                (extreme(&counts, |one, other| one > other), extreme(&counts, |one, other| one < other));
            let from = self.workers[most];
            if counts[most] < counts[fewest] + 2 {
                return;
            }
            if let Some(lease) = self.shards.iter_mut().rev().find(|lease| lease.owner == Some(from)) {
                // the former owner writes a checkpoint before it hands the lease over
                lease.checkpoint = lease.position;
                lease.owner = Some(self.workers[fewest]);
            }
            counts[most] -= 1;
            counts[fewest] += 1;
        }
    }

    /// Returns the next record of a worker: its shards take turns, from `turn` on.
    pub(crate) fn next(&self, worker: u64, turn: &mut usize, end: impl Fn(usize) -> u64) -> Option<(usize, u64)> {
        let owned: Vec<_> = self.owned_by(worker).collect();
        let unread = |turn: &usize| {
            let shard = owned[turn % owned.len()];
            self.shards[shard].position < end(shard)
        };
        let found = (*turn..*turn + owned.len()).find(unread)?;
        *turn = found + 1;
        let shard = owned[found % owned.len()];
        Some((shard, self.shards[shard].position))
    }

    /// Records that a worker has processed a record, unless another one owns the shard now.
    pub(crate) fn processed(&mut self, worker: u64, (shard, record): (usize, u64)) {
        let lease = self.shards.get_mut(shard).filter(|lease| lease.owner == Some(worker) && lease.position == record);
        if let Some(lease) = lease {
            lease.position += 1;
        }
    }

    fn owned_by(&self, worker: u64) -> impl Iterator<Item = usize> + '_ {
        (0..self.shards.len()).filter(move |shard| self.shards[*shard].owner == Some(worker))
    }
}

fn is_owned(lease: &Lease, workers: &[u64]) -> bool {
    lease.owner.is_some_and(|owner| workers.contains(&owner))
}

/// Returns the place of the number that comes before all others; the first one of several.
fn extreme(numbers: &[usize], before: fn(usize, usize) -> bool) -> usize {
    (1..numbers.len()).fold(0, |best, place| if before(numbers[place], numbers[best]) { place } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A table of six shards with two workers: failover and assignment at 10 s, checkpoints at 5 s.
    fn table() -> Leases {
        let mut leases = Leases::new(&[0; 6], &Periods::of(1, SECOND * 15));
        leases.join(1);
        leases.join(2);
        leases.assign(Duration::ZERO);
        leases
    }

    fn owners(leases: &Leases) -> Vec<u64> {
        leases.all().iter().filter_map(|lease| lease.owner).collect()
    }

    #[test]
    fn workers_share_the_shards_and_a_new_one_gets_its_part_at_the_next_assignment() {
        let mut leases = table();
        assert_eq!(owners(&leases), [1, 2, 1, 2, 1, 2]);
        leases.join(3);
        leases.advance(SECOND * 9);
        assert!(!owners(&leases).contains(&3), "not before the assignment");
        leases.advance(SECOND * 10);
        let count = |worker| owners(&leases).iter().filter(|owner| **owner == worker).count();
        assert_eq!([1, 2, 3].map(count), [2, 2, 2]);
    }

    #[test]
    fn the_leases_of_a_stopped_worker_are_free_after_the_failover_time() {
        let mut leases = table();
        leases.leave(2, SECOND * 5);
        leases.advance(SECOND * 10);
        assert!(owners(&leases).contains(&2), "its leases have not expired");
        leases.advance(SECOND * 20);
        assert_eq!(owners(&leases), [1; 6]);
    }

    #[test]
    fn positions_become_checkpoints_at_an_interval_and_only_the_owner_advances_them() {
        let mut leases = table();
        let mut turn = 0;
        let next = leases.next(1, &mut turn, |_| 2);
        assert_eq!(next, Some((0, 0)));
        leases.processed(2, (0, 0));
        assert_eq!(leases.next(1, &mut 0, |_| 2), Some((0, 0)), "it belongs to the other worker");
        leases.processed(1, (0, 0));
        assert_eq!(leases.next(1, &mut turn, |_| 2), Some((2, 0)), "shards take turns");
        leases.advance(SECOND * 4);
        assert_eq!(leases.all()[0].checkpoint, 0);
        assert!(leases.all()[0].throughput > 0.0 && leases.all()[0].counter == 1, "it was renewed");
        leases.advance(SECOND * 5);
        assert_eq!(leases.all()[0].checkpoint, 1);
    }
}
