//! The status page: every target, and one of them with its decision in words.
//!
//! Rendered here, without a look at any source. Whatever comes from a source or from metadata is escaped by the templates; nothing
//! that is shown is a secret, because neither a source's description nor a reading holds one.

mod layout;
mod list;
mod names;
mod parts;
mod plot;
mod rows;
mod target;
mod text;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

pub(super) use self::layout::script;
pub(super) use self::names::policy;
use super::Context;
use crate::lag::Observe;

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
    let views = context.sampler.view();
    let page = views.iter().find(|view| names::id(&view.source) == id).map_or_else(target::absent, target::page);
    page.answer(part.fragment.is_some())
}
