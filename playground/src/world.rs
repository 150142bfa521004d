//! One side: the workload, its HPA, and what the HPA gets as its metric.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::scaling::Decision;
use keda_stream_scaler::scaling::hpa::Replicas;

use super::autoscaler::{Autoscaler, Sync};
use super::broker::{Partition, Unread};
use super::periods::Periods;
use super::pods::{PodState, Pods};
use super::reason;
use super::scene::Scene;
use super::score::Measurement;
use super::source::Source;

/// The number of changes that are kept.
const CHANGES: usize = 6;

/// One side and its present state.
pub(super) struct World {
    /// The consumer group or application.
    pub(super) group: &'static str,
    scene: Scene,
    periods: Periods,
    pods: Mutex<Pods>,
    autoscaler: Mutex<Autoscaler>,
    state: Mutex<Shown>,
}

/// The state that is shown to people.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Why there are this many pods.
    pub(super) reason: String,
    /// The newest changes of the number of pods, newest first.
    pub(super) changes: VecDeque<Change>,
    pub(super) scale_events: u32,
    pub(super) pods: Vec<PodView>,
    /// The position of each partition, and since when it is unchanged.
    positions: Vec<(i64, Duration)>,
    /// The last known owner of each partition.
    owners: Vec<String>,
}

/// A change of the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) at: Duration,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) reason: String,
}

/// A pod, as it is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PodView {
    pub(super) ready: bool,
    /// The share of the last second that was spent on records.
    pub(super) busy: f64,
    /// The age of the oldest unread record of its partitions.
    pub(super) age: Duration,
    /// Whether a partition has been blocked for longer than the promise.
    pub(super) blocked: bool,
}

/// The metric of a sync, with its source.
pub(super) enum Metric {
    /// The value of KEDA's trigger, `None` if KEDA could not read it, and its target.
    Rule { value: Option<u64>, target: u32 },
    /// The value of the scaler, or its error, and the decision that led to it.
    Law { value: Result<f64, String>, decision: Option<Box<Decision>> },
}

impl World {
    pub(super) fn new(scene: Scene, group: &'static str, periods: Periods, pods: Pods, autoscaler: Autoscaler) -> Self {
        Self {
            group,
            scene,
            periods,
            pods: Mutex::new(pods),
            autoscaler: Mutex::new(autoscaler),
            state: Mutex::default(),
        }
    }

    pub(super) fn shown(&self) -> Shown {
        self.state().clone()
    }

    /// Lets the HPA sync with this metric.
    pub(super) fn sync(&self, metric: &Metric, now: Moment, at: Duration) -> anyhow::Result<()> {
        let mut pods = self.pods();
        let replicas = pods.replicas();
        let value = match metric {
            Metric::Rule { value, .. } => value.map(super::score::to_float),
            Metric::Law { value, .. } => value.as_ref().ok().copied(),
        };
        let sync = lock(&self.autoscaler).sync(now, value, replicas);
        pods.scale(sync.replicas, self.periods.pod_start)?;
        drop(pods);
        let mut state = self.state();
        state.reason = self.reason(metric, &sync);
        if sync.replicas != replicas.spec {
            state.scale_events += 1;
            let reason = self.short_reason(metric, &sync);
            state.changes.push_front(Change { at, from: replicas.spec, to: sync.replicas, reason });
            state.changes.truncate(CHANGES);
        }
        Ok(())
    }

    fn reason(&self, metric: &Metric, sync: &Sync) -> String {
        let window = self.periods.down_window;
        match metric {
            Metric::Rule { value, target } => {
                reason::of_rule(self.scene, super::score::to_float(value.unwrap_or_default()), *target, sync, window)
            }
            Metric::Law { value: Err(error), .. } => {
                format!("The scaler reports an error, so the HPA keeps the pods: {error}")
            }
            Metric::Law { decision: Some(decision), .. } => reason::of_law(decision, Some(sync), window),
            Metric::Law { decision: None, .. } => String::new(),
        }
    }

    fn short_reason(&self, metric: &Metric, sync: &Sync) -> String {
        match metric {
            Metric::Rule { value, .. } => {
                reason::of_rule_in_short(self.scene, super::score::to_float(value.unwrap_or_default()), sync)
            }
            Metric::Law { decision, .. } => decision.as_deref().map(reason::of_law_in_short).unwrap_or_default(),
        }
    }

    /// Measures the exact state, from the source.
    pub(super) fn measure(&self, source: &Source, now: Duration, lasted: Duration) -> Measurement {
        let partitions = source.partitions(self.group);
        let (states, Replicas { spec, ready, .. }) = {
            let mut pods = self.pods();
            (pods.report(), pods.replicas())
        };
        let unread = partitions.iter().map(|partition| partition.unread.records).sum();
        let age = partitions.iter().map(|partition| partition.unread.age).max().unwrap_or_default();
        self.state().view(&states, &partitions, self.periods.promise, now, lasted);
        Measurement { unread, age, pods: spec, ready }
    }

    /// Starts the pods with which the demo begins.
    pub(super) fn begin(&self, replicas: u32) -> anyhow::Result<()> {
        self.pods().scale(replicas, Duration::ZERO)
    }

    /// Stops all pods, and waits for their threads.
    pub(super) fn end(&self) {
        self.pods().end();
    }

    pub(super) fn replicas(&self) -> Replicas {
        self.pods().replicas()
    }

    fn pods(&self) -> MutexGuard<'_, Pods> {
        lock(&self.pods)
    }

    fn state(&self) -> MutexGuard<'_, Shown> {
        lock(&self.state)
    }
}

impl Shown {
    /// Brings partitions and pods together.
    fn view(
        &mut self,
        pods: &[PodState],
        partitions: &[Partition],
        promise: Duration,
        now: Duration,
        lasted: Duration,
    ) {
        self.positions.resize(partitions.len(), (-1, now));
        self.owners.resize(partitions.len(), String::new());
        let places: HashMap<_, _> =
            pods.iter().enumerate().map(|(place, pod)| (pod.client_id.as_str(), place)).collect();
        let view = |pod: &PodState| {
            let busy = pod.worked.as_secs_f64() / lasted.as_secs_f64().max(f64::MIN_POSITIVE);
            PodView { ready: pod.ready, busy: busy.min(1.0), ..PodView::default() }
        };
        let mut views: Vec<_> = pods.iter().map(view).collect();
        for ((partition, position), owner) in partitions.iter().zip(&mut self.positions).zip(&mut self.owners) {
            let Unread { age, records } = partition.unread;
            if position.0 != partition.position {
                *position = (partition.position, now);
            }
            // during a rebalance the last owner counts
            if let Some(name) = &partition.owner {
                owner.clone_from(name);
            }
            let place = places.get(owner.as_str()).copied().unwrap_or_default();
            if let Some(pod) = views.get_mut(place) {
                pod.age = pod.age.max(age);
                pod.blocked |= records > 0 && age > promise && now.saturating_sub(position.1) > promise;
            }
        }
        self.pods = views;
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
