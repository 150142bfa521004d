//! The playground's page: both worlds, live, in the style of the scaler's own pages.

mod sheet;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{Json, Response};
use axum::routing::get;
use keda_stream_scaler::page::{self, PageStyle, SCRIPT, script};
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::arrivals::Course;
use super::periods::Periods;
use super::world::World;

/// The style that the scaler's own pages have too.
static LOOK: LazyLock<PageStyle> = LazyLock::new(|| PageStyle::with(include_str!("playground.css")));

/// The content of the page.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) worlds: Arc<[World; 2]>,
    pub(super) periods: Periods,
    pub(super) course: Course,
    /// The address of the scaler's own pages.
    pub(super) scaler: SocketAddr,
}

#[derive(Deserialize)]
struct Asked {
    /// Present if only the part that changes is requested.
    fragment: Option<String>,
}

/// Serves the page forever.
pub(super) async fn serve(listener: TcpListener, page: Page) -> std::io::Result<()> {
    let router =
        Router::new().route("/", get(show)).route("/state", get(state)).route(SCRIPT, get(script)).with_state(page);
    axum::serve(listener, router).await
}

async fn show(State(page): State<Page>, Query(asked): Query<Asked>) -> Response {
    let (title, links) = ("Playground".to_owned(), sheet::links(&page));
    let (still, live) = (sheet::still(&page), sheet::live(&page));
    let (lead, every) = (html! {}, Duration::from_secs(1));
    page::Page { look: &LOOK, status: StatusCode::OK, title, links, lead, still, live, every }
        .answer(asked.fragment.is_some())
}

/// Serves the numbers as JSON.
async fn state(State(page): State<Page>) -> Json<Value> {
    let told = page.worlds.iter().map(|world| json!({"name": world.plan.name, "tally": world.state().tally}));
    Json(told.collect())
}
