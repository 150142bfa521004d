//! Calls that are refused before anything is read: bad metadata, a connection that the namespace may not use, a full quota.
//!
//! A refused trigger has no target that could show its error. The log names each reason once, and the status page lists it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::ScaledObjectKey;
use crate::lag::{FORGET_AFTER, Moment};
use crate::trigger::SourceRef;

/// The maximum number of refused triggers that are remembered. Further ones are counted only, by the metrics of calls.
const MOST_REFUSED: usize = 256;
/// The metadata of an object is taken for corrected when its calls are accepted, and none was refused for this long.
const CORRECTED_AFTER: Duration = Duration::from_mins(2);

/// The refused triggers.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    refused: Mutex<Vec<Refused>>,
    /// Whether there are any, so that an accepted call needs no lock.
    any: AtomicBool,
}

/// One refused trigger.
#[derive(Debug)]
struct Refused {
    namespace: Box<str>,
    name: Box<str>,
    /// Its source; `None` where the metadata names none.
    source: Option<SourceRef>,
    reason: Arc<str>,
    since: Moment,
    last: Moment,
}

/// The triggers that are refused for one reason, as shown to operators.
#[derive(Clone, Debug)]
pub struct RefusalView {
    /// The error that KEDA gets.
    pub reason: Arc<str>,
    /// The namespace and the name of each object.
    pub objects: BTreeSet<(Box<str>, Box<str>)>,
    /// The time since the first refused call.
    pub since: Duration,
    /// The time since the newest refused call.
    pub last: Duration,
}

// === impl Refused ===

impl Refused {
    fn is_of(&self, caller: ScaledObjectKey<'_>) -> bool {
        (&*self.namespace, &*self.name) == (caller.namespace, caller.name)
    }
}

// === impl Refusals ===

impl Refusals {
    /// Records a call that was refused. A trigger whose metadata names no source is known by the reason.
    pub(super) fn refuse(
        &self,
        caller: ScaledObjectKey<'_>,
        source: Option<&SourceRef>,
        reason: impl Into<Arc<str>>,
        now: Moment,
    ) {
        let reason = reason.into();
        let mut refused = self.refused.lock();
        refused.retain(|one| now.since(one.last) < FORGET_AFTER);
        let same = |one: &Refused| {
            one.is_of(caller) && one.source.as_ref() == source && (source.is_some() || one.reason == reason)
        };
        let logged = refused.iter().any(|one| one.reason == reason);
        if let Some(known) = refused.iter_mut().find(|one| same(one)) {
            (known.reason, known.last) = (reason.clone(), now);
        } else if refused.len() < MOST_REFUSED {
            let (namespace, name) = (caller.namespace.into(), caller.name.into());
            let (source, reason) = (source.cloned(), reason.clone());
            refused.push(Refused { namespace, name, source, reason, since: now, last: now });
        } else {
            return;
        }
        self.any.store(true, Ordering::Relaxed);
        drop(refused);
        if !logged {
            tracing::warn!(namespace = caller.namespace, name = caller.name, reason = &*reason, "calls are refused");
        }
    }

    /// Records a call that was accepted.
    pub(super) fn accept(&self, caller: ScaledObjectKey<'_>, source: &SourceRef, now: Moment) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut refused = self.refused.lock();
        let accepted = |one: &Refused| match &one.source {
            _ if !one.is_of(caller) => false,
            Some(refused) => refused == source,
            None => now.since(one.last) >= CORRECTED_AFTER,
        };
        let over: Vec<_> = refused.extract_if(.., |one| accepted(one)).collect();
        let over: Vec<_> = over.iter().filter(|one| !refused.iter().any(|other| other.reason == one.reason)).collect();
        self.any.store(!refused.is_empty(), Ordering::Relaxed);
        drop(refused);
        for Refused { namespace, name, reason, since, .. } in over {
            let refused_for_ms = now.since(*since).as_millis();
            tracing::info!(namespace, name, reason = &**reason, refused_for_ms, "calls are accepted again");
        }
    }

    /// Returns the refused triggers by reason, the oldest reason first.
    pub(super) fn view(&self, now: Moment) -> Vec<RefusalView> {
        let mut by_reason: BTreeMap<Arc<str>, RefusalView> = BTreeMap::new();
        for one in self.refused.lock().iter().filter(|one| now.since(one.last) < FORGET_AFTER) {
            let (since, last) = (now.since(one.since), now.since(one.last));
            let view = by_reason.entry(one.reason.clone()).or_insert_with(|| RefusalView {
                reason: one.reason.clone(),
                objects: BTreeSet::new(),
                since,
                last,
            });
            view.objects.insert((one.namespace.clone(), one.name.clone()));
            (view.since, view.last) = (view.since.max(since), view.last.min(last));
        }
        let mut views: Vec<_> = by_reason.into_values().collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.since));
        views
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::trigger::Trigger;

    const SHOP: ScaledObjectKey<'static> = ScaledObjectKey { namespace: "shop", name: "orders" };

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    fn source(topic: &str) -> SourceRef {
        let metadata = [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", topic)];
        let metadata: HashMap<_, _> = metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Trigger::parse(&metadata).expect("a trigger").source
    }

    fn reasons(refusals: &Refusals, seconds: u64) -> Vec<String> {
        refusals.view(at(seconds)).iter().map(|view| view.reason.to_string()).collect()
    }

    #[test]
    fn a_source_is_refused_until_its_next_accepted_call() {
        let refusals = Refusals::default();
        refusals.refuse(SHOP, Some(&source("a")), "no access", at(0));
        refusals.refuse(SHOP, Some(&source("a")), "quota exceeded", at(5));
        refusals.refuse(SHOP, Some(&source("b")), "no access", at(6));
        assert_eq!(reasons(&refusals, 7), ["quota exceeded", "no access"], "a new reason replaces the former one");
        refusals.accept(SHOP, &source("a"), at(8));
        refusals.accept(ScaledObjectKey { name: "other", ..SHOP }, &source("b"), at(8));
        assert_eq!(reasons(&refusals, 9), ["no access"], "another trigger and another object change nothing");
    }

    #[test]
    fn metadata_is_refused_until_two_minutes_without_a_refused_call() {
        let refusals = Refusals::default();
        refusals.refuse(SHOP, None, "unknown parameter", at(0));
        refusals.accept(SHOP, &source("a"), at(100));
        assert_eq!(reasons(&refusals, 100).len(), 1, "it may be another trigger of the object");
        refusals.accept(SHOP, &source("a"), at(120));
        assert_eq!(reasons(&refusals, 120).len(), 0);
    }

    #[test]
    fn objects_without_calls_are_forgotten_and_no_caller_fills_the_memory() {
        let refusals = Refusals::default();
        for number in 0..2 * MOST_REFUSED {
            refusals.refuse(ScaledObjectKey { name: &number.to_string(), ..SHOP }, None, "bad", at(0));
        }
        assert_eq!(refusals.view(at(0))[0].objects.len(), MOST_REFUSED);
        assert_eq!(reasons(&refusals, FORGET_AFTER.as_secs()).len(), 0);
        refusals.refuse(SHOP, None, "bad", at(FORGET_AFTER.as_secs()));
        assert_eq!(refusals.view(at(FORGET_AFTER.as_secs()))[0].objects.len(), 1);
    }
}
