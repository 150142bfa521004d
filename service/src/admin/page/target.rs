//! `/targets/{id}`: the page of one target.

use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};

use super::framed;
use super::names::{self, Names};
use super::parts;
use super::rows;
use crate::page::Page;
use crate::page::plot::{Figure, Limit, Line, Measure, Shape};
use crate::page::text::{encoded, time};
use crate::sampler::{Ages, CallerView, Judged, Point, Promise, TargetView};
use crate::trigger::Policy;

/// The period of the charts.
const PERIOD: &str = "over the last 30 minutes";

/// Callers with the same policy, which get the same value.
struct Judges<'a> {
    policy: &'a Arc<Policy>,
    callers: Vec<&'a CallerView>,
    judged: Judged,
}

pub(super) fn page(view: &TargetView) -> Page {
    let names = Names::of(&view.source);
    framed(StatusCode::OK, &names.name, crumbs(), live(view, &names))
}

pub(super) fn absent() -> Page {
    let title = "No such target";
    let live = html! {
        div.top { h1 { (title) } }
        p.none { "A target is removed ten minutes after the last request for it." }
    };
    framed(StatusCode::NOT_FOUND, title, crumbs(), live)
}

fn crumbs() -> Markup {
    html! { nav.crumbs aria-label="Breadcrumb" { a href="/" { "Targets" } } }
}

fn live(view: &TargetView, names: &Names) -> Markup {
    let json = format!("/samples?source={}", encoded(&view.source.to_string()));
    let age = view.state.sample().map(|(_, age)| age);
    html! {
        div.top {
            h1 { (names.name) }
            p.counts {
                (parts::state(&view.state))
                @if let Some(age) = age { " · read " (time(age.as_secs_f64())) " ago" }
                " · " a href=(json) { "JSON" }
            }
            p.more { (names.kind) " · " (names.more) }
        }
        @if let Some((error, failing_for)) = view.state.failure() {
            section.trouble aria-labelledby="trouble" {
                h2 #trouble { "Readings fail" }
                (parts::failure(error, Some(failing_for), age))
            }
        }
        div.columns {
            section aria-labelledby="decision" {
                h2 #decision { "Decision" }
                @for judges in judges(view) { (decision(&judges, view.state.failure().is_some())) }
                @if view.callers.shown.is_empty() { p.none { "Queried without a ScaledObject." } }
                @if view.callers.more > 0 { p.none { "and " (view.callers.more) " more ScaledObjects" } }
            }
            section aria-labelledby="course" {
                h2 #course { "Last 30 minutes" }
                (courses(view))
            }
        }
        @if let Some((sample, _)) = view.state.sample() { (rows::table(sample, &json)) }
    }
}

fn judges(view: &TargetView) -> Vec<Judges<'_>> {
    let mut all: Vec<Judges<'_>> = Vec::new();
    for caller in &view.callers.shown {
        let same = |judges: &&mut Judges<'_>| {
            judges.policy == &caller.policy
                && judges.callers.iter().all(|other| other.max_staleness == caller.max_staleness)
        };
        match all.iter_mut().find(same) {
            Some(judges) => judges.callers.push(caller),
            None => all.push(Judges { policy: &caller.policy, callers: vec![caller], judged: view.judge(caller) }),
        }
    }
    all
}

/// Shows one decision. If the last argument is true, the page has already shown the source's error above.
fn decision(judges: &Judges<'_>, shown_above: bool) -> Markup {
    let policy = &**judges.policy;
    let error = if let Judged::Failed { error, .. } = &judges.judged { Some(error) } else { None };
    html! {
        article.decision {
            h3 {
                @for (index, caller) in judges.callers.iter().enumerate() {
                    @if index > 0 { ", " }
                    span.object { span.namespace { (caller.namespace) "/" } (caller.name) }
                }
                " " span.policy { (names::policy(policy)) }
            }
            @if let Some(error) = error {
                p.gets { "KEDA gets " @if shown_above { "this error" } @else { "an error" } }
                @if !shown_above { div.error { (parts::failure(error, None, None)) } }
            }
            @match judges.judged.decision() {
                None => p.none { @if error.is_none() { "Waiting for the first reading." } @else { "There is no value." } }
                Some(decision) => {
                    @if error.is_some() { p.none { "The last good reading gave:" } }
                    dl.figures {
                        div { dt { "Value" } dd { (parts::quantity(policy, decision.value)) } }
                        div { dt { "Target" } dd { (parts::quantity(policy, decision.target)) } }
                        div {
                            dt { "Replicas" @if let Policy::Age(_) = policy { ", of those ready" } }
                            dd { (parts::replicas(policy, decision)) }
                        }
                        div { dt { "Active" } dd { @if decision.active { "yes" } @else { "no" } } }
                    }
                    ol.steps { @for step in &decision.steps { li { (step) } } }
                }
            }
        }
    }
}

fn courses(view: &TargetView) -> Markup {
    let (what, unit, measure) = names::behind(&view.source);
    let behind = parts::line(view, what, Shape::Filled, |_, point| point.behind);
    let wanted: Vec<_> = view
        .chart
        .wanted()
        .iter()
        .map(|wanted| {
            let number = |index: usize| wanted.replicas.get(index).copied().unwrap_or(f32::NAN);
            parts::line(view, by_whom(view, &wanted.policy), Shape::Steps, move |index, _| number(index))
        })
        .collect();
    let figure = |title, note, measure| Figure { title, note, period: PERIOD, measure, ..Figure::default() };
    html! {
        @match view.chart.promise() {
            Some(promise) if measure == Measure::Seconds => (ages(view, promise, behind)),
            promise => {
                (figure(what, unit, measure).of(&[behind]))
                @if let Some(promise) = promise {
                    (ages(view, promise, parts::line(view, "estimated", Shape::Filled, age_of(promise, |ages| ages.now))))
                }
            }
        }
        @if let Some(unit) = names::rates(view) {
            (figure("Rates", unit, Measure::Number).of(&[
                parts::line(view, "arrive", Shape::Straight, |_, point| point.arrivals),
                parts::line(view, "are consumed", Shape::Straight, |_, point| point.consumption),
            ]))
        }
        @if !wanted.is_empty() { (figure("Wanted", "replicas", Measure::Number).of(&wanted)) }
    }
}

/// Charts the predicted age, the measured age, and the limit that the policy promises.
fn ages(view: &TargetView, promise: &Promise, now: Line) -> Markup {
    let limit = Some(Limit { name: "maxAge", at: promise.max_age });
    let predicted =
        parts::line(view, "when more consumers could help", Shape::Straight, age_of(promise, |ages| ages.predicted));
    let predicted = Line { class: "predicted", ..predicted };
    let (title, note) = ("Oldest unread record", "its age");
    Figure { title, note, period: PERIOD, measure: Measure::Seconds, limit, ..Figure::default() }.of(&[predicted, now])
}

fn age_of(promise: &Promise, of: fn(&Ages) -> f32) -> impl Fn(usize, &Point) -> f32 {
    move |index, _| promise.ages.get(index).map_or(f32::NAN, of)
}

/// Names a policy, with one of its callers where the chart has several policies.
fn by_whom(view: &TargetView, policy: &Arc<Policy>) -> String {
    let word = names::policy(policy);
    let caller = view.callers.shown.iter().find(|caller| caller.policy == *policy);
    match caller {
        Some(caller) if view.chart.wanted().len() > 1 => format!("{word}, {}/{}", caller.namespace, caller.name),
        _ => word.to_owned(),
    }
}
