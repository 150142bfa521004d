//! One target in numbers, as the list and its tiles show it.

use std::sync::Arc;

use maud::{Markup, html};

use super::names::{self, Names};
use super::state::State;
use crate::lag::Behind;
use crate::page::text::{float, short, whole};
use crate::sampler::{CallerView, Judged, TargetView, place_of};
use crate::scaling::catch_up::CatchUpStep;
use crate::scaling::{Decision, Step};
use crate::trigger::Policy;

/// Callers with the same policy and `maxStaleness`, which get the same answer.
pub(super) struct Judges<'a> {
    pub(super) policy: &'a Arc<Policy>,
    pub(super) callers: Vec<&'a CallerView>,
    pub(super) judged: Judged,
    pub(super) state: State,
}

/// One target with its decisions.
pub(super) struct Summary<'a> {
    pub(super) view: &'a TargetView,
    pub(super) id: String,
    pub(super) names: Names,
    /// The cluster or account.
    pub(super) place: String,
    pub(super) state: State,
    /// The callers by policy; the first ones decide the state.
    pub(super) judges: Vec<Judges<'a>>,
    /// The age of the oldest record in seconds, where it is measured.
    pub(super) age: Option<f64>,
    /// The records that the group has not read, where they are counted.
    pub(super) lag: Option<u64>,
    /// The partitions without a valid commit.
    pub(super) without_commit: u64,
}

impl<'a> Summary<'a> {
    pub(super) fn of(view: &'a TargetView) -> Self {
        let mut judges = judges(view);
        let age = age(view, &judges);
        for judges in &mut judges {
            judges.state = State::of(view, judges.policy, &judges.judged, age);
        }
        judges.sort_by_key(|judges| judges.state);
        let state = judges.first().map_or_else(|| State::of_readings(&view.state), |judges| judges.state);
        let (lag, without_commit) = match view.state.sample().map(|(sample, _)| &sample.facts.behind) {
            Some(Behind::Records(lag)) => (lag.records_behind(), lag.without_commit()),
            _ => (None, 0),
        };
        let (id, names, place) = (names::id(&view.source), Names::of(&view.source), place_of(&view.source));
        Self { view, id, names, place, state, judges, age, lag, without_commit }
    }

    /// The caller that the row names.
    pub(super) fn lead(&self) -> Option<&'a CallerView> {
        self.judges.first()?.callers.first().copied()
    }

    pub(super) fn callers(&self) -> impl Iterator<Item = &'a CallerView> {
        self.judges.iter().flat_map(|judges| judges.callers.iter().copied())
    }

    /// The age that a trigger promises, in seconds.
    pub(super) fn promise(&self) -> Option<f64> {
        self.judges.iter().find_map(|judges| promise(judges.policy))
    }

    /// The age divided by the promise.
    pub(super) fn ratio(&self) -> Option<f64> {
        Some(self.age? / self.promise()?)
    }

    /// The decision that the row shows, even one that is too old to be served.
    pub(super) fn decision(&self) -> Option<(&'a Policy, &Decision)> {
        let judges = self.judges.first()?;
        Some((judges.policy, judges.judged.decision()?))
    }

    /// The consumers that run, where they are known.
    pub(super) fn running(&self) -> Option<u64> {
        let consumers = self.view.state.sample()?.0.facts.consumers?;
        u64::try_from(consumers).ok()
    }

    /// The name of the target: its first caller, or its source.
    pub(super) fn title(&self) -> String {
        self.lead().map_or_else(|| self.names.name.clone(), |lead| format!("{}/{}", lead.namespace, lead.name))
    }
}

/// The age that a policy promises, in seconds.
pub(super) fn promise(policy: &Policy) -> Option<f64> {
    if let Policy::CatchUp(policy) = policy { Some(policy.max_age.as_secs_f64()) } else { None }
}

/// Groups the callers that get the same answer.
fn judges(view: &TargetView) -> Vec<Judges<'_>> {
    let mut all: Vec<Judges<'_>> = Vec::new();
    for caller in &view.callers.shown {
        let same = |judges: &&mut Judges<'_>| {
            judges.policy == &caller.policy
                && judges.callers.iter().all(|other| other.max_staleness == caller.max_staleness)
        };
        match all.iter_mut().find(same) {
            Some(judges) => judges.callers.push(caller),
            None => all.push(Judges {
                policy: &caller.policy,
                callers: vec![caller],
                judged: view.judge(caller),
                state: State::Ok,
            }),
        }
    }
    all
}

/// Returns the age of the oldest record: as measured on a stream, or as `catchUp` estimates it for a group.
fn age(view: &TargetView, judges: &[Judges<'_>]) -> Option<f64> {
    let (sample, _) = view.state.sample()?;
    match &sample.facts.behind {
        Behind::Age { oldest, .. } => Some(oldest.as_secs_f64()),
        Behind::Records(lag) => {
            let of = judges.iter().filter(|judges| promise(judges.policy).is_some());
            let mut ages = of.filter_map(|judges| judges.judged.decision()).map(oldest);
            let none = lag.records_behind() == Some(0) && lag.without_commit() == 0;
            ages.next().and_then(|age| age.or_else(|| none.then_some(0.0)))
        }
        Behind::Shards { .. } | Behind::Writes { .. } => None,
    }
}

fn oldest(decision: &Decision) -> Option<f64> {
    decision.steps.iter().find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Forecast { oldest_seconds, .. }) => Some(oldest_seconds.get()),
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
        _ => match summary.running().filter(|running| *running != wanted && summary.state != State::Failing) {
            Some(running) => html! {
                (number(running))
                svg.arrow viewBox="0 0 12 8" role="img" aria-label="to" { path d="M0 4H10M7 1L10.5 4L7 7" {} }
                (number(wanted))
            },
            None => html! { (number(wanted)) },
        },
    }
}

pub(super) fn number(count: u64) -> String {
    whole(float(count))
}
