//! `/targets/{id}`: the page of one target: the decision, its reasons, the charts, and the partitions or shards.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::charts::charts;
use super::decisions::{Judges, judges};
use super::names::{self, Names};
use super::state::State;
use super::summary::Summary;
use super::{Content, framed, parts, rows};
use crate::page::text::{ago, encoded, whole};
use crate::page::{Clock, Page};
use crate::sampler::TargetView;
use crate::scaling::Step;
use crate::scaling::catch_up::CatchUpStep;

pub(super) fn page(view: &TargetView) -> Page {
    let summary = Summary::of(view);
    let judges = judges(&summary);
    let title = if judges.len() > 1 { Names::of(&view.source).name } else { summary.title() };
    let content = Content { lead: html! {}, still: crumbs(), live: live(&summary, &judges, Clock::now()) };
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

fn live(summary: &Summary<'_>, judges: &[Judges<'_>], clock: Clock) -> Markup {
    let view = summary.view;
    let json = format!("/samples?source={}", encoded(&view.source.to_string()));
    let failing = view.state.failure();
    html! {
        (head(summary, judges, &json))
        @if let Some((error, failing_for)) = failing {
            section.card.trouble aria-labelledby="trouble" {
                h2 #trouble { (State::Failing.sign()) "Readings fail" }
                div { (parts::failure(error, Some((failing_for, clock)))) }
            }
        }
        @for (index, one) in judges.iter().enumerate() { (one.decision(summary, index, judges.len(), clock)) }
        @if judges.is_empty() { p.card.soft { "Queried without a ScaledObject." } }
        @if view.callers.more > 0 { p.card.soft { "And " (view.callers.more) " more ScaledObjects." } }
        (charts(summary, clock))
        @if let Some((sample, _)) = view.state.sample() { (rows::tables(sample, busiest(judges), &json)) }
    }
}

fn head(summary: &Summary<'_>, judges: &[Judges<'_>], json: &str) -> Markup {
    let (view, names) = (summary.view, Names::of(&summary.view.source));
    let lead = summary.lead.as_ref().filter(|_| judges.len() == 1);
    html! {
        div.head {
            h1 {
                @match lead {
                    Some((lead, _)) => { span.soft { (lead.namespace) "/" } (lead.name) }
                    None => (names.name),
                }
            }
            span class={ "st " (summary.state.look().class) } { (summary.state.sign()) (word(summary)) }
            @if let Some((lead, _)) = lead { code { (names::goal(&lead.policy)) } }
            p.soft {
                (names.kind) " " (names.name) ", " (names.more) ", " (summary.place) ". "
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
    let decision = summary.decision().filter(|(policy, _)| !policy.is_for_the_whole_workload());
    let wanted = decision.map(|(_, decision)| decision.replicas());
    match (summary.state, wanted.zip(summary.running())) {
        (State::Ok, Some((wanted, running))) if wanted > running => "Scaling up",
        (State::Ok, Some((wanted, running))) if wanted < running => "Scaling down",
        (state, _) => state.look().word,
    }
}

/// The partition or shard that needs most, with its share of one consumer.
fn busiest<'a>(judges: &'a [Judges<'_>]) -> Option<(&'a str, f64)> {
    let decisions = judges.iter().filter_map(|judges| judges.judged.decision());
    decisions.flat_map(|decision| &decision.steps).find_map(|step| match step {
        Step::CatchUp(CatchUpStep::Hottest { place, share }) => Some((&**place, share.get())),
        _ => None,
    })
}
