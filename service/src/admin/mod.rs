//! HTTP for operators: metrics, probes, and the state of each target, as JSON and as a page.
//!
//! A source failure never fails a probe: a restart would only lose what the process remembers.

mod log;
mod page;
mod samples;
mod series;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::samples::{Filter, Samples};
pub use self::series::{LiveSeries, MOST_TRIGGERS};
use crate::lag::Observe;
use crate::limits::{Bounds, Limit, Quota};
use crate::page::{SCRIPT, script};
use crate::sampler::Sampler;
use crate::telemetry::{Exposition, LogFilter, Metrics};

/// The readiness of the process: ready from the start until the drain begins.
#[derive(Clone, Debug)]
pub struct Readiness(CancellationToken);

impl Readiness {
    /// Creates a readiness that lasts until `drain` is cancelled.
    #[must_use]
    pub const fn new(drain: CancellationToken) -> Self {
        Self(drain)
    }
}

struct Context<O: Observe> {
    sampler: Sampler<O>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// Serves on `listener` forever, within these connection limits. `/log` exists only if `log` is given.
///
/// # Errors
/// This function never returns an error.
pub async fn serve<O: Observe>(
    listener: TcpListener,
    sampler: Sampler<O>,
    metrics: Arc<Metrics>,
    connections: Bounds,
    readiness: Readiness,
    log: Option<LogFilter>,
) -> anyhow::Result<()> {
    let (total, each) = (Limit::HttpConnections, Limit::HttpConnectionsPerAddress);
    let connections = Quota::new(connections, total, each, &metrics.limits);
    let mut router = Router::new()
        .route("/metrics", get(exposition::<O>))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz::<O>))
        .route("/samples", get(samples::<O>))
        .route("/", get(page::targets::<O>))
        .route("/targets/{id}", get(page::target::<O>))
        .route(SCRIPT, get(script))
        .with_state(Arc::new(Context { sampler, metrics, readiness }));
    if let Some(log) = log {
        router = router.merge(log::routes(log));
    }
    server::serve(listener, router, connections).await;
    Ok(())
}

async fn exposition<O: Observe>(State(context): State<Arc<Context<O>>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.into_iter().any(|accepted| accepted.contains("application/openmetrics-text"));
    let exposition = if open { Exposition::OpenMetrics } else { Exposition::Text };
    // rendering thousands of series takes time, and answers to KEDA must not wait for it
    match tokio::task::spawn_blocking(move || context.metrics.render(exposition)).await {
        Ok(text) => ([(header::CONTENT_TYPE, exposition.media_type())], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn readyz<O: Observe>(State(context): State<Arc<Context<O>>>) -> impl IntoResponse {
    if context.readiness.0.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn samples<O: Observe>(State(context): State<Arc<Context<O>>>, Query(filter): Query<Filter>) -> Json<Samples> {
    let views = context.sampler.view_of(|source| filter.selects(source));
    Json(Samples::new(&views, context.sampler.refusals(), &filter))
}
