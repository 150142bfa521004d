//! The layout that all pages share, and the content security policy that browsers enforce.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// The address of [`script`].
pub const SCRIPT: &str = "/live.js";

/// The style of pages, and what browsers allow them to do.
#[derive(Debug)]
pub struct PageStyle {
    sheet: String,
    /// The content security policy: only our own script, our own style, and requests to this server.
    policy: HeaderValue,
}

impl PageStyle {
    /// Creates the common style, extended by these style rules.
    #[must_use]
    pub fn with(more: &str) -> Self {
        let sheet = [include_str!("style.css"), more].concat();
        let hash = STANDARD.encode(Sha256::digest(&sheet));
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'sha256-{hash}'; connect-src 'self'; img-src data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { sheet, policy }
    }
}

/// A page, or only the part of it that changes.
#[derive(Debug)]
pub struct Page {
    /// The style of the page.
    pub look: &'static PageStyle,
    /// The status code of the response.
    pub status: StatusCode,
    /// The title in the browser's title bar.
    pub title: String,
    /// The links to other pages.
    pub links: Markup,
    /// The first content, which is fetched again every few seconds.
    pub lead: Markup,
    /// Content that is not refreshed, such as inputs a person may be typing into.
    pub still: Markup,
    /// Further content that is fetched again every few seconds.
    pub live: Markup,
    /// The time between two refreshes.
    pub every: Duration,
}

impl Page {
    /// Renders the page; for a `fragment` only the part that changes.
    #[must_use]
    pub fn answer(self, fragment: bool) -> Response {
        let body = if fragment { self.refreshed().into_string() } else { document(&self).into_string() };
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.look.policy.clone()),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (self.status, headers, body).into_response()
    }

    /// Renders the parts that change; the script finds each by its id.
    fn refreshed(&self) -> Markup {
        html! {
            div #lead { (self.lead) }
            div #live { (self.live) }
        }
    }
}

/// Serves the script that refreshes the part that changes.
pub async fn script() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, include_str!("live.js")).into_response()
}

fn document(page: &Page) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · keda-stream-scaler" }
                link rel="icon" href="data:,";
                style { (PreEscaped(&page.look.sheet)) }
                noscript { meta http-equiv="refresh" content="10"; }
                script src=(SCRIPT) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    a.home href="/" { "keda-stream-scaler " small { (env!("CARGO_PKG_VERSION")) } }
                    nav aria-label="Pages" {
                        (page.links)
                    }
                    p #connection role="status" { noscript { "Refreshed every 10 s" } }
                }
                main #main data-every=(page.every.as_millis()) {
                    div #lead { (page.lead) }
                    (page.still)
                    div #live { (page.live) }
                }
            }
        }
    }
}
