//! `/targets/{id}`: the page of one target: the decision, its reasons, the charts, and the partitions or shards.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::answer::Answer;
use super::charts::charts;
use super::gauge::Gauge;
use super::state::State;
use super::summary::{Judges, Summary, number, promise};
use super::{Content, framed, names, parts, rows, steps};
use crate::page::text::{ago, encoded, whole};
use crate::page::{Clock, Page};
use crate::sampler::{Judged, TargetView};
use crate::scaling::catch_up::CatchUpStep;
use crate::scaling::{Decision, Step};
use crate::trigger::Policy;

pub(super) fn page(view: &TargetView) -> Page {
    let summary = Summary::of(view);
    let title = if summary.judges.len() > 1 { summary.names.name.clone() } else { summary.title() };
    let content = Content { lead: html! {}, still: crumbs(), live: live(&summary, Clock::now()) };
    framed(StatusCode::OK, &title, content)
}

pub(super) fn absent() -> Page {
    let title = "No such target";
    let live = html! {
        div.head { h1 { (title) } }
        p.card.soft { "A target is removed ten minutes after the last request for it." }
    };
    framed(StatusCode::NOT_FOUND, title, Content { lead: html! {}, still: crumbs(), live })
}

fn crumbs() -> Markup {
    html! { nav.crumbs aria-label="Breadcrumb" { a href="/" { "‹ Targets" } } }
}

fn live(summary: &Summary<'_>, clock: Clock) -> Markup {
    let view = summary.view;
    let json = format!("/samples?source={}", encoded(&view.source.to_string()));
    let failing = view.state.failure();
    html! {
        (head(summary, &json))
        @if let Some((error, failing_for)) = failing {
            section.card.trouble aria-labelledby="trouble" {
                h2 #trouble { (State::Failing.sign()) "Readings fail" }
                div { (parts::failure(error, Some((failing_for, clock)))) }
            }
        }
        @for (index, judges) in summary.judges.iter().enumerate() { (decision(summary, judges, index, clock)) }
        @if summary.judges.is_empty() { p.card.soft { "Queried without a ScaledObject." } }
        @if view.callers.more > 0 { p.card.soft { "And " (view.callers.more) " more ScaledObjects." } }
        (charts(summary, clock))
        @if let Some((sample, _)) = view.state.sample() { (rows::tables(sample, busiest(summary), &json)) }
    }
}

fn head(summary: &Summary<'_>, json: &str) -> Markup {
    let view = summary.view;
    let lead = summary.lead().filter(|_| summary.judges.len() == 1);
    html! {
        div.head {
            h1 {
                @match lead {
                    Some(lead) => { span.soft { (lead.namespace) "/" } (lead.name) }
                    None => (summary.names.name),
                }
            }
            span class={ "st " (summary.state.class()) } { (summary.state.sign()) (word(summary)) }
            @if let [judges] = &summary.judges[..] { code { (names::goal(judges.policy)) } }
            p.soft {
                (summary.names.kind) " " (summary.names.name) ", " (summary.names.more) ", " (summary.place) ". "
                @match view.state.sample() {
                    Some((_, age)) => { "Last read " (ago(age.as_secs_f64())) }
                    None => "Not read yet",
                }
                @match view.next_read_in {
                    Some(next) => { ", next in " (whole(next.as_secs_f64().ceil())) " s. " }
                    None => ", being read now. ",
                }
                a href=(json) { "JSON" }
            }
        }
    }
}

/// The word beside the title: the state, or the direction in which the replicas change.
fn word(summary: &Summary<'_>) -> &'static str {
    let decision = summary.decision().filter(|(policy, _)| !matches!(policy, Policy::Age(_)));
    let wanted = decision.map(|(_, decision)| decision.replicas());
    match (summary.state, wanted.zip(summary.running())) {
        (State::Ok, Some((wanted, running))) if wanted > running => "Scaling up",
        (State::Ok, Some((wanted, running))) if wanted < running => "Scaling down",
        (state, _) => state.word(),
    }
}

/// Shows one decision: the sentence, its numbers, the age against the promise, and the steps.
fn decision(summary: &Summary<'_>, judges: &Judges<'_>, index: usize, clock: Clock) -> Markup {
    let policy = &**judges.policy;
    let error = if let Judged::Failed { error, .. } = &judges.judged { Some(error) } else { None };
    let shown_above = summary.view.state.failure().is_some();
    let decided = judges.judged.decision();
    let answer = decided.map(|decision| Answer::of(policy, decision, clock));
    let gauge = decided.and_then(|decision| gauge(summary, policy, decision));
    html! {
        section.card.decision aria-labelledby={ "decision" (index) } {
            div {
                @if summary.judges.len() > 1 || judges.callers.len() > 1 { (whose(judges)) }
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
                @if let Some(decision) = decided { (facts(summary, policy, decision)) }
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

fn whose(judges: &Judges<'_>) -> Markup {
    html! {
        p.whose {
            @for (index, caller) in judges.callers.iter().enumerate() {
                @if index > 0 { ", " }
                span.soft { (caller.namespace) "/" } b { (caller.name) }
            }
            " " code { (names::goal(judges.policy)) }
        }
    }
}

fn facts(summary: &Summary<'_>, policy: &Policy, decision: &Decision) -> Markup {
    html! {
        dl.facts {
            @if !matches!(policy, Policy::Age(_)) {
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
        }
    }
}

/// The age against what the policy aims at, where both are known.
fn gauge(summary: &Summary<'_>, policy: &Policy, decision: &Decision) -> Option<Gauge> {
    let age = summary.age?;
    let forecast = decision.steps.iter().find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Forecast { reaction_seconds, age_seconds, .. }) => {
            Some((age_seconds.get(), reaction_seconds.get()))
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

/// The partition or shard that needs most, with its share of one consumer.
fn busiest<'a>(summary: &'a Summary<'_>) -> Option<(&'a str, f64)> {
    let decisions = summary.judges.iter().filter_map(|judges| judges.judged.decision());
    decisions.flat_map(|decision| &decision.steps).find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Hottest { place, share }) => Some((&**place, share.get())),
        _ => None,
    })
}
