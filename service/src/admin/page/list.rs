//! `/`: all targets, fifty per page.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::framed;
use super::names::{self, Names};
use super::parts;
use crate::page::Page;
use crate::page::plot::{Measure, Spark};
use crate::page::text::{encoded, time, whole};
use crate::sampler::{CallerView, Judged, TargetView, ViewState};

/// The number of targets per page.
const ON_A_PAGE: usize = 50;
/// The number of objects shown beside a target; the target's own page shows all of them.
const CALLERS: usize = 3;

/// Selects the targets, and how much of the page to render.
#[derive(Debug, Default, Deserialize)]
pub(in crate::admin) struct Query {
    /// Only targets whose description, or an object that queries them, contains this text.
    #[serde(default)]
    q: String,
    /// The page number, from 1; a value that is not a number selects the first page.
    page: Option<String>,
    fragment: Option<String>,
}

/// The targets of one page of the list.
struct Selection<'a> {
    targets: Vec<&'a TargetView>,
    found: usize,
    page: usize,
    pages: usize,
}

impl Query {
    pub(super) const fn is_for_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    fn finds(&self, view: &TargetView) -> bool {
        let wanted = self.q.trim().to_lowercase();
        let contains = |text: &str| text.to_lowercase().contains(&wanted);
        let caller = |caller: &CallerView| contains(&format!("{}/{}", caller.namespace, caller.name));
        wanted.is_empty() || contains(&view.source.to_string()) || view.callers.shown.iter().any(caller)
    }

    /// Failing targets come first, the others are ordered by name.
    fn select<'a>(&self, views: &'a [TargetView]) -> Selection<'a> {
        let found = views.iter().filter(|view| self.finds(view));
        let mut found: Vec<_> =
            found.map(|view| (view.state.failure().is_none(), view.source.to_string(), view)).collect();
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let pages = found.len().div_ceil(ON_A_PAGE).max(1);
        let page = self.page.as_deref().and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, pages);
        let targets = found.iter().skip((page - 1) * ON_A_PAGE).take(ON_A_PAGE).map(|(_, _, view)| *view);
        Selection { targets: targets.collect(), found: found.len(), page, pages }
    }

    fn address(&self, page: usize) -> String {
        if self.q.is_empty() { format!("/?page={page}") } else { format!("/?q={}&page={page}", encoded(&self.q)) }
    }
}

pub(super) fn page(views: &[TargetView], query: &Query) -> Page {
    let selection = query.select(views);
    framed(
        StatusCode::OK,
        "Targets",
        html! {
            form.search role="search" action="/" method="get" {
                label for="q" { "Find a group, stream or ScaledObject" }
                input #q type="search" name="q" value=(query.q) autocomplete="off" spellcheck="false";
                button { "Find" }
            }
        },
        live(views, query, &selection),
    )
}

fn live(views: &[TargetView], query: &Query, selection: &Selection<'_>) -> Markup {
    let count = |wanted: fn(&ViewState) -> bool| views.iter().filter(|view| wanted(&view.state)).count();
    let failing = count(|state| matches!(state, ViewState::Failing { .. }));
    let pending = count(|state| matches!(state, ViewState::Pending));
    html! {
        div.top {
            h1 { "Targets" }
            p.counts {
                b { (number(views.len())) } " total"
                @if failing > 0 { " · " b.failing { (number(failing)) " failing" } }
                @if pending > 0 { " · " b { (number(pending)) } " waiting" }
                @if selection.found != views.len() { " · " b { (number(selection.found)) } " found" }
            }
        }
        @if selection.targets.is_empty() {
            p.none {
                @if views.is_empty() {
                    "No source has been queried yet. A target appears with KEDA's first request for it, and is removed ten \
                     minutes after the last."
                } @else {
                    "No target matches. " a href="/" { "Show all" }
                }
            }
        } @else {
            (table(selection))
            @if selection.pages > 1 { (pager(query, selection)) }
        }
    }
}

fn table(selection: &Selection<'_>) -> Markup {
    html! {
        table.targets role="table" {
            caption { "Observed sources, their ScaledObjects, and the values that KEDA gets" }
            thead role="rowgroup" {
                tr role="row" {
                    @for (class, title) in [("", "Source"), ("", "Last 30 minutes"), ("n", "Behind"), ("n", "Read"), ("", "ScaledObject"),
                        ("", "Policy"), ("n", "Value"), ("n", "Target"), ("n", "Replicas"), ("", "Active")] {
                        th class=(class) scope="col" role="columnheader" { (title) }
                    }
                }
            }
            @for view in &selection.targets { (target(view)) }
        }
    }
}

fn target(view: &TargetView) -> Markup {
    let names = Names::of(&view.source);
    let id = names::id(&view.source);
    let callers: Vec<_> = view.callers.shown.iter().take(CALLERS).map(|caller| (caller, view.judge(caller))).collect();
    let more = view.callers.shown.len() - callers.len() + view.callers.more;
    // errors that the source's own failure does not explain
    let refused = callers.iter().filter_map(|(caller, judged)| match judged {
        Judged::Failed { error, .. } if view.state.failure().is_none() => Some((caller, error)),
        _ => None,
    });
    let failure = view.state.failure();
    let rows = callers.len().max(1) + usize::from(more > 0);
    let (what, unit, measure) = names::behind(&view.source);
    let course = parts::course(view, |_, point| point.behind);
    let behind = view.state.sample().and_then(|(sample, _)| sample.facts.behind.number()).unwrap_or(f64::NAN);
    let unit = if behind.is_finite() && measure == Measure::Number { unit } else { "" };
    let behind = measure.text(behind);
    let class = if failure.is_some() { "failing" } else { "" };
    html! {
        tbody #{ "t" (id) } class=(class) role="rowgroup" {
            tr role="row" {
                th.source scope="rowgroup" role="rowheader" rowspan=(rows) {
                    a href={ "/targets/" (id) } { (names.name) }
                    span.more { (names.kind) " · " (names.more) }
                }
                td.course role="cell" rowspan=(rows) { (Spark { points: &course, measure, promise: None, gap_from: None, label: what }.drawing()) }
                td.n role="cell" rowspan=(rows) data-label="Behind" { (behind) " " span.unit { (unit) } }
                td.n role="cell" rowspan=(rows) data-label="Read" {
                    @match view.state.sample() { Some((_, age)) => { (time(age.as_secs_f64())) " ago" } None => "not yet" }
                }
                @match callers.first() { Some((caller, judged)) => (cells(caller, judged)), None => (nobody()) }
            }
            @for (caller, judged) in callers.iter().skip(1) { tr.also role="row" { (cells(caller, judged)) } }
            @if more > 0 {
                tr.also role="row" { td.rest role="cell" colspan="6" { a href={ "/targets/" (id) } { "and " (number(more)) " more" } } }
            }
            @for (caller, error) in refused {
                tr.error role="row" {
                    td role="cell" colspan="10" {
                        p.whose { (caller.namespace) "/" (caller.name) }
                        (parts::failure(error, None, None))
                    }
                }
            }
            @if let Some((error, failing_for)) = failure {
                tr.error role="row" {
                    td role="cell" colspan="10" { (parts::failure(error, Some(failing_for), view.state.sample().map(|(_, age)| age))) }
                }
            }
        }
    }
}

fn cells(caller: &CallerView, judged: &Judged) -> Markup {
    let policy = &*caller.policy;
    let numbers = judged.decision().map_or_else(
        || ["–", "–", "–"].map(str::to_owned),
        |decision| {
            let [value, target] = [decision.value, decision.target].map(|one| parts::quantity(policy, one));
            [value, target, parts::replicas(policy, decision)]
        },
    );
    let class = if matches!(judged, Judged::Valued(_)) { "n" } else { "n old" };
    html! {
        td.object role="cell" data-label="ScaledObject" { span.namespace { (caller.namespace) "/" } wbr; (caller.name) }
        td role="cell" data-label="Policy" { (names::policy(policy)) }
        @for (label, number) in ["Value", "Target", "Replicas"].iter().zip(&numbers) {
            td class=(class) role="cell" data-label=(label) { (number) }
        }
        td role="cell" data-label="Active" { (parts::active(judged)) }
    }
}

fn nobody() -> Markup {
    html! { td.rest role="cell" colspan="6" { "queried without a ScaledObject" } }
}

fn pager(query: &Query, selection: &Selection<'_>) -> Markup {
    let Selection { page, pages, found, .. } = *selection;
    let first = (page - 1) * ON_A_PAGE + 1;
    html! {
        nav.pager aria-label="Pages of targets" {
            @if page > 1 { a rel="prev" href=(query.address(page - 1)) { "Previous" } } @else { span { "Previous" } }
            span aria-current="page" { (number(first)) "–" (number(found.min(first + ON_A_PAGE - 1))) " of " (number(found)) }
            @if page < pages { a rel="next" href=(query.address(page + 1)) { "Next" } } @else { span { "Next" } }
        }
    }
}

fn number(count: usize) -> String {
    whole(crate::lag::flow::count(count))
}
