//! The status page: the list of targets, and one target with its decision in words.
//!
//! Rendering never reads a source. The templates escape all text from sources and metadata; the page shows no secret, because neither
//! a source's description nor a reading contains one.

mod answer;
mod causes;
mod charts;
mod decisions;
mod gauge;
mod list;
mod names;
mod parts;
mod query;
mod refused;
mod rows;
mod state;
mod steps;
mod summary;
mod table;
mod target;
mod tiles;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

pub(super) use self::names::{id, policy};
use super::Context;
use crate::lag::Observe;
use crate::page::{Page, PageStyle};

static LOOK: LazyLock<PageStyle> = LazyLock::new(|| PageStyle::with(include_str!("status.css")));

/// The time between two refreshes.
const EVERY: Duration = Duration::from_secs(3);

/// Selects the whole page of a target or only the changing part.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Part {
    fragment: Option<String>,
}

/// The content of a page: two live parts around one that is not refreshed.
struct Content {
    lead: Markup,
    still: Markup,
    live: Markup,
}

pub(super) async fn targets<O: Observe>(
    State(context): State<Arc<Context<O>>>,
    Query(query): Query<query::Query>,
) -> Response {
    let (views, refusals) = (context.sampler.view(), context.sampler.refusals());
    list::page(&views, &refusals, context.sampler.up_for(), &query).answer(query.is_for_fragment())
}

pub(super) async fn target<O: Observe>(
    State(context): State<Arc<Context<O>>>,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Response {
    let views = context.sampler.view_of(|source| names::id(source) == id);
    let page = views.first().map_or_else(target::absent, target::page);
    page.answer(part.fragment.is_some())
}

/// Wraps a page in the layout that all pages share.
fn framed(status: StatusCode, title: &str, content: Content) -> Page {
    let links = html! {
        a href="/" aria-current=[(title == "Targets").then_some("page")] { "Targets" }
        a href="/samples" { "JSON" }
        a href="/metrics" { "Metrics" }
    };
    let Content { lead, still, live } = content;
    Page { look: &LOOK, status, title: title.to_owned(), links, lead, still, live, every: EVERY }
}
