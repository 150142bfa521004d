//! The playground's page: both worlds, live, in one look with the scaler's own pages.

mod plot;
mod sheet;
mod style;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Json};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::arrivals::Course;
use super::periods::Periods;
use super::world::World;

/// Nothing but our own script, our own style, and requests to ourselves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What the page is about.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) worlds: Arc<[World; 2]>,
    pub(super) periods: Periods,
    pub(super) course: Course,
    /// Where the scaler's own pages are.
    pub(super) scaler: SocketAddr,
}

#[derive(Deserialize)]
struct Asked {
    /// Only what changes is wanted.
    fragment: Option<String>,
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, page: Page) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(show))
        .route("/state", get(state))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], style::SHEET.as_str())))
        .route("/live.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], style::SCRIPT)))
        .with_state(page);
    axum::serve(listener, router).await
}

async fn show(State(page): State<Page>, Query(asked): Query<Asked>) -> impl IntoResponse {
    let markup = if asked.fragment.is_some() { sheet::live(&page) } else { sheet::document(&page) };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(markup.into_string()))
}

/// The numbers for programs.
async fn state(State(page): State<Page>) -> Json<Value> {
    let told = page.worlds.iter().map(|world| json!({"name": world.plan.name, "tally": world.state().tally}));
    Json(told.collect())
}
