//! One simulated group or application with its HPA.

use std::time::Duration;

use keda_stream_scaler::lag::{Moment, Observation};
use keda_stream_scaler::scaling::hpa::Replicas;
use keda_stream_scaler::scaling::{Sample, decide};
use keda_stream_scaler::trigger::{Policy, Trigger};

use super::super::autoscaler::Autoscaler;
use super::super::kinesis::Leases;
use super::super::periods::{Periods, RECORDS_A_SECOND};
use super::super::scene::Scene;
use super::super::score::to_float;
use super::{Logs, Past, reading};

/// How long a rebalance stops all consumers of a group, in seconds.
const REBALANCE: f64 = 0.5;

/// How the replicas of a group are decided.
enum Scaling {
    /// KEDA's rule: the lag or the number of shards divided by this target.
    Rule { target: u32 },
    /// The law of this trigger.
    Law(Box<Trigger>),
}

/// A simulated group with its HPA.
pub(super) struct Group {
    scene: Scene,
    scaling: Scaling,
    /// The lease table, in the scene on Kinesis.
    leases: Option<Leases>,
    periods: Periods,
    autoscaler: Autoscaler,
    sample: Option<Sample>,
    position: Vec<usize>,
    committed: Vec<usize>,
    pods: Vec<SimulatedPod>,
    /// The pods that were started so far.
    started: u64,
    /// The number of pods that share the partitions.
    members: usize,
    /// The end of the rebalance, in seconds.
    stopped_until: f64,
    busy: f64,
    over: f64,
    pod_seconds: f64,
}

#[derive(Clone, Default)]
struct SimulatedPod {
    number: u64,
    joined: bool,
    ready_at: Duration,
    work: f64,
    next: usize,
}

impl Group {
    /// A group that KEDA's rule scales to this target.
    pub(super) fn by_rule(scene: Scene, target: u32, periods: Periods) -> Self {
        Self::new(scene, Scaling::Rule { target }, periods)
    }

    /// A group that the law of this trigger scales.
    pub(super) fn by_law(scene: Scene, trigger: Trigger, periods: Periods) -> Self {
        Self::new(scene, Scaling::Law(Box::new(trigger)), periods)
    }

    fn new(scene: Scene, scaling: Scaling, periods: Periods) -> Self {
        let target = if let Scaling::Rule { target } = scaling { f64::from(target) } else { 1.0 };
        let places = scene.places();
        let leases = (scene == Scene::Kinesis).then(|| Leases::new(&vec![0; places], &periods));
        Self {
            scene,
            scaling,
            leases,
            periods,
            autoscaler: Autoscaler::new(target, periods.down_window),
            sample: None,
            position: vec![0; places],
            committed: vec![0; places],
            pods: vec![SimulatedPod::default()],
            started: 1,
            members: 0,
            stopped_until: 0.0,
            busy: 0.0,
            over: 0.0,
            pod_seconds: 0.0,
        }
    }

    pub(super) const fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    pub(super) fn step(&mut self, logs: &Logs, now: Duration, tick: Duration, rate: f64) -> anyhow::Result<()> {
        let due = |period: Duration| now.as_millis().is_multiple_of(period.as_millis());
        let Periods { commit, poll, sync, .. } = self.periods;
        if self.leases.is_some() {
            self.work_on_shards(logs, now, tick);
        } else {
            self.rebalance(now);
            self.work(logs, now, tick);
            if due(commit) {
                self.committed.clone_from(&self.position);
            }
        }
        if due(poll) {
            self.read(logs, now)?;
        }
        if due(sync) {
            self.scale(logs, now);
        }
        self.count(logs, now, tick, rate);
        Ok(())
    }

    fn rebalance(&mut self, now: Duration) {
        let ready = self.pods.iter().filter(|pod| pod.ready_at <= now).count();
        if ready != self.members {
            self.members = ready;
            self.stopped_until = now.as_secs_f64() + REBALANCE;
            self.committed.clone_from(&self.position);
        }
    }

    fn is_stopped(&self, now: Duration) -> bool {
        now.as_secs_f64() < self.stopped_until || self.members == 0
    }

    /// The partitions of a member: contiguous, as the range assignor gives them.
    fn partitions_of(&self, member: usize) -> std::ops::Range<usize> {
        let (each, more) = (self.position.len() / self.members, self.position.len() % self.members);
        let first = member * each + member.min(more);
        first..first + each + usize::from(member < more)
    }

    fn work(&mut self, logs: &Logs, now: Duration, tick: Duration) {
        if self.is_stopped(now) {
            return;
        }
        for member in 0..self.members {
            let partitions: Vec<_> = self.partitions_of(member).collect();
            let Some(pod) = self.pods.iter_mut().filter(|pod| pod.ready_at <= now).nth(member) else { continue };
            pod.work += f64::from(RECORDS_A_SECOND) * tick.as_secs_f64();
            while pod.work >= 1.0 {
                let unread = |turn: &usize| {
                    let partition = partitions[turn % partitions.len()];
                    self.position[partition] < logs.arrived[partition].len()
                };
                let Some(turn) = (pod.next..pod.next + partitions.len()).find(unread) else {
                    pod.work = pod.work.min(1.0);
                    break;
                };
                self.position[partitions[turn % partitions.len()]] += 1;
                pod.next = turn + 1;
                pod.work -= 1.0;
            }
        }
    }

    /// The same in a KCL application: leases instead of a rebalance.
    fn work_on_shards(&mut self, logs: &Logs, now: Duration, tick: Duration) {
        let Some(leases) = &mut self.leases else { return };
        leases.advance(now);
        for pod in self.pods.iter_mut().filter(|pod| pod.ready_at <= now) {
            if !std::mem::replace(&mut pod.joined, true) {
                leases.join(pod.number);
            }
            pod.work += f64::from(RECORDS_A_SECOND) * tick.as_secs_f64();
            while pod.work >= 1.0 {
                let end = |shard: usize| logs.arrived[shard].len() as u64;
                let Some(record) = leases.next(pod.number, &mut pod.next, end) else {
                    pod.work = pod.work.min(1.0);
                    break;
                };
                leases.processed(pod.number, record);
                pod.work -= 1.0;
            }
        }
        self.members = leases.workers();
        for (committed, lease) in self.committed.iter_mut().zip(leases.all()) {
            *committed = usize::try_from(lease.checkpoint).unwrap_or_default();
        }
    }

    /// Reads the group as the scaler does.
    fn read(&mut self, logs: &Logs, now: Duration) -> anyhow::Result<()> {
        let Scaling::Law(trigger) = &self.scaling else { return Ok(()) };
        let Policy::CatchUp(policy) = &trigger.policy else { return Ok(()) };
        let observation = match &self.leases {
            Some(leases) => reading::of_application(leases, logs, now),
            None => self.of_group(logs, now)?,
        };
        let (policies, at) = ([policy.clone()], Moment::after_epoch(now));
        self.sample = Some(Sample::after(self.sample.as_ref(), &trigger.source, observation, &policies, at));
        Ok(())
    }

    fn of_group(&self, logs: &Logs, now: Duration) -> anyhow::Result<Observation> {
        let stopped = self.is_stopped(now);
        let owner = |place: &usize| {
            (0..self.members).find(|member| self.partitions_of(*member).contains(place)).filter(|_| !stopped)
        };
        let places = logs.arrived.iter().zip(&self.committed).enumerate();
        let partitions = places.map(|(place, (log, committed))| (*committed, log.len(), owner(&place)));
        reading::of_group(partitions, self.members, stopped)
    }

    fn value(&self, logs: &Logs) -> Option<f64> {
        match &self.scaling {
            Scaling::Rule { .. } if self.scene == Scene::Kinesis => Some(count(self.scene.places())),
            Scaling::Rule { target } => {
                let lag: usize =
                    logs.arrived.iter().zip(&self.committed).map(|(log, committed)| log.len() - committed).sum();
                Some(capped(lag as u64, *target))
            }
            Scaling::Law(trigger) => {
                let decision = decide(&trigger.policy, &trigger.source, self.sample.as_ref()?).ok()?;
                Some(decision.value.get())
            }
        }
    }

    fn scale(&mut self, logs: &Logs, now: Duration) {
        let count = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
        let all = count(self.pods.len());
        let replicas = Replicas { spec: all, status: all, ready: count(self.members) };
        let sync = self.autoscaler.sync(Moment::after_epoch(now), self.value(logs), replicas);
        let wanted = usize::try_from(sync.replicas).unwrap_or_default();
        let stopped = self.pods.split_off(wanted.min(self.pods.len()));
        for pod in stopped.into_iter().filter(|pod| pod.joined) {
            self.leases.iter_mut().for_each(|leases| leases.leave(pod.number, now));
        }
        while self.pods.len() < wanted {
            let ready_at = now + self.periods.pod_start;
            self.pods.push(SimulatedPod { number: self.started, ready_at, ..SimulatedPod::default() });
            self.started += 1;
        }
    }

    fn count(&mut self, logs: &Logs, now: Duration, tick: Duration, rate: f64) {
        let first = |(log, committed): (&Vec<f64>, &usize)| log.get(*committed).copied();
        let oldest = logs.arrived.iter().zip(&self.committed).filter_map(first).fold(f64::INFINITY, f64::min);
        let is_late = now.as_secs_f64() - oldest > self.periods.promise.as_secs_f64();
        let tick = tick.as_secs_f64();
        self.pod_seconds += tick * count(self.pods.len());
        if is_late {
            self.over += tick;
        }
        if is_late || rate >= f64::from(RECORDS_A_SECOND) {
            self.busy += tick;
        }
    }

    pub(super) fn end(self) -> Past {
        let replicas = u32::try_from(self.pods.len()).unwrap_or(u32::MAX);
        let kept = 1.0 - self.over / self.busy.max(f64::MIN_POSITIVE);
        Past { autoscaler: self.autoscaler, replicas, kept, pod_seconds: self.pod_seconds }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few pods")]
const fn count(pods: usize) -> f64 {
    pods as f64
}

/// The lag as KEDA's Kafka trigger reports it: no more than one pod per partition follows from it.
fn capped(lag: u64, target: u32) -> f64 {
    to_float(lag).min(f64::from(target) * count(Scene::Kafka.places()))
}
