//! What KCL's throughputs and checkpoints show of consumers that keep up.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::lag::{Moment, PartitionId};

const SHARDS: u32 = 16;
const WORKERS: usize = 8;
/// Kilobytes per second that a worker can process.
const CAPACITY: f64 = 40.0;

/// An application that is read every two seconds: a shard's checkpoint and its throughput are written at intervals of their own.
struct Application {
    /// Seconds since the beginning.
    now: f64,
    /// Kilobytes that have arrived per shard, by the second at which they did.
    arrived: f64,
    done: f64,
    checkpoint: f64,
    throughput: f64,
    renewed: f64,
    /// When each amount had arrived: the age of a position is looked up here.
    log: Vec<(f64, f64)>,
    flow: Option<ThroughputFlow>,
}

impl Application {
    fn new() -> Self {
        let (now, arrived, done, checkpoint, throughput, renewed) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        Self { now, arrived, done, checkpoint, throughput, renewed, log: vec![(0.0, 0.0)], flow: None }
    }

    /// Runs for this many seconds, where `per_worker` kilobytes arrive per second for each worker; steps are 50 ms.
    fn run(&mut self, seconds: u32, per_worker: f64) {
        const STEP: f64 = 0.05;
        let shards = f64::from(SHARDS) / count(WORKERS);
        let due = |now: f64, every: f64| (now / every).floor() > ((now - STEP) / every).floor();
        for _ in 0..seconds * 20 {
            self.now += STEP;
            self.arrived += per_worker / shards * STEP;
            self.log.push((self.arrived, self.now));
            self.done = self.arrived.min(self.done + CAPACITY / shards * STEP);
            if due(self.now, 0.65) {
                self.throughput += 0.5 * ((self.done - self.renewed) / 0.65 - self.throughput);
                self.renewed = self.done;
            }
            // not a divisor of the reading's interval: its phase drifts
            if due(self.now, 1.05) {
                self.checkpoint = self.done;
            }
            if due(self.now, 2.0) {
                self.read();
            }
        }
    }

    fn read(&mut self) {
        let first_unread = self.log.partition_point(|(arrived, _)| *arrived <= self.checkpoint);
        let age = self.log.get(first_unread).map_or(0.0, |(_, at)| self.now - at);
        let place = |number| Split::Partition(Arc::from("t"), PartitionId(number));
        let row = |number| ThroughputRow { place: place(number), age, kilobytes_per_second: self.throughput };
        let owners = Owners::even(WORKERS, SHARDS as usize);
        let reading = ThroughputReading { rows: (0..SHARDS).map(row).collect(), owners };
        let now = Moment::after_epoch(Duration::from_secs_f64(self.now));
        self.flow = Some(ThroughputFlow::fold(self.flow.as_ref(), reading, now));
    }

    fn capacity(&self) -> Option<f64> {
        self.flow.as_ref().and_then(|flow| flow.flow().capacity())
    }
}

/// Workers that keep up write checkpoints between two readings; what has arrived since is no backlog, and their arrivals are not their capacity.
#[test]
fn the_capacity_is_not_measured_from_workers_that_keep_up() {
    for utilization in [0.3, 0.5, 0.7, 0.85] {
        let mut application = Application::new();
        application.run(60, 1.5 * CAPACITY);
        let measured = application.capacity().expect("overloaded workers show their capacity");
        assert!((0.9..1.1).contains(&(measured / CAPACITY)), "{measured}");
        application.run(120, 0.3 * CAPACITY);
        application.run(600, utilization * CAPACITY);
        let kept = application.capacity().expect("it was known");
        assert!(kept > 0.9 * CAPACITY, "{kept} after ten minutes at {utilization}");
    }
}

/// An overload shows the capacity whatever was assumed before.
#[test]
fn an_overload_shows_the_capacity() {
    for utilization in [1.02, 1.1, 1.5, 3.0] {
        let mut application = Application::new();
        application.run(300, utilization * CAPACITY);
        let measured = application.capacity().expect("a capacity");
        assert!((0.9..1.1).contains(&(measured / CAPACITY)), "{measured} at {utilization}");
    }
}
