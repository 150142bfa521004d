//! The law where every consumer reads every partition: share groups.

use std::time::Duration;

use super::*;
use crate::lag::flow::{Arrivals, OffsetFlow, OffsetReading, OffsetRow, Owners, Split};
use crate::lag::{Moment, PartitionId};
use crate::trigger::Decimal;

const EVERY: u32 = 10;

/// A share group with simulated consumers.
struct Queue {
    policy: CatchUpPolicy,
    memory: Memory,
    flow: Option<OffsetFlow>,
    now: u32,
    end: [f64; 3],
    done: [f64; 3],
    consumers: usize,
}

impl Queue {
    fn new(consumers: usize) -> Self {
        let (policy, memory) = (CatchUpPolicy::default(), Memory::default());
        Self { policy, memory, flow: None, now: 0, end: [0.0; 3], done: [0.0; 3], consumers }
    }

    /// Reads for this number of seconds. `arrive` records arrive per second, nearly all in one partition; each consumer can process `each`
    /// per second, and there are always as many consumers as the law requests. Returns the lowest and the highest number that it requested.
    fn follow(&mut self, seconds: u32, arrive: f64, each: f64) -> (usize, usize) {
        let (mut least, mut most) = (usize::MAX, 0);
        for _ in 0..seconds / EVERY {
            for (end, share) in self.end.iter_mut().zip([0.9, 0.1, 0.0]) {
                *end += arrive * share * f64::from(EVERY);
            }
            let capacity = each * count(self.consumers) * f64::from(EVERY);
            let part = (capacity / self.backlog().max(1.0)).min(1.0);
            for (end, done) in self.end.iter().zip(&mut self.done) {
                *done += part * (end - *done);
            }
            let splits = [0, 1, 2].map(|number| Split::Partition("jobs".into(), PartitionId(number))).into();
            let rows = self.end.iter().zip(&self.done).map(|(end, done)| OffsetRow {
                end: *end,
                committed: Some(*done),
                backlog: end - done,
                arrivals: Arrivals::OfEnds,
            });
            let members = (0..self.consumers).map(|number| number.to_string().into());
            let reading = OffsetReading { splits, rows: rows.collect(), owners: Owners::sharing(members) };
            let flow = OffsetFlow::fold(
                self.flow.as_ref(),
                reading,
                Moment::after_epoch(Duration::from_secs(self.now.into())),
            );
            let (memory, decision) = advance(&self.policy, &self.memory, &Flow::Offsets(flow.clone()));
            (self.memory, self.flow) = (memory, Some(flow));
            self.now += EVERY;
            let decision = decision.expect("a decision");
            assert_eq!(decision.useful_replicas(), None, "partitions bound nothing");
            self.consumers = usize::try_from(decision.value.ceil()).expect("few");
            (least, most) = (least.min(self.consumers), most.max(self.consumers));
        }
        (least, most)
    }

    fn backlog(&self) -> f64 {
        self.end.iter().zip(&self.done).map(|(end, done)| end - done).sum()
    }
}

#[test]
fn a_share_group_gets_as_many_consumers_as_its_arrivals_need_whatever_its_partitions() {
    let mut queue = Queue::new(1);
    queue.follow(3600, 100.0, 10.0);
    assert!(queue.backlog() < 2_000.0, "{}", queue.backlog());
    // 10 keep up, and 13 do so at 80 % utilization
    let settled = queue.follow(1800, 100.0, 10.0);
    assert!((12..=14).contains(&settled.0) && settled.1 <= 14, "{settled:?}");
    assert!(queue.backlog() < 1.0);
    queue.follow(1800, 20.0, 10.0);
    let settled = queue.follow(600, 20.0, 10.0);
    assert!((2..=4).contains(&settled.0) && settled.1 <= 4, "{settled:?}");
    assert!(queue.backlog() < 1.0);
}

#[test]
fn a_share_group_without_members_is_started_with_as_many_as_its_backlog_needs() {
    let mut queue = Queue::new(0);
    queue.policy.capacity_per_consumer = Decimal::parse("10");
    queue.policy.max_age = Duration::from_secs(300);
    queue.end = [30_000.0, 0.0, 0.0];
    queue.follow(20, 0.0, 10.0);
    assert_eq!(queue.consumers, 10, "3,000 consumer-seconds within 300 s");
}
