//! One target in numbers, as the list and its tiles show it.

use std::cmp::Ordering;

use maud::{Markup, html};

use super::names::Names;
use super::state::State;
use crate::lag::Behind;
use crate::page::text::{float, short, whole};
use crate::sampler::{CallerView, Judged, TargetView, place_of};
use crate::scaling::catch_up::CatchUpStep;
use crate::scaling::{Decision, Quantity, Step};
use crate::trigger::Policy;

/// One target by the trigger with the worst state.
pub(super) struct Summary<'a> {
    pub(super) view: &'a TargetView,
    /// The cluster or account.
    pub(super) place: String,
    pub(super) state: State,
    /// The caller with that state, which the row names, and what it gets.
    pub(super) lead: Option<(&'a CallerView, Judged)>,
    /// The age of the oldest record in seconds, where it is measured.
    pub(super) age: Option<f64>,
    /// The age that a trigger promises, in seconds.
    pub(super) promise: Option<f64>,
    /// The records that the group has not read, where they are counted.
    pub(super) lag: Option<u64>,
    /// The partitions without a valid commit.
    pub(super) without_commit: u64,
}

impl<'a> Summary<'a> {
    pub(super) fn of(view: &'a TargetView) -> Self {
        let judged: Vec<_> = view.callers.shown.iter().map(|caller| (caller, view.judge(caller))).collect();
        let promise = view.callers.shown.iter().find_map(|caller| promise(&caller.policy));
        let (lag, without_commit) = match view.state.sample().map(|(sample, _)| &sample.facts.behind) {
            Some(Behind::Records(lag)) => (lag.records_behind(), lag.without_commit()),
            _ => (None, 0),
        };
        let age = match view.state.sample().map(|(sample, _)| &sample.facts.behind) {
            Some(Behind::Age { oldest, .. }) => Some(oldest.as_secs_f64()),
            // as catchUp estimates it
            _ => judged.iter().find_map(|(_, judged)| oldest(judged.decision()?)).or_else(|| {
                let nothing_unread = lag == Some(0) && without_commit == 0;
                promise.filter(|_| nothing_unread).map(|_| 0.0)
            }),
        };
        let stated = judged.into_iter().map(|(caller, judged)| {
            let state = State::of(view, &caller.policy, &judged, age);
            (state, (caller, judged))
        });
        let (state, lead) = match stated.min_by_key(|(state, _)| *state) {
            Some((state, lead)) => (state, Some(lead)),
            None => (State::of_readings(&view.state), None),
        };
        let promise = lead.as_ref().and_then(|(lead, _)| self::promise(&lead.policy)).or(promise);
        Self { view, place: place_of(&view.source), state, lead, age, promise, lag, without_commit }
    }

    pub(super) fn callers(&self) -> impl Iterator<Item = &'a CallerView> {
        self.view.callers.shown.iter()
    }

    /// Compares by the share of the promise, the greatest first, and then by age.
    pub(super) fn by_age(one: &Self, other: &Self) -> Ordering {
        let key = |summary: &Self| {
            let age = summary.age.unwrap_or(-1.0);
            (summary.promise.filter(|_| age >= 0.0).map_or(-1.0, |promise| age / promise), age)
        };
        let (one, other) = (key(one), key(other));
        other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1))
    }

    /// The decision that the row shows, even one that is too old to be served.
    pub(super) fn decision(&self) -> Option<(&'a Policy, &Decision)> {
        let (caller, judged) = self.lead.as_ref()?;
        Some((&caller.policy, judged.decision()?))
    }

    /// The consumers that run, where they are known.
    pub(super) fn running(&self) -> Option<u64> {
        let consumers = self.view.state.sample()?.0.facts.consumers?;
        u64::try_from(consumers).ok()
    }

    /// The name of the target: its first caller, or its source.
    pub(super) fn title(&self) -> String {
        let of_source = || Names::of(&self.view.source).name;
        self.lead.as_ref().map_or_else(of_source, |(lead, _)| format!("{}/{}", lead.namespace, lead.name))
    }
}

/// The age that a policy promises, in seconds.
pub(super) fn promise(policy: &Policy) -> Option<f64> {
    if let Policy::CatchUp(policy) = policy { Some(policy.max_age.as_secs_f64()) } else { None }
}

fn oldest(decision: &Decision) -> Option<f64> {
    decision.steps.iter().find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Forecast { oldest_seconds, .. }) => oldest_seconds.map(Quantity::get),
        _ => None,
    })
}

/// Returns the replicas of a decision: wanted, with those that run if they differ, or of the most that can be used.
pub(super) fn replicas(summary: &Summary<'_>) -> Markup {
    let Some((policy, decision)) = summary.decision() else { return html! { "–" } };
    let wanted = decision.replicas();
    match policy {
        // an age is one number for the whole workload, and the HPA multiplies the current replicas
        Policy::Age(_) if decision.target.get() > 0.0 => {
            html! { "× " (short(decision.value.get() / decision.target.get())) }
        }
        Policy::CatchUp(policy) if policy.consumers_per_replica.get() > 1 => html! { (number(wanted)) },
        _ if summary.state == State::AtMaximum => {
            html! { (number(wanted)) " of " (number(decision.useful_replicas().unwrap_or(wanted))) }
        }
        _ => {
            let running = summary.running().filter(|_| summary.state != State::Failing);
            html! {
                @if let Some(running) = running.filter(|running| *running != wanted) {
                    (number(running))
                    svg.arrow viewBox="0 0 12 8" role="img" aria-label="to" { path d="M0 4H10M7 1L10.5 4L7 7" {} }
                }
                (number(wanted))
            }
        }
    }
}

pub(super) fn number(count: u64) -> String {
    whole(float(count))
}
