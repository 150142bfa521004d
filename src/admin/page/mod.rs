//! The status page: every target, and one of them with its decision in words.
//!
//! Rendered here, without a look at any source. Whatever comes from a source or from metadata is escaped by the templates; nothing
//! that is shown is a secret, because neither a source's description nor a reading holds one.

mod list;
mod names;
mod parts;
mod rows;
mod target;

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

pub(super) use self::names::{id, policy};
use super::Context;
use crate::lag::Observe;
use crate::page::{Page, PageStyle};

static LOOK: LazyLock<PageStyle> = LazyLock::new(|| PageStyle::with(""));

/// How much of a target's page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Part {
    fragment: Option<String>,
}

pub(super) async fn targets<O: Observe>(
    State(context): State<Arc<Context<O>>>,
    Query(query): Query<list::Query>,
) -> Response {
    list::page(&context.sampler.view(), &query).answer(query.is_for_fragment())
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

/// A page among the others.
fn framed(status: StatusCode, title: &str, still: Markup, live: Markup) -> Page {
    let links = html! {
        a href="/" { "Targets" }
        a href="/samples" { "JSON" }
        a href="/metrics" { "Metrics" }
    };
    Page { look: &LOOK, status, title: title.to_owned(), links, still, live }
}
