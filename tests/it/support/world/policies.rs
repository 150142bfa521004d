//! What may decide how many consumers there are.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::lag::PartitionId;
use keda_stream_scaler::lag::flow::{
    AgeFlow, AgeReading, Arrivals, Flow, OffsetFlow, OffsetReading, OffsetRow, Split, ThroughputFlow,
    ThroughputReading, ThroughputRow, count,
};
use keda_stream_scaler::scaling::Decision;
use keda_stream_scaler::scaling::catch_up::{Memory, advance};
use keda_stream_scaler::scaling::hpa::Target;
use keda_stream_scaler::trigger::{CatchUpPolicy, Decimal};

use super::View;
use super::activation::Activity;
use super::log::Partition;
use super::scenario::Scenario;

/// What KEDA asks.
pub trait Policy {
    fn target(&self) -> Target;
    /// At the scaler's own pace.
    fn sample(&mut self, _view: &View<'_>) {}
    /// The value; none is an error.
    fn value(&self, view: &View<'_>) -> Option<f64>;
    fn activity(&self, view: &View<'_>) -> Activity {
        if view.lag() > 0.5 { Activity::Active } else { Activity::Inactive }
    }
}

/// KEDA's own scaler: the lag, cut at the partitions.
pub struct LagThreshold(pub f64);

impl LagThreshold {
    /// What a consumer of this scenario does in so many seconds.
    pub fn seconds(scenario: &Scenario, seconds: f64) -> Self {
        Self(scenario.capacity * seconds)
    }
}

impl Policy for LagThreshold {
    fn target(&self) -> Target {
        Target::AverageValue(self.0)
    }

    fn value(&self, view: &View<'_>) -> Option<f64> {
        Some(view.lag().floor().min(count(view.partitions.len()) * self.0))
    }
}

/// The greatest age as a `Value`: what is twice as old as it may be asks for twice as many.
pub struct AgeValue(pub f64);

impl Policy for AgeValue {
    fn target(&self) -> Target {
        Target::Value(self.0)
    }

    fn value(&self, view: &View<'_>) -> Option<f64> {
        Some(view.age())
    }
}

/// What the law gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Offsets,
    Throughput,
    Ages,
}

/// The law under test.
pub struct Law {
    seen: Seen,
    policy: CatchUpPolicy,
    memory: Memory,
    flow: Option<Flow>,
    decision: Option<Decision>,
    throughput: Throughput,
}

impl Law {
    /// With `capacityPerConsumer`.
    pub fn with_capacity(scenario: &Scenario, seen: Seen) -> Self {
        let mut law = Self::new(scenario, seen);
        law.policy.capacity_per_consumer = Decimal::nearest(scenario.capacity);
        law
    }

    pub fn new(scenario: &Scenario, seen: Seen) -> Self {
        Self {
            seen,
            policy: CatchUpPolicy {
                max_age: Duration::from_secs_f64(scenario.objective),
                stabilization_window: scenario.window,
                ..CatchUpPolicy::default()
            },
            memory: Memory::default(),
            flow: None,
            decision: None,
            throughput: Throughput::default(),
        }
    }
}

impl Policy for Law {
    fn target(&self) -> Target {
        Target::AverageValue(1.0)
    }

    fn sample(&mut self, view: &View<'_>) {
        let flow = match (self.seen, &self.flow) {
            (Seen::Offsets, Some(Flow::Offsets(past))) => offsets(Some(past), view),
            (Seen::Offsets, _) => offsets(None, view),
            (Seen::Ages, Some(Flow::Ages(past))) => ages(Some(past), view),
            (Seen::Ages, _) => ages(None, view),
            (Seen::Throughput, past) => {
                self.throughput.see(view);
                let past = if let Some(Flow::Throughput(past)) = past { Some(past) } else { None };
                throughput(past, view, &self.throughput.per_second)
            }
        };
        let (memory, decision) = advance(&self.policy, &self.memory, &flow);
        (self.memory, self.decision) = (memory, decision.ok());
        self.flow = Some(flow);
    }

    fn value(&self, _view: &View<'_>) -> Option<f64> {
        self.decision.as_ref().map(|decision| decision.value.get())
    }

    fn activity(&self, _view: &View<'_>) -> Activity {
        match &self.decision {
            None => Activity::Unknown,
            Some(decision) if decision.active => Activity::Active,
            Some(_) => Activity::Inactive,
        }
    }
}

fn places() -> impl Iterator<Item = Split> {
    let topic: Arc<str> = "orders".into();
    (0..).map(move |number| Split::Partition(topic.clone(), PartitionId(number)))
}

fn offsets(past: Option<&OffsetFlow>, view: &View<'_>) -> Flow {
    let rows = view.partitions.iter().map(|partition| {
        let (end, committed) = (partition.end(), partition.committed());
        let backlog = (end - committed).max(0.0);
        OffsetRow { end, committed: Some(committed), backlog, arrivals: Arrivals::OfEnds }
    });
    let splits = places().take(view.partitions.len()).collect();
    let reading = OffsetReading { splits, rows: rows.collect(), owners: view.owners() };
    Flow::Offsets(OffsetFlow::fold(past, reading, view.now))
}

fn ages(past: Option<&AgeFlow>, view: &View<'_>) -> Flow {
    let rows = places().zip(view.partitions).map(|(place, partition)| (place, partition.checkpoint_age())).collect();
    Flow::Ages(AgeFlow::fold(past, AgeReading { rows, owners: view.owners() }, view.now))
}

fn throughput(past: Option<&ThroughputFlow>, view: &View<'_>, per_second: &[f64]) -> Flow {
    let rows = places().zip(view.partitions).zip(per_second).map(|((place, partition), per_second)| ThroughputRow {
        place,
        age: partition.checkpoint_age(),
        kilobytes_per_second: *per_second,
    });
    let reading = ThroughputReading { rows: rows.collect(), owners: view.owners() };
    Flow::Throughput(ThroughputFlow::fold(past, reading, view.now))
}

/// What leases tell of what was read: an average in which the last three of the renewals since the last look weigh seven eighths.
#[derive(Default)]
struct Throughput {
    per_second: Vec<f64>,
    read: Vec<f64>,
}

impl Throughput {
    const NEW: f64 = 0.875;

    fn see(&mut self, view: &View<'_>) {
        let read: Vec<_> = view.partitions.iter().map(Partition::read).collect();
        if self.read.is_empty() {
            self.per_second = vec![0.0; read.len()];
        } else {
            for ((per_second, now), before) in self.per_second.iter_mut().zip(&read).zip(&self.read) {
                let new = (now - before) / count(view.sampled);
                *per_second += Self::NEW * (new - *per_second);
            }
        }
        self.read = read;
    }
}
