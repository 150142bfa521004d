//! The table of targets. On a phone each row is a card, in which a cell without a value has no place.

use std::collections::HashSet;

use maud::{Markup, html};

use super::causes::counted;
use super::list::number;
use super::names::{self, Names};
use super::parts;
use super::query::{Column, Query, Selection};
use super::state::State;
use super::summary::{Summary, replicas};
use crate::page::Clock;
use crate::page::plot::{Measure, Spark, percent};
use crate::page::text::{ago, float, time, whole};

/// The number of further callers that a row names; the target's own page shows all of them.
const NAMED: usize = 2;
/// The end of the bar of an age, as a multiple of the promise.
const BAR: f64 = 1.5;

const COLUMNS: [(Option<Column>, &str, &str); 8] = [
    (Some(Column::State), "", "State"),
    (Some(Column::Target), "", "Target"),
    (Some(Column::Policy), "", "Policy"),
    (Some(Column::Age), "", "Oldest record"),
    (Some(Column::Lag), "n", "Lag"),
    (None, "", ""),
    (Some(Column::Replicas), "n", "Replicas"),
    (Some(Column::Read), "n", "Last read"),
];

pub(super) fn table(query: &Query, selection: &Selection<'_>, window: f64, clock: Clock) -> Markup {
    html! {
        table.targets role="table" {
            caption.sr { "Targets with their state, the age of their oldest record, lag and replicas" }
            thead role="rowgroup" {
                tr role="row" { @for (column, class, title) in COLUMNS { (head(query, column, class, title, window)) } }
            }
            tbody role="rowgroup" { @for summary in &selection.targets { (row(summary, window, clock)) } }
        }
    }
}

fn head(query: &Query, column: Option<Column>, class: &str, title: &str, window: f64) -> Markup {
    let Some(column) = column else {
        return html! { th scope="col" role="columnheader" { "Last " (parts::period(window)) } };
    };
    let direction = query.direction(column);
    html! {
        th class=(class) scope="col" role="columnheader" aria-sort=[direction] {
            a href=(query.sorted(column)) { (title) }
        }
    }
}

fn row(summary: &Summary<'_>, window: f64, clock: Clock) -> Markup {
    let (state, id) = (summary.state, names::id(&summary.view.source));
    html! {
        tr #{ "t" (id) } role="row" {
            td class={ "st " (state.look().class) } role="cell" { (state.sign()) (state.look().word) }
            th scope="row" role="rowheader" { (name(summary, &id)) }
            (policy(summary))
            (age(summary, clock))
            (lag(summary))
            td.sp role="cell" { (spark(summary, window)) }
            @match summary.decision() {
                Some(_) => td.n.strong role="cell" data-label="Replicas" { (replicas(summary)) },
                None => td.n.none role="cell" { span.soft { "no value" } },
            }
            (read(summary))
        }
    }
}

fn name(summary: &Summary<'_>, id: &str) -> Markup {
    let lead = summary.lead.as_ref().map(|(lead, _)| *lead);
    let names = Names::of(&summary.view.source);
    let others = summary
        .callers()
        .filter(|caller| lead.is_none_or(|lead| (&lead.namespace, &lead.name) != (&caller.namespace, &caller.name)));
    let others: Vec<_> = others.map(|caller| format!("{}/{}", caller.namespace, caller.name)).collect();
    let more = others.len().saturating_sub(NAMED) + summary.view.callers.more;
    html! {
        a href={ "/targets/" (id) } {
            @match lead {
                Some(lead) => { span.soft { (lead.namespace) "/" } wbr; (lead.name) }
                None => (names.name),
            }
        }
        @if !others.is_empty() || more > 0 {
            small {
                "and "
                @for (index, other) in others.iter().take(NAMED).enumerate() { @if index > 0 { ", " } (other) }
                @if more > 0 { @if !others.is_empty() { " and " } (number(more)) " more" }
            }
        }
        small {
            @for part in names.parts(lead) { span.part { (part) " ·" } " " }
            span.part { (names::short_place(&summary.place)) }
        }
    }
}

fn policy(summary: &Summary<'_>) -> Markup {
    let distinct: HashSet<_> = summary.callers().map(|caller| &caller.policy).collect();
    html! {
        @match &summary.lead {
            Some((lead, _)) => td role="cell" data-label="Policy" {
                code { (names::goal(&lead.policy)) }
                @if distinct.len() > 1 { small.soft { " and " (number(distinct.len() - 1)) " more" } }
            },
            None => td.none role="cell" { span.soft { "none" } },
        }
    }
}

fn age(summary: &Summary<'_>, clock: Clock) -> Markup {
    let promise = summary.promise;
    let last_read = summary.view.state.sample().map(|(_, age)| age);
    html! {
        @match (summary.age, last_read) {
            (Some(age), Some(read)) if summary.state == State::Failing => td.soft.age-cell role="cell" data-label="Oldest record" {
                (time(age)) " at " (clock.ago(read))
            },
            (Some(age), _) => td.age-cell role="cell" data-label="Oldest record" {
                div.age {
                    span {
                        @if summary.state == State::Over { b.warn { (time(age)) } } @else { (time(age)) }
                        @if let Some(promise) = promise { span.soft { " of " (time(promise)) } }
                    }
                    @if let Some(promise) = promise { (bar(age, promise)) }
                }
            },
            (None, _) => td.age-cell.none role="cell" { span.soft { "not measured" } },
        }
    }
}

/// Draws an age against the promise.
fn bar(age: f64, promise: f64) -> Markup {
    let share = (age / (promise * BAR)).clamp(0.0, 1.0);
    let limit = 1.0 / BAR;
    html! {
        svg height="8" aria-hidden="true" {
            rect.track width="100%" height="8" rx="2" {}
            rect.in width=(percent(share.min(limit))) height="8" rx="2" {}
            @if share > limit { rect.ov x=(percent(limit)) width=(percent(share - limit)) height="8" {} }
            line.tick x1=(percent(limit)) x2=(percent(limit)) y1="-2" y2="10" {}
        }
    }
}

fn lag(summary: &Summary<'_>) -> Markup {
    let without = usize::try_from(summary.without_commit).unwrap_or(usize::MAX);
    let class = if summary.state == State::Failing { "soft" } else { "" };
    html! {
        @match summary.lag {
            Some(lag) => td.n role="cell" data-label="Lag" {
                span class=(class) { (whole(float(lag))) }
                @if without > 0 { small.soft { "+ " (counted(without, "partition")) " without a commit" } }
            },
            None if without > 0 => td.n role="cell" data-label="Lag" {
                small.soft { (counted(without, "partition")) " without a commit" }
            },
            None => td.n.none role="cell" { span.soft title="The lag of this source is not counted in records" { "none" } },
        }
    }
}

/// Draws the age of the oldest record where it is measured, or else the lag.
fn spark(summary: &Summary<'_>, window: f64) -> Markup {
    let view = summary.view;
    let (what, measure, of) = names::backlog(&view.source);
    let ages = parts::course(view, window, parts::ages(view));
    let (what, measure, points) = if ages.iter().any(|(_, age)| age.is_finite()) {
        ("Oldest record", Measure::Seconds, ages)
    } else {
        (what, measure, parts::course(view, window, |_, point| of(point)))
    };
    if points.iter().all(|(_, number)| !number.is_finite()) {
        let why = if view.state.sample().is_some() { "lag not known" } else { "no reading yet" };
        return html! { span.soft.small { (why) } };
    }
    let promise = summary.promise.filter(|_| measure == Measure::Seconds);
    let failing_for = view.state.failure().map(|(_, failing_for)| failing_for.as_secs_f64());
    let gap_from = failing_for.map(|seconds| 1.0 - seconds / window);
    let label = format!("{what}, last {}", parts::period(window));
    Spark { points: &points, measure, promise, gap_from, label: &label }.drawing()
}

fn read(summary: &Summary<'_>) -> Markup {
    let class = if summary.view.state.failure().is_some() { "bad" } else { "soft" };
    html! {
        td class={ "n read " (class) } role="cell" {
            @match summary.view.state.sample() {
                Some((_, age)) => (ago(age.as_secs_f64())),
                None => "never",
            }
        }
    }
}
