//! `/`: all targets: five numbers, the causes of failures, and a table of fifty targets per page.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use axum::http::StatusCode;
use maud::{Markup, html};

use super::causes::{self, counted};
use super::names;
use super::parts;
use super::query::{ON_A_PAGE, Query, Selection, states};
use super::refused;
use super::summary::Summary;
use super::table::table;
use super::{Content, framed, tiles};
use crate::page::text::whole;
use crate::page::{Clock, Page};
use crate::sampler::{RefusalView, TargetView};

pub(super) fn page(views: &[TargetView], refusals: &[RefusalView], up_for: Duration, query: &Query) -> Page {
    let mut summaries: Vec<_> = views.iter().map(Summary::of).collect();
    summaries.sort_by_cached_key(Summary::title);
    let selection = query.select(&summaries);
    let clock = Clock::now();
    let content = Content {
        lead: lead(&summaries, refusals, up_for, query, clock),
        still: filters(&summaries, query),
        live: live(&summaries, query, &selection, parts::window(up_for), clock),
    };
    framed(StatusCode::OK, "Targets", content)
}

fn lead(summaries: &[Summary<'_>], refusals: &[RefusalView], up_for: Duration, query: &Query, clock: Clock) -> Markup {
    let causes = causes::groups(summaries);
    html! {
        div.head { h1 { "Targets" } p.soft { (about(summaries, up_for, clock)) } }
        (tiles::of(summaries, causes.len()))
        (causes::section(&causes, clock))
        (refused::section(refusals, clock))
        nav aria-label="State" {
            ul.states {
                li {
                    a href=(query.with("state", "")) aria-current=[query.state.is_empty().then_some("true")] {
                        "All " small { (number(summaries.len())) }
                    }
                }
                @for (state, count) in states(summaries) {
                    li {
                        a href=(query.with("state", state.look().key)) aria-current=[(query.state == state.look().key).then_some("true")] {
                            (state.sign()) (state.look().word) " " small { (number(count)) }
                        }
                    }
                }
            }
        }
    }
}

/// Says what the targets are read for, and since when.
fn about(summaries: &[Summary<'_>], up_for: Duration, clock: Clock) -> String {
    let callers = summaries.iter().flat_map(Summary::callers);
    let objects: HashSet<_> = callers.map(|caller| (&caller.namespace, &caller.name)).collect();
    let namespaces: HashSet<_> = objects.iter().map(|(namespace, _)| namespace).collect();
    let more: usize = summaries.iter().map(|summary| summary.view.callers.more).sum();
    let objects = match objects.len() + more {
        1 => "1 ScaledObject or ScaledJob".to_owned(),
        count => format!("{} ScaledObjects and ScaledJobs", number(count)),
    };
    let namespaces = counted(namespaces.len(), "namespace");
    format!("{objects} in {namespaces}; this scaler is up since {} UTC", clock.ago(up_for))
}

fn filters(summaries: &[Summary<'_>], query: &Query) -> Markup {
    let callers = || summaries.iter().flat_map(Summary::callers);
    let namespaces = callers().map(|caller| &*caller.namespace).collect();
    let policies = callers().map(|caller| names::policy(&caller.policy)).collect();
    let clusters = summaries.iter().map(|summary| &*summary.place).collect();
    html! {
        form.filter role="search" action="/" method="get" {
            div.find {
                label for="q" { "Find a target, group, topic or stream" }
                input #q type="search" name="q" value=(query.q) autocomplete="off" spellcheck="false";
            }
            (select("namespace", "Namespace", &namespaces, &query.namespace))
            (select("policy", "Policy", &policies, &query.policy))
            (select("cluster", "Cluster or account", &clusters, &query.cluster))
            @for (name, value) in [("state", &query.state), ("cause", &query.cause), ("sort", &query.sort)] {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            button { "Apply" }
        }
    }
}

fn select(name: &str, label: &str, choices: &BTreeSet<&str>, chosen: &str) -> Markup {
    let unknown = !chosen.is_empty() && !choices.contains(chosen);
    html! {
        div {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "All " (number(choices.len())) }
                @for choice in choices { option selected[*choice == chosen] { (choice) } }
                @if unknown { option selected { (chosen) } }
            }
        }
    }
}

fn live(summaries: &[Summary<'_>], query: &Query, selection: &Selection<'_>, window: f64, clock: Clock) -> Markup {
    html! {
        @if query.filters() && !selection.targets.is_empty() {
            p.found { b { (number(selection.found)) } " of " (number(summaries.len())) " targets. " a href="/" { "Show all" } }
        }
        @if selection.targets.is_empty() {
            p.card.soft {
                @if summaries.is_empty() {
                    "No source has been queried yet. A target appears with KEDA's first request for it, and is removed ten \
                     minutes after the last."
                } @else {
                    "No target matches. " a href="/" { "Show all" }
                }
            }
        } @else {
            div.card.table {
                (table(query, selection, window, clock))
                (pager(query, selection))
            }
        }
    }
}

fn pager(query: &Query, selection: &Selection<'_>) -> Markup {
    let Selection { page, pages, found, .. } = *selection;
    let first = (page - 1) * ON_A_PAGE + 1;
    let to = |page: usize| query.with("page", &page.to_string());
    html! {
        nav.pages aria-label="Pages of targets" {
            span aria-current="page" {
                (number(first)) "–" (number(found.min(first + ON_A_PAGE - 1))) " of " (number(found))
                @if query.sort.is_empty() { ", worst first" }
            }
            span {
                @if page > 1 { a rel="prev" href=(to(page - 1)) { "Previous " (number(ON_A_PAGE)) } }
                @if page < pages { " " a rel="next" href=(to(page + 1)) { "Next " (number(ON_A_PAGE.min(found - page * ON_A_PAGE))) } }
            }
        }
    }
}

pub(super) fn number(count: usize) -> String {
    whole(crate::lag::flow::count(count))
}
