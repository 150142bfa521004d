//! The decisions on a target: each in a sentence, in numbers and in steps.

use std::sync::Arc;

use maud::{Markup, html};

use super::answer::Answer;
use super::gauge::Gauge;
use super::state::State;
use super::summary::{Summary, number, promise};
use super::{charts, names, parts, steps};
use crate::page::Clock;
use crate::sampler::{CallerView, Judged};
use crate::scaling::catch_up::CatchUpStep;
use crate::scaling::{Decision, Step};
use crate::trigger::Policy;

/// Callers with the same policy and `maxStaleness`, which get the same answer.
pub(super) struct Judges<'a> {
    policy: &'a Arc<Policy>,
    callers: Vec<&'a CallerView>,
    pub(super) judged: Judged,
}

/// Groups the callers that get the same answer, those with the worst state first.
pub(super) fn judges<'a>(summary: &Summary<'a>) -> Vec<Judges<'a>> {
    let mut all: Vec<Judges<'_>> = Vec::new();
    for caller in summary.callers() {
        let same = |judges: &&mut Judges<'_>| {
            judges.policy == &caller.policy
                && judges.callers.iter().all(|other| other.max_staleness == caller.max_staleness)
        };
        if let Some(judges) = all.iter_mut().find(same) {
            judges.callers.push(caller);
        } else {
            let judged = summary.view.judge(caller);
            all.push(Judges { policy: &caller.policy, callers: vec![caller], judged });
        }
    }
    all.sort_by_key(|one| State::of(summary.view, one.policy, &one.judged, summary.age));
    all
}

impl Judges<'_> {
    /// Shows one of several decisions: the sentence, its numbers, the age against the promise, and the steps.
    pub(super) fn decision(&self, summary: &Summary<'_>, index: usize, of: usize, clock: Clock) -> Markup {
        let policy = &**self.policy;
        let error = if let Judged::Failed { error, .. } = &self.judged { Some(error) } else { None };
        let shown_above = summary.view.state.failure().is_some();
        let decided = self.judged.decision();
        let answer = decided.map(|decision| Answer::of(policy, decision, clock));
        let gauge = decided.and_then(|decision| gauge(summary, policy, decision));
        html! {
            section.card.decision aria-labelledby={ "decision" (index) } {
                div {
                    @if of > 1 || self.callers.len() > 1 { (self.whose()) }
                    h2 id={ "decision" (index) } {
                        @match &answer {
                            Some(answer) => (answer.what),
                            None if error.is_some() => "No value",
                            None => "Waiting for the first reading",
                        }
                    }
                    @if error.is_some() {
                        p.bad {
                            "KEDA gets " @if shown_above { "the error above" } @else { "an error" } ", and the HPA keeps its replicas."
                            @if decided.is_some() { " The last good reading gave this value." }
                        }
                    }
                    @if let Some(error) = error.filter(|_| !shown_above) { (parts::failure(error, None)) }
                    @if let Some(answer) = &answer { @for sentence in &answer.then { p { (sentence) } } }
                    @if let Some(decision) = decided { (facts(summary, policy, decision, clock)) }
                }
                @if let Some(gauge) = gauge {
                    figure.gauge { h3 { "Oldest waiting record against the " (gauge.limit_name) } (gauge.drawing(clock)) }
                }
            }
            @if let Some(decision) = decided {
                section.card.steps aria-labelledby={ "steps" (index) } {
                    h2 id={ "steps" (index) } { "How it was decided" }
                    (steps::table(decision))
                }
            }
        }
    }

    fn whose(&self) -> Markup {
        html! {
            p.whose {
                @for (index, caller) in self.callers.iter().enumerate() {
                    @if index > 0 { ", " }
                    span.soft { (caller.namespace) "/" } b { (caller.name) }
                }
                " " code { (names::goal(self.policy)) }
            }
        }
    }
}

fn facts(summary: &Summary<'_>, policy: &Policy, decision: &Decision, clock: Clock) -> Markup {
    let kept = promise(policy).and_then(|promise| charts::kept(summary.view, promise));
    html! {
        dl.facts {
            @if !policy.is_for_the_whole_workload() {
                div {
                    dt { "Wanted" }
                    dd {
                        (number(decision.replicas()))
                        @if let Some(most) = decision.useful_replicas() { " " small { "of at most " (number(most)) } }
                    }
                }
            }
            @if let Some(running) = summary.running() { div { dt { "Running" } dd { (number(running)) } } }
            div {
                dt { "Metric for the HPA" }
                dd {
                    (parts::quantity(policy, decision.value)) " "
                    small { "target " (parts::quantity(policy, decision.target)) }
                }
            }
            div { dt { "Activation" } dd { @if decision.active { "active" } @else { "not active" } } }
            @if let Some((share, past)) = kept {
                div {
                    dt { "Promise kept" }
                    dd { (share) " " small { "of the readings since " (clock.ago(past)) " UTC" } }
                }
            }
        }
    }
}

/// The age against what the policy aims at, where both are known.
fn gauge(summary: &Summary<'_>, policy: &Policy, decision: &Decision) -> Option<Gauge> {
    let age = summary.age?;
    let forecast = decision.steps.iter().find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Forecast { reaction_seconds, age_seconds, .. }) => {
            Some((age_seconds.as_ref()?.get(), reaction_seconds.get()))
        }
        _ => None,
    });
    match policy {
        Policy::Age(policy) => {
            let limit = policy.threshold.as_secs_f64();
            Some(Gauge { age, predicted: None, limit, limit_name: "target" })
        }
        _ => Some(Gauge { age, predicted: forecast, limit: promise(policy)?, limit_name: "promise" }),
    }
}
