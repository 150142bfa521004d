//! The hour before the demo begins, simulated: both worlds begin as they would be after it.
//!
//! The law and the HPA are the real ones; only the broker and the consumers are simulated here. What the law knows at the start is what it
//! has measured in this hour, and the HPAs have the recommendations and the replicas of its end.

use std::time::Duration;

use anyhow::Context as _;
use keda_stream_scaler::lag::{
    CommittedOffset, GroupObservation, Member, MemberIndex, Members, Moment, Observation, Offset, PartitionId,
    PartitionObservation, TopicId, TopicObservation, Watermarks,
};
use keda_stream_scaler::scaling::hpa::Replicas;
use keda_stream_scaler::scaling::{Sample, decide};
use keda_stream_scaler::trigger::{Policy, Trigger};

use super::autoscaler::Autoscaler;
use super::course::Course;
use super::periods::{Periods, RECORDS_A_SECOND};
use super::score::to_float;
use super::{PARTITIONS, TOPIC};

/// The steps per period of the HPA.
const TICKS: u32 = 60;
/// How long a rebalance stops all consumers of a group, in seconds.
const REBALANCE: f64 = 0.5;
/// KEDA's side gets the lag threshold with the fewest pods among those that keep the promise for this share of the busy time.
const GOOD: f64 = 0.9;

/// How the replicas of a group are decided.
enum Scaling {
    /// KEDA's rule: the lag divided by this threshold.
    Lag { threshold: u32 },
    /// The law of this trigger.
    Law(Box<Trigger>),
}

/// The end of the hour.
pub(super) struct History {
    /// The ends of the logs.
    pub(super) ends: Vec<i64>,
    /// The time that was simulated.
    pub(super) lasted: Duration,
    /// The lag threshold that did best.
    pub(super) threshold: u32,
    pub(super) by_lag: Past,
    pub(super) by_law: Past,
    /// The last reading of the law's group, with everything that was learned until then.
    pub(super) sample: Sample,
}

/// The state of a group at the end of the hour.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) autoscaler: Autoscaler,
    pub(super) replicas: u32,
    /// The share of the busy time in which the promise was kept.
    pub(super) kept: f64,
    pub(super) pod_seconds: f64,
}

/// Simulates whole days of at least the history's length: a group for the law of `trigger`, and one for each lag threshold.
pub(super) fn simulate(
    trigger: &Trigger,
    threshold: Option<u32>,
    periods: Periods,
    course: Course,
) -> anyhow::Result<History> {
    let days = (periods.history.as_secs_f64() / course.cycle().as_secs_f64()).ceil();
    let lasted = course.cycle().mul_f64(days);
    let thresholds = threshold.map_or_else(|| periods.lag_thresholds().to_vec(), |only| vec![only]);
    let mut groups = vec![Group::new(Scaling::Law(Box::new(trigger.clone())), periods)];
    groups.extend(thresholds.iter().map(|threshold| Group::new(Scaling::Lag { threshold: *threshold }, periods)));
    let (mut logs, tick, mut now) = (Logs::default(), periods.sync / TICKS, Duration::ZERO);
    let mut step = 0;
    while now < lasted {
        logs.arrive(course.rate(now) * tick.as_secs_f64(), now);
        for group in &mut groups {
            group.step(&logs, now, tick, course.rate(now))?;
        }
        step += 1;
        now = tick * step;
    }
    let ends = logs.arrived.iter().map(|log| i64::try_from(log.len())).collect::<Result<_, _>>()?;
    let mut groups = groups.into_iter();
    let law = groups.next().context("a group of the law")?;
    let sample = law.sample.clone().context("a reading of the law's group")?;
    let by_lag: Vec<_> = thresholds.into_iter().zip(groups.map(Group::end)).collect();
    let (threshold, by_lag) = best(&by_lag).context("a lag threshold")?;
    Ok(History { ends, lasted, threshold, by_lag, by_law: law.end(), sample })
}

/// Returns the lag threshold with the fewest pods among the good ones, or else the one that keeps the promise best.
fn best(by_lag: &[(u32, Past)]) -> Option<(u32, Past)> {
    let good = by_lag.iter().filter(|(_, past)| past.kept >= GOOD);
    let cheapest = good.min_by(|one, other| one.1.pod_seconds.total_cmp(&other.1.pod_seconds));
    cheapest.or_else(|| by_lag.iter().max_by(|one, other| one.1.kept.total_cmp(&other.1.kept))).cloned()
}

/// The arrival times of all records, in seconds, by partition.
struct Logs {
    arrived: Vec<Vec<f64>>,
    owed: f64,
    random: u64,
}

impl Default for Logs {
    fn default() -> Self {
        Self { arrived: vec![Vec::new(); PARTITIONS], owed: 0.0, random: 1 }
    }
}

impl Logs {
    fn arrive(&mut self, records: f64, now: Duration) {
        self.owed += records;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            // a linear congruential generator stands for the hash of a key
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let partition = usize::try_from(self.random >> 33).unwrap_or_default() % PARTITIONS;
            self.arrived[partition].push(now.as_secs_f64());
        }
    }
}

/// A simulated group with its HPA.
struct Group {
    scaling: Scaling,
    periods: Periods,
    autoscaler: Autoscaler,
    sample: Option<Sample>,
    position: Vec<usize>,
    committed: Vec<usize>,
    pods: Vec<SimulatedPod>,
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
    ready_at: Duration,
    work: f64,
    next: usize,
}

impl Group {
    fn new(scaling: Scaling, periods: Periods) -> Self {
        let target = if let Scaling::Lag { threshold } = scaling { f64::from(threshold) } else { 1.0 };
        Self {
            scaling,
            periods,
            autoscaler: Autoscaler::new(target, periods.down_window),
            sample: None,
            position: vec![0; PARTITIONS],
            committed: vec![0; PARTITIONS],
            pods: vec![SimulatedPod::default()],
            members: 0,
            stopped_until: 0.0,
            busy: 0.0,
            over: 0.0,
            pod_seconds: 0.0,
        }
    }

    fn step(&mut self, logs: &Logs, now: Duration, tick: Duration, rate: f64) -> anyhow::Result<()> {
        let due = |period: Duration| now.as_millis().is_multiple_of(period.as_millis());
        let Periods { commit, poll, sync, .. } = self.periods;
        self.rebalance(now);
        self.work(logs, now, tick);
        if due(commit) {
            self.committed.clone_from(&self.position);
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
        let (each, more) = (PARTITIONS / self.members, PARTITIONS % self.members);
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

    /// Reads the group as the scaler does.
    fn read(&mut self, logs: &Logs, now: Duration) -> anyhow::Result<()> {
        let Scaling::Law(trigger) = &self.scaling else { return Ok(()) };
        let Policy::CatchUp(policy) = &trigger.policy else { return Ok(()) };
        let stopped = self.is_stopped(now);
        let members = if stopped {
            Members::Rebalancing(self.members)
        } else {
            let member = |member: usize| Member { id: format!("simulated-{member}").into(), client_id: "pod".into() };
            Members::Settled((0..self.members).map(member).collect())
        };
        let mut partitions = Vec::new();
        for (partition, (log, committed)) in logs.arrived.iter().zip(&self.committed).enumerate() {
            let owner = (0..self.members).find(|member| self.partitions_of(*member).contains(&partition));
            partitions.push(PartitionObservation {
                partition: PartitionId(u32::try_from(partition)?),
                committed: CommittedOffset::At(Offset(u64::try_from(*committed)?)),
                watermarks: Watermarks { start: Offset(0), end: Offset(u64::try_from(log.len())?) },
                owner: owner.filter(|_| !stopped).map(u32::try_from).transpose()?.map(MemberIndex),
            });
        }
        let topic = TopicObservation {
            name: TOPIC.into(),
            id: Some(TopicId(1)),
            partition_count: u32::try_from(PARTITIONS)?,
            partitions,
        };
        let observation =
            Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() });
        let (policies, at) = ([policy.clone()], Moment::after_epoch(now));
        self.sample = Some(Sample::after(self.sample.as_ref(), &trigger.source, observation, &policies, at));
        Ok(())
    }

    fn value(&self, logs: &Logs) -> Option<f64> {
        match &self.scaling {
            Scaling::Lag { threshold } => {
                let lag: usize =
                    logs.arrived.iter().zip(&self.committed).map(|(log, committed)| log.len() - committed).sum();
                Some(capped(lag as u64, *threshold))
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
        let pod = SimulatedPod { ready_at: now + self.periods.pod_start, ..SimulatedPod::default() };
        self.pods.resize(usize::try_from(sync.replicas).unwrap_or_default(), pod);
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

    fn end(self) -> Past {
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
pub(super) fn capped(lag: u64, threshold: u32) -> f64 {
    to_float(lag).min(f64::from(threshold) * count(PARTITIONS))
}

#[cfg(test)]
mod tests {
    use keda_stream_scaler::lag::flow::Flow;

    use super::*;
    use crate::world::{metadata, trigger};

    fn history(threshold: Option<u32>) -> History {
        let periods = Periods::of(5, Duration::from_secs(15));
        let trigger = trigger(&metadata("b:9092", "g", periods)).unwrap();
        simulate(&trigger, threshold, periods, Course::new(5)).unwrap()
    }

    #[test]
    fn what_the_law_knows_at_the_start_was_measured_and_not_given() {
        let history = history(None);
        assert!(history.lasted >= Duration::from_secs(720), "an hour, five times faster");
        let Some(Flow::Offsets(flow)) = &history.sample.flow else { panic!("the flow of the group") };
        let capacity = flow.capacity().unwrap();
        assert!((capacity - f64::from(RECORDS_A_SECOND)).abs() < 2.0, "{capacity}");
        assert!(flow.pause() < 5.0, "a rebalance was observed: {}", flow.pause());
        assert!(history.ends.iter().all(|end| *end > 500), "every partition has records");
        assert!(history.by_law.replicas <= 3 && history.by_lag.replicas <= 3, "a night ends");
    }

    #[test]
    fn the_lag_threshold_is_the_cheapest_of_those_that_keep_the_promise() {
        let history = history(None);
        assert!(history.by_lag.kept >= GOOD, "{:?}", history.by_lag);
        let past = |kept, pod_seconds| Past { kept, pod_seconds, ..history.by_lag.clone() };
        let good = [(20, past(1.0, 900.0)), (40, past(0.99, 700.0)), (80, past(0.85, 500.0))];
        assert_eq!(best(&good).unwrap().0, 40);
        assert_eq!(best(&good[2..]).unwrap().0, 80, "none is good");
    }

    /// The verdict of the demo rests on this: a threshold that needs fewer pods breaks the promise more often.
    #[test]
    fn no_lag_threshold_keeps_the_promise_as_often_as_the_law_with_fewer_pods() {
        for threshold in Periods::of(5, Duration::from_secs(15)).lag_thresholds() {
            let History { by_law, by_lag, .. } = history(Some(threshold));
            let as_good = by_lag.kept > by_law.kept - 0.005;
            assert!(!as_good || by_law.pod_seconds < by_lag.pod_seconds, "{threshold}: {by_law:?} {by_lag:?}");
        }
    }
}
