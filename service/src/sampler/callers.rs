//! The callers of a target: shown to operators, and never part of an answer.
//!
//! Every call passes through here, so a known caller costs a search through at most [`MOST_CALLERS`] entries, and no allocation.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::lag::FORGET_AFTER;
use crate::trigger::{MetricName, Policy, Trigger};

/// The maximum number of callers of a target that are listed by name; further callers are only counted.
pub(crate) const MOST_CALLERS: usize = 32;

/// The maximum number of further callers that are counted.
const MOST_COUNTED: usize = 1000;

/// The maximum number of triggers of one object on one source that differ only in their policy or their metric's name.
const MOST_TRIGGERS: usize = 4;

/// Identifies a watch on a target until the watch is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WatchId(pub(super) u64);

/// The `ScaledObject` on whose behalf a source is queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScaledObjectKey<'a> {
    /// Its namespace, which the rules for the source must admit.
    pub namespace: &'a str,
    /// Its name; a caller without a name is not shown to operators.
    pub name: &'a str,
}

/// All callers of one target.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: Vec<Known>,
    hasher: RandomState,
    /// The hashes of callers beyond [`MOST_CALLERS`], each with the time of its last call.
    beyond: HashMap<u64, Instant>,
}

#[derive(Debug)]
struct Known {
    namespace: Arc<str>,
    name: Arc<str>,
    triggers: Vec<CallerTrigger>,
    watches: Vec<WatchId>,
}

#[derive(Debug)]
struct CallerTrigger {
    policy: Arc<Policy>,
    metric: MetricName,
    max_staleness: Duration,
    asked: Instant,
}

/// The callers of a target, as shown to operators.
#[derive(Clone, Debug, Default)]
pub struct CallersView {
    /// Up to 32 objects with their triggers, ordered by namespace and name.
    pub shown: Vec<CallerView>,
    /// The number of further objects; 1,000 stands for any greater number.
    pub more: usize,
}

/// One trigger that queries the target.
#[derive(Clone, Debug)]
pub struct CallerView {
    /// The namespace of its object.
    pub namespace: Arc<str>,
    /// The name of its object.
    pub name: Arc<str>,
    /// The policy that evaluates the readings.
    pub policy: Arc<Policy>,
    /// KEDA's name of the metric, without `s0-`.
    pub metric: MetricName,
    /// The maximum age of the answers.
    pub max_staleness: Duration,
    /// The time since its last call.
    pub asked_ago: Duration,
}

impl<'a> ScaledObjectKey<'a> {
    /// Creates the key of object `name` in `namespace`.
    #[must_use]
    pub const fn new(namespace: &'a str, name: &'a str) -> Self {
        Self { namespace, name }
    }
}

/// A caller in a namespace that is not shown to operators.
impl<'a> From<&'a str> for ScaledObjectKey<'a> {
    fn from(namespace: &'a str) -> Self {
        Self { namespace, name: "" }
    }
}

impl Callers {
    pub(super) fn ask(&mut self, caller: ScaledObjectKey<'_>, trigger: &Trigger, now: Instant) {
        if let Some(known) = self.known(caller, now) {
            known.ask(trigger, now);
        }
    }

    /// Adds a caller that calls once and stays until the watch ends.
    pub(super) fn watch(&mut self, caller: ScaledObjectKey<'_>, trigger: &Trigger, id: WatchId, now: Instant) {
        if let Some(known) = self.known(caller, now) {
            known.ask(trigger, now);
            known.watches.push(id);
        }
    }

    pub(super) fn unwatch(&mut self, id: WatchId) {
        for known in &mut self.known {
            known.watches.retain(|watch| *watch != id);
        }
    }

    /// Removes callers that have not called for a long time.
    pub(super) fn forget(&mut self, now: Instant) {
        let recent = |asked: Instant| now.duration_since(asked) < FORGET_AFTER;
        self.beyond.retain(|_, asked| recent(*asked));
        for known in &mut self.known {
            if known.watches.is_empty() {
                known.triggers.retain(|trigger| recent(trigger.asked));
            }
        }
        self.known.retain(|known| !known.triggers.is_empty());
    }

    /// Returns the distinct policies of the callers.
    pub(super) fn policies(&self) -> Vec<Arc<Policy>> {
        let mut policies: Vec<Arc<Policy>> = Vec::new();
        for trigger in self.known.iter().flat_map(|known| &known.triggers) {
            if !policies.contains(&trigger.policy) {
                policies.push(trigger.policy.clone());
            }
        }
        policies
    }

    pub(super) fn view(&self, now: Instant) -> CallersView {
        let triggers = self.known.iter().flat_map(|known| known.triggers.iter().map(move |trigger| (known, trigger)));
        let shown = triggers.map(|(known, trigger)| CallerView {
            namespace: known.namespace.clone(),
            name: known.name.clone(),
            policy: trigger.policy.clone(),
            metric: trigger.metric.clone(),
            max_staleness: trigger.max_staleness,
            asked_ago: now.duration_since(trigger.asked),
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        CallersView { shown, more: self.beyond.len() }
    }

    /// Returns the entry of the caller, if there is room for it.
    fn known(&mut self, caller: ScaledObjectKey<'_>, now: Instant) -> Option<&mut Known> {
        if caller.name.is_empty() {
            return None;
        }
        if let Some(place) = self.known.iter().position(|known| known.is(caller)) {
            return self.known.get_mut(place);
        }
        let hash = self.hasher.hash_one(caller);
        if self.known.len() >= MOST_CALLERS {
            if self.beyond.len() < MOST_COUNTED || self.beyond.contains_key(&hash) {
                self.beyond.insert(hash, now);
            }
            return None;
        }
        self.beyond.remove(&hash);
        self.known.push(Known {
            namespace: caller.namespace.into(),
            name: caller.name.into(),
            triggers: Vec::with_capacity(1),
            watches: Vec::new(),
        });
        self.known.last_mut()
    }
}

impl Known {
    fn is(&self, caller: ScaledObjectKey<'_>) -> bool {
        *self.namespace == *caller.namespace && *self.name == *caller.name
    }

    fn ask(&mut self, trigger: &Trigger, asked: Instant) {
        let max_staleness = trigger.pace.max_staleness;
        let same = |known: &&mut CallerTrigger| *known.policy == trigger.policy && known.metric == trigger.metric;
        if let Some(known) = self.triggers.iter_mut().find(same) {
            (known.asked, known.max_staleness) = (asked, max_staleness);
            return;
        }
        if self.triggers.len() >= MOST_TRIGGERS {
            let oldest = self.triggers.iter().enumerate().min_by_key(|(_, trigger)| trigger.asked);
            if let Some((oldest, _)) = oldest {
                self.triggers.swap_remove(oldest);
            }
        }
        let (policy, metric) = (Arc::new(trigger.policy.clone()), trigger.metric.clone());
        self.triggers.push(CallerTrigger { policy, metric, max_staleness, asked });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(threshold: &str) -> Trigger {
        let metadata = [
            ("source", "kafka"),
            ("bootstrapServers", "b:9092"),
            ("consumerGroup", "g"),
            ("topic", "t"),
            ("lagThreshold", threshold),
        ];
        Trigger::parse(&metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap()
    }

    fn names(callers: &Callers) -> Vec<String> {
        let view = callers.view(Instant::now());
        view.shown.iter().map(|caller| format!("{}/{}", caller.namespace, caller.name)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_object_is_told_once_with_every_policy_that_it_asks_by() {
        let mut callers = Callers::default();
        for (namespace, name) in [("shop", "orders"), ("bank", "orders"), ("shop", "orders")] {
            callers.ask(ScaledObjectKey::new(namespace, name), &trigger("10"), Instant::now());
        }
        assert_eq!(names(&callers), ["bank/orders", "shop/orders"]);
        callers.ask(ScaledObjectKey::new("shop", "orders"), &trigger("20"), Instant::now());
        assert_eq!((callers.view(Instant::now()).shown.len(), callers.policies().len()), (3, 2));
        for threshold in ["30", "40", "50", "60"] {
            callers.ask(ScaledObjectKey::new("bank", "orders"), &trigger(threshold), Instant::now());
        }
        assert_eq!(names(&callers).iter().filter(|name| *name == "bank/orders").count(), MOST_TRIGGERS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_metric_is_told_by_the_name_that_its_trigger_gives_it() {
        let mut callers = Callers::default();
        for topics in ["b,a", "a,b", "b,a"] {
            let metadata =
                [("source", "apache-kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", topics)];
            let named =
                Trigger::parse(&metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
            callers.ask(ScaledObjectKey::new("shop", "orders"), &named, Instant::now());
        }
        let metrics = callers.view(Instant::now()).shown.into_iter().map(|caller| caller.metric.to_string());
        assert_eq!(metrics.collect::<Vec<_>>(), ["kafka-b,a", "kafka-a,b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_beyond_the_bound_are_counted_and_come_in_when_there_is_room() {
        let mut callers = Callers::default();
        for number in 0..MOST_CALLERS + 3 {
            for _ in 0..2 {
                callers.ask(ScaledObjectKey::new("shop", &format!("o{number}")), &trigger("10"), Instant::now());
            }
        }
        let view = callers.view(Instant::now());
        assert_eq!((view.shown.len(), view.more), (MOST_CALLERS, 3));
        tokio::time::advance(FORGET_AFTER).await;
        callers.forget(Instant::now());
        callers.ask(ScaledObjectKey::new("shop", "o34"), &trigger("10"), Instant::now());
        assert_eq!((names(&callers), callers.view(Instant::now()).more), (vec!["shop/o34".to_owned()], 0));
        for number in 0..2 * MOST_COUNTED {
            callers.ask(ScaledObjectKey::new("shop", &number.to_string()), &trigger("10"), Instant::now());
        }
        assert_eq!(callers.view(Instant::now()).more, MOST_COUNTED);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_watches_is_there_until_the_watch_ends() {
        let mut callers = Callers::default();
        callers.watch(ScaledObjectKey::new("shop", "orders"), &trigger("10"), WatchId(1), Instant::now());
        tokio::time::advance(FORGET_AFTER * 2).await;
        callers.forget(Instant::now());
        assert_eq!(names(&callers), ["shop/orders"]);
        callers.unwatch(WatchId(1));
        callers.forget(Instant::now());
        assert!(names(&callers).is_empty() && callers.known.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_without_a_name_is_nobody_to_tell() {
        let mut callers = Callers::default();
        callers.ask("shop".into(), &trigger("10"), Instant::now());
        assert!(names(&callers).is_empty());
    }
}
