//! The last half hour of a target for charts: a few numbers per reading.
//!
//! This module is pure: what a reading adds follows from it and from the one before. Its size is bounded: [`MOST_POINTS`] points, the
//! replicas for [`MOST_WANTED`] policies, and the estimates of one promise, four bytes per number: under 8 KB per target.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::lag::flow::{Flow, PartitionFlow, count};
use crate::lag::{CommittedOffset, GroupObservation, Moment, Observation, PartitionObservation};
use crate::scaling::catch_up::CatchUpStep;
use crate::scaling::{Decision, Sample, Step, decide};
use crate::trigger::{CatchUpPolicy, Policy, SourceRef};

/// The length of the chart; older points are dropped.
pub const LONGEST_CHART: Duration = Duration::from_secs(1800);

/// The length of one time slot; the newest reading of a slot is kept.
const SLOT: Duration = Duration::from_secs(10);

const MOST_POINTS: usize = 180;
const MOST_WANTED: usize = 2;

/// The averaging window of rates in seconds, because commits arrive in bursts.
const AVERAGED_OVER: f64 = 30.0;

/// The chart of one target.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    points: Vec<Point>,
    wanted: Vec<Wanted>,
    promise: Option<Promise>,
}

/// One reading; a value that the reading does not contain is NaN, and a failed reading has only NaN.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The time of the reading, in units of 100 ms since the scaler's epoch.
    at: u32,
    /// The backlog: records, or the age of the oldest record in seconds; the open shards where only shards are counted.
    pub behind: f32,
    /// The arrivals per second: records, or kilobytes.
    pub arrivals: f32,
    /// The consumption per second, in the same unit.
    pub consumption: f32,
    /// The consumers that ran.
    pub consumers: f32,
}

/// The replicas that a policy requested over time.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The policy that requested them.
    pub policy: Arc<Policy>,
    /// The number of replicas at each point.
    pub replicas: Vec<f32>,
}

/// The estimates of the first policy that promises an age (`maxAge`).
#[derive(Clone, Debug)]
pub struct Promise {
    policy: Arc<Policy>,
    /// The age that no record may exceed, in seconds.
    pub max_age: f64,
    /// The estimates at each point.
    pub estimates: Vec<Estimate>,
}

/// What a policy estimates at one reading; NaN where it cannot.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The age of the oldest unread record in seconds.
    pub age: f32,
    /// The predicted age when more consumers would help, if they were requested at the reading.
    pub predicted: f32,
    /// The replicas that cover the arrivals and keep the promise, if any of them could do any part of the work.
    pub needed: f32,
}

impl Estimate {
    const UNKNOWN: Self = Self { age: f32::NAN, predicted: f32::NAN, needed: f32::NAN };

    fn of(policy: &CatchUpPolicy, decision: &Decision) -> Self {
        decision.steps.iter().fold(Self::UNKNOWN, |known, step| match step {
            Step::CatchUp(CatchUpStep::Forecast { oldest_seconds, age_seconds, .. }) => {
                let [age, predicted] =
                    [oldest_seconds, age_seconds].map(|age| age.map_or(f32::NAN, |age| small(age.get())));
                Self { age, predicted, ..known }
            }
            Step::CatchUp(CatchUpStep::Need { arrivals, objective, .. }) => {
                let consumers = arrivals.get().max(objective.get());
                Self { needed: small(consumers / f64::from(policy.consumers_per_replica.get())), ..known }
            }
            _ => known,
        })
    }
}

impl Point {
    const fn nothing(at: u32) -> Self {
        Self { at, behind: f32::NAN, arrivals: f32::NAN, consumption: f32::NAN, consumers: f32::NAN }
    }

    /// Returns how many seconds before `now` the reading began.
    pub(crate) fn seconds_before(&self, now: Moment) -> f64 {
        now.seconds() - f64::from(self.at) / 10.0
    }
}

impl Chart {
    /// Returns the points, oldest first.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Returns the replicas that each policy requested.
    #[must_use]
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Returns the estimates of a promise, if one of the policies makes one.
    #[must_use]
    pub const fn promise(&self) -> Option<&Promise> {
        self.promise.as_ref()
    }

    /// Returns the chart with a good reading added, evaluated by these policies.
    pub(super) fn read(
        &self,
        source: &SourceRef,
        past: Option<&Sample>,
        sample: &Sample,
        policies: &[Arc<Policy>],
    ) -> Self {
        let at = tenths(sample.taken_at);
        let (arrivals, consumption) = self.rates(past, sample);
        let behind = sample.facts.behind.number().map_or(f32::NAN, small);
        let consumers = sample.facts.consumers.map_or(f32::NAN, |consumers| small(count(consumers)));
        let point = Point { at, behind, arrivals, consumption, consumers };
        self.with(point, policies, |policy| decide(policy, source, sample).ok())
    }

    /// Returns the chart with a failed reading added; `None` if that changes nothing.
    pub(super) fn missed(&self, at: Moment) -> Option<Self> {
        let at = tenths(at);
        if self.points.last().is_some_and(|last| slot(last.at) == slot(at)) {
            return None;
        }
        let policies: Vec<_> = self.wanted.iter().map(|wanted| wanted.policy.clone()).collect();
        Some(self.with(Point::nothing(at), &policies, |_| None))
    }

    fn with(&self, point: Point, policies: &[Arc<Policy>], judged: impl Fn(&Policy) -> Option<Decision>) -> Self {
        let oldest = point.at.saturating_sub(tenths_of(LONGEST_CHART));
        let kept = match self.points.last() {
            Some(last) if slot(last.at) == slot(point.at) => self.points.len() - 1,
            _ => self.points.len(),
        };
        let old = self.points.partition_point(|point| point.at < oldest).max((kept + 1).saturating_sub(MOST_POINTS));
        let points = appended(&self.points, old..kept, 0, point, point);
        let before = points.len() - 1;
        let mut promise = None;
        let wanted = self.judges(policies).into_iter().map(|policy| {
            let decision = judged(&policy);
            if promise.is_none()
                && let Policy::CatchUp(promised) = &*policy
            {
                let known = self.promise.as_ref().filter(|known| known.policy == policy);
                let newest = decision.as_ref().map_or(Estimate::UNKNOWN, |decision| Estimate::of(promised, decision));
                let known = known.map_or(&[][..], |known| &known.estimates);
                let estimates = appended(known, old..kept, before, Estimate::UNKNOWN, newest);
                promise = Some(Promise { policy: policy.clone(), max_age: promised.max_age.as_secs_f64(), estimates });
            }
            let known = self.wanted.iter().find(|wanted| wanted.policy == policy);
            let newest = decision.map_or(f32::NAN, |decision| small(number(decision.replicas())));
            let replicas = appended(known.map_or(&[], |known| &known.replicas), old..kept, before, f32::NAN, newest);
            Wanted { policy, replicas }
        });
        Self { wanted: wanted.collect(), promise, points }
    }

    /// Selects the charted policies: first those of the previous chart that still have callers, then others. Age policies are
    /// excluded, because an age is not a number of replicas.
    fn judges(&self, policies: &[Arc<Policy>]) -> Vec<Arc<Policy>> {
        let known = self.wanted.iter().map(|wanted| &wanted.policy).filter(|known| policies.contains(known));
        let new = policies.iter().filter(|policy| self.wanted.iter().all(|wanted| wanted.policy != **policy));
        let counts = |policy: &&Arc<Policy>| !policy.is_for_the_whole_workload();
        known.chain(new).filter(counts).take(MOST_WANTED).cloned().collect()
    }

    fn rates(&self, past: Option<&Sample>, sample: &Sample) -> (f32, f32) {
        let Some(past) = past.filter(|past| sample.taken_at > past.taken_at) else { return (f32::NAN, f32::NAN) };
        let elapsed = sample.taken_at.since(past.taken_at).as_secs_f64();
        let Some((arrivals, consumption)) = rates(past, sample, elapsed) else { return (f32::NAN, f32::NAN) };
        let told = self.points.iter().rev().find(|point| !point.arrivals.is_nan());
        let smooth = |before: Option<f32>, rate: f64| {
            let share = 1.0 - (-elapsed / AVERAGED_OVER).exp();
            small(before.map(f64::from).map_or(rate, |before| before + share * (rate - before)))
        };
        (smooth(told.map(|point| point.arrivals), arrivals), smooth(told.map(|point| point.consumption), consumption))
    }
}

/// Keeps a part of `known`, or else `before` times `unknown`, and appends the newest value.
fn appended<T: Copy>(known: &[T], kept: Range<usize>, before: usize, unknown: T, newest: T) -> Vec<T> {
    let known = known.get(kept);
    let mut all = Vec::with_capacity(known.map_or(before, <[T]>::len) + 1);
    match known {
        Some(known) => all.extend_from_slice(known),
        None => all.resize(before, unknown),
    }
    all.push(newest);
    all
}

/// Returns the arrivals and the consumption per second between two readings, if they contain them.
fn rates(past: &Sample, sample: &Sample, elapsed: f64) -> Option<(f64, f64)> {
    match (&past.observation, &sample.observation) {
        (Observation::Kafka(before), Observation::Kafka(after)) => {
            if before.topics.iter().map(shape).ne(after.topics.iter().map(shape)) {
                return None;
            }
            let (mut arrived, mut consumed) = (0, 0);
            for (before, after) in partitions(before).zip(partitions(after)) {
                arrived += after.watermarks.end.0.saturating_sub(before.watermarks.end.0);
                if let (CommittedOffset::At(before), CommittedOffset::At(after)) = (before.committed, after.committed) {
                    consumed += after.0.saturating_sub(before.0);
                }
            }
            Some((number(arrived) / elapsed, number(consumed) / elapsed))
        }
        _ => match (&past.flow, &sample.flow) {
            (Some(Flow::Throughput(before)), Some(Flow::Throughput(after))) => {
                let arrivals: f64 = after.flow().partitions().iter().map(PartitionFlow::arrivals).sum();
                let grown = after.flow().unread() - before.flow().unread();
                Some((arrivals, (arrivals - grown / elapsed).max(0.0)))
            }
            _ => None,
        },
    }
}

fn partitions(group: &GroupObservation) -> impl Iterator<Item = &PartitionObservation> {
    group.topics.iter().flat_map(|topic| &topic.partitions)
}

/// Returns the properties that must be equal for two readings to be compared partition by partition.
fn shape(topic: &crate::lag::TopicObservation) -> (&Arc<str>, Option<crate::lag::TopicId>, usize) {
    (&topic.name, topic.id, topic.partitions.len())
}

const fn slot(at: u32) -> u32 {
    at / tenths_of(SLOT)
}

fn tenths(at: Moment) -> u32 {
    tenths_of(at.since(Moment::after_epoch(Duration::ZERO)))
}

/// Converts a time to tenths of seconds; 32 bits suffice for thirteen years.
#[expect(clippy::cast_possible_truncation, reason = "after thirteen years the chart no longer advances")]
const fn tenths_of(time: Duration) -> u32 {
    let tenths = time.as_millis() / 100;
    if tenths > u32::MAX as u128 { u32::MAX } else { tenths as u32 }
}

#[expect(clippy::cast_precision_loss, reason = "a chart is less exact than that")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a chart is less exact than that")]
const fn small(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{History, Member, MemberIndex, Members, Offset, PartitionId, TopicObservation, Watermarks};
    use crate::trigger::Trigger;

    const S: fn(u64) -> Moment = |seconds| Moment::after_epoch(Duration::from_secs(seconds));

    fn parsed(more: [(&str, &str); 2]) -> Trigger {
        let metadata = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "t")];
        let metadata = metadata.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value.to_owned()));
        Trigger::parse(&metadata.collect()).unwrap()
    }

    fn trigger(threshold: &str) -> Trigger {
        parsed([("lagThreshold", threshold), ("allowIdleConsumers", "true")])
    }

    fn source() -> SourceRef {
        parsed([("scaleOn", "catchUp"), ("maxAge", "1m")]).source
    }

    fn promise(max_age: &str) -> CatchUpPolicy {
        match parsed([("scaleOn", "catchUp"), ("maxAge", max_age)]).policy {
            Policy::CatchUp(policy) => policy,
            other => panic!("{other:?}"),
        }
    }

    fn promising(max_age: &str) -> Arc<Policy> {
        Arc::new(Policy::CatchUp(promise(max_age)))
    }

    /// Two partitions of this topic, read by one consumer, each with this commit and end.
    fn sample(topic: &str, committed: Option<u64>, end: u64, at: u64, past: Option<&Sample>) -> Sample {
        let partition = |number| PartitionObservation {
            partition: PartitionId(number),
            committed: committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
            watermarks: Watermarks { start: Offset(0), end: Offset(end) },
            owner: Some(MemberIndex(0)),
        };
        let partitions = vec![partition(0), partition(1)];
        let topic = TopicObservation {
            name: topic.into(),
            id: None,
            partition_count: u32::try_from(partitions.len()).expect("few"),
            partitions,
        };
        let members = Members::Settled(vec![Member { id: "one".into(), client_id: "one".into() }]);
        let group = GroupObservation { topics: vec![topic], members, ..GroupObservation::default() };
        let promises: Vec<_> = ["20s", "30s", "1m"].map(promise).to_vec();
        let sample = Sample::after(past, &source(), Observation::Kafka(group), &promises, S(at));
        assert!(matches!(sample.history, History::Kafka(_)));
        sample
    }

    /// A chart of readings at intervals of `every` seconds, of a log that grows by 100 records per second and is read at
    /// 80 records per second.
    fn running(readings: u64, every: u64, policies: &[Arc<Policy>]) -> Chart {
        let mut past: Option<Sample> = None;
        (0..readings).fold(Chart::default(), |chart, reading| {
            let at = reading * every;
            let sample = sample("t", Some(at * 40), at * 50, at, past.as_ref());
            let next = chart.read(&source(), past.as_ref(), &sample, policies);
            past = Some(sample);
            next
        })
    }

    fn close(one: f32, other: f32) -> bool {
        (one - other).abs() < 0.01 * other.abs().max(1.0)
    }

    #[test]
    fn a_reading_tells_what_is_behind_the_rates_and_what_each_policy_wants() {
        let policies = ["10", "100"].map(|threshold| Arc::new(trigger(threshold).policy));
        let chart = running(3, 10, &policies);
        let [first, _, last] = chart.points() else { panic!("{chart:?}") };
        assert!(first.behind == 0.0 && first.arrivals.is_nan() && first.consumption.is_nan());
        assert!(close(last.behind, 400.0) && close(last.arrivals, 100.0) && close(last.consumption, 80.0), "{last:?}");
        let wanted: Vec<_> = chart.wanted().iter().map(|wanted| wanted.replicas.clone()).collect();
        assert_eq!(wanted, [[0.0, 20.0, 40.0], [0.0, 2.0, 4.0]]);
        assert!((last.seconds_before(S(25)) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_policy_that_comes_later_has_no_past_and_one_that_goes_is_forgotten() {
        let policy = |threshold| Arc::new(trigger(threshold).policy);
        let chart = running(2, 10, &[policy("10")]);
        let next = sample("t", Some(800), 1000, 20, None);
        let chart = chart.read(&source(), None, &next, &[policy("20")]);
        let [wanted] = chart.wanted() else { panic!("{chart:?}") };
        assert!(wanted.policy == policy("20") && wanted.replicas[0].is_nan() && close(wanted.replicas[2], 20.0));
    }

    #[test]
    fn a_promise_is_charted_with_the_age_now_and_when_more_consumers_could_help() {
        let later = promising("20s");
        let chart = running(20, 10, &[Arc::new(trigger("10").policy), promising("30s"), later.clone()]);
        let Some(Promise { max_age, estimates, .. }) = chart.promise() else { panic!("{chart:?}") };
        let [first, .., last] = &estimates[..] else { panic!("{estimates:?}") };
        assert!(close(small(*max_age), 30.0), "of the first policy that promises one: {max_age}");
        assert!(first.age.is_nan() && last.age > 0.0 && last.predicted > last.age, "{first:?} {last:?}");
        assert!(first.needed.is_nan() && last.needed >= 1.0, "one consumer falls behind: {first:?} {last:?}");
        assert_eq!(estimates.len(), chart.points().len());
        let next = chart.read(&source(), None, &sample("t", Some(9), 9, 200, None), &[later]);
        let estimates = &next.promise().unwrap().estimates;
        assert!(
            estimates.len() == 21 && estimates.iter().all(|estimate| estimate.age.is_nan()),
            "another promise has another past: {estimates:?}"
        );
    }

    #[test]
    fn half_an_hour_is_kept_however_often_it_is_read() {
        let lags = (1..9).map(|threshold| Arc::new(trigger(&threshold.to_string()).policy));
        let policies: Vec<_> = [promising("30s"), promising("1m")].into_iter().chain(lags).collect();
        for every in [2, 7, 10, 60, 600] {
            let chart = running(5000 / every, every, &policies);
            let points = chart.points();
            let span = points[0].seconds_before(S(0)) - points[points.len() - 1].seconds_before(S(0));
            assert!((1800.0 - 600.0..=1800.0).contains(&span), "{span} s, read every {every} s");
            let numbers: usize = chart.wanted().iter().map(|wanted| wanted.replicas.capacity()).sum();
            let bytes = size_of::<Chart>()
                + chart.points.capacity() * size_of::<Point>()
                + chart.wanted.capacity() * size_of::<Wanted>()
                + numbers * size_of::<f32>()
                + chart.promise().map_or(0, |promise| promise.estimates.capacity() * size_of::<Estimate>());
            assert!(points.len() <= MOST_POINTS && bytes < 8 * 1024, "{bytes} bytes, read every {every} s");
            assert!(chart.wanted().iter().all(|wanted| wanted.replicas.len() == points.len()));
            assert_eq!(chart.promise().unwrap().estimates.len(), points.len());
        }
    }

    #[test]
    fn a_failure_is_a_gap_that_hides_no_reading() {
        let chart = running(2, 10, &[Arc::new(trigger("10").policy)]);
        assert!(chart.missed(S(19)).is_none(), "the reading of the same slot stays");
        let gap = chart.missed(S(20)).unwrap();
        assert!(gap.missed(S(21)).is_none());
        assert!(gap.points().len() == 3 && gap.points()[2].behind.is_nan() && gap.wanted()[0].replicas[2].is_nan());
    }

    #[test]
    fn what_a_reading_does_not_tell_is_no_zero() {
        let before = sample("t", Some(5), 10, 0, None);
        let other = sample("other", Some(5), 900, 10, Some(&before));
        let chart = Chart::default().read(&source(), Some(&before), &other, &[]);
        assert!(chart.points()[0].arrivals.is_nan(), "another topic's end is no arrival");
        let uncommitted = sample("t", None, 10, 0, None);
        let chart = Chart::default().read(&source(), None, &uncommitted, &[]);
        assert!(chart.points()[0].behind.is_nan(), "without a commit nothing is known to be behind");
        let smaller = sample("t", Some(2), 3, 10, Some(&before));
        let chart = Chart::default().read(&source(), Some(&before), &smaller, &[]);
        assert!(chart.points()[0].arrivals == 0.0 && chart.points()[0].consumption == 0.0, "a log that was recreated");
    }
}
