//! The hour before the demo begins, simulated: both worlds begin as they would be after it.
//!
//! The law and the HPA are the real ones; only the broker and the consumers are simulated here. What the law knows at the start is what it
//! has measured in this hour, and the HPAs have the recommendations and the replicas of its end.

mod group;
mod reading;

use std::time::Duration;

use anyhow::Context as _;
use keda_stream_scaler::scaling::Sample;
use keda_stream_scaler::trigger::Trigger;

use self::group::Group;
use super::autoscaler::Autoscaler;
use super::course::Course;
use super::periods::Periods;
use super::scene::Scene;

/// The steps per period of the HPA.
const TICKS: u32 = 60;
/// KEDA's side gets the target with the fewest pods among those that keep the promise for this share of the busy time.
const GOOD: f64 = 0.9;

/// The end of the hour.
pub(super) struct History {
    /// The ends of the logs.
    pub(super) ends: Vec<u64>,
    /// The time that was simulated.
    pub(super) lasted: Duration,
    /// The lag threshold or shard count that did best.
    pub(super) target: u32,
    pub(super) by_rule: Past,
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

/// Simulates whole days of at least the history's length: a group for the law of `trigger`, and one for each target of KEDA's rule.
pub(super) fn simulate(
    scene: Scene,
    trigger: &Trigger,
    target: Option<u32>,
    periods: Periods,
    course: Course,
) -> anyhow::Result<History> {
    let days = (periods.history.as_secs_f64() / course.cycle().as_secs_f64()).ceil();
    let lasted = course.cycle().mul_f64(days);
    let targets = target.map_or_else(|| scene.targets(periods.speed).to_vec(), |only| vec![only]);
    let mut groups = vec![Group::by_law(scene, trigger.clone(), periods)];
    groups.extend(targets.iter().map(|target| Group::by_rule(scene, *target, periods)));
    let (mut logs, tick, mut now) = (Logs::new(scene.places()), periods.sync / TICKS, Duration::ZERO);
    let mut step = 0;
    while now < lasted {
        logs.arrive(course.rate(now) * tick.as_secs_f64(), now);
        for group in &mut groups {
            group.step(&logs, now, tick, course.rate(now))?;
        }
        step += 1;
        now = tick * step;
    }
    let ends = logs.arrived.iter().map(|log| u64::try_from(log.len())).collect::<Result<_, _>>()?;
    let mut groups = groups.into_iter();
    let law = groups.next().context("a group of the law")?;
    let sample = law.sample().cloned().context("a reading of the law's group")?;
    let by_rule: Vec<_> = targets.into_iter().zip(groups.map(Group::end)).collect();
    let (target, by_rule) = best(&by_rule).context("a target of KEDA's rule")?;
    Ok(History { ends, lasted, target, by_rule, by_law: law.end(), sample })
}

/// Returns the target with the fewest pods among the good ones, or else the one that keeps the promise best.
fn best(by_rule: &[(u32, Past)]) -> Option<(u32, Past)> {
    let good = by_rule.iter().filter(|(_, past)| past.kept >= GOOD);
    let cheapest = good.min_by(|one, other| one.1.pod_seconds.total_cmp(&other.1.pod_seconds));
    cheapest.or_else(|| by_rule.iter().max_by(|one, other| one.1.kept.total_cmp(&other.1.kept))).cloned()
}

/// The arrival times of all records, in seconds, by partition or shard.
struct Logs {
    arrived: Vec<Vec<f64>>,
    owed: f64,
    random: u64,
}

impl Logs {
    fn new(places: usize) -> Self {
        Self { arrived: vec![Vec::new(); places], owed: 0.0, random: 1 }
    }

    fn arrive(&mut self, records: f64, now: Duration) {
        self.owed += records;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            // a linear congruential generator stands for the hash of a key
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let partition = usize::try_from(self.random >> 33).unwrap_or_default() % self.arrived.len();
            self.arrived[partition].push(now.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_stream_scaler::lag::flow::Flow;

    use super::*;
    use crate::periods::RECORDS_A_SECOND;
    use crate::source::{metadata, trigger};

    fn history_of(scene: Scene, target: Option<u32>) -> History {
        let periods = Periods::of(5, Duration::from_secs(15));
        let address = if scene == Scene::Kafka { "b:9092" } else { "http://127.0.0.1:4566" };
        let trigger = trigger(&metadata(scene, address, "by-age", &periods)).unwrap();
        simulate(scene, &trigger, target, periods, Course::new(5)).unwrap()
    }

    fn history(threshold: Option<u32>) -> History {
        history_of(Scene::Kafka, threshold)
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
        assert!(history.by_law.replicas <= 3 && history.by_rule.replicas <= 3, "a night ends");
    }

    #[test]
    fn the_lag_threshold_is_the_cheapest_of_those_that_keep_the_promise() {
        let history = history(None);
        assert!(history.by_rule.kept >= GOOD, "{:?}", history.by_rule);
        let past = |kept, pod_seconds| Past { kept, pod_seconds, ..history.by_rule.clone() };
        let good = [(20, past(1.0, 900.0)), (40, past(0.99, 700.0)), (80, past(0.85, 500.0))];
        assert_eq!(best(&good).unwrap().0, 40);
        assert_eq!(best(&good[2..]).unwrap().0, 80, "none is good");
    }

    #[test]
    fn the_law_measures_a_kcl_application_and_the_shard_count_keeps_its_pods_whatever_arrives() {
        let history = history_of(Scene::Kinesis, None);
        let Some(Flow::Throughput(flow)) = &history.sample.flow else { panic!("the flow of the application") };
        let capacity = flow.flow().capacity().unwrap();
        // KCL's average of the throughput follows a rise late, so that the capacity is never too high
        assert!((30.0..42.0).contains(&capacity), "kilobytes per second: {capacity}");
        let pods = u32::try_from(Scene::Kinesis.places().div_ceil(history.target as usize)).unwrap();
        assert_eq!(history.by_rule.replicas, pods, "also at night");
        assert!(
            history.by_rule.kept >= GOOD && history.by_law.replicas <= 3,
            "{:?} {:?}",
            history.by_rule,
            history.by_law
        );
    }

    /// The verdict of the demo rests on this: a threshold that needs fewer pods breaks the promise more often.
    #[test]
    fn no_lag_threshold_keeps_the_promise_as_often_as_the_law_with_fewer_pods() {
        for threshold in Scene::Kafka.targets(5) {
            let History { by_law, by_rule, .. } = history(Some(threshold));
            let as_good = by_rule.kept > by_law.kept - 0.005;
            assert!(!as_good || by_law.pod_seconds < by_rule.pod_seconds, "{threshold}: {by_law:?} {by_rule:?}");
        }
    }
}
