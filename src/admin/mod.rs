//! HTTP for operators: metrics, probes, and what is known of each target, as JSON and as a page.
//!
//! Trouble of a source never fails a probe: a restart would only lose what is remembered.

mod page;
mod samples;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::samples::{Filter, Samples};
use crate::lag::Observe;
use crate::limits::{Allowance, Bounds, Limit};
use crate::page::{SCRIPT, script};
use crate::sampler::Sampler;
use crate::telemetry::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Ready from the start, until the drain begins.
#[derive(Clone, Debug)]
pub struct Readiness(CancellationToken);

impl Readiness {
    /// Ready until `drain` is cancelled.
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

/// Serves on `listener` for ever, within these bounds of connections.
///
/// # Errors
/// None.
pub async fn serve<O: Observe>(
    listener: TcpListener,
    sampler: Sampler<O>,
    metrics: Arc<Metrics>,
    connections: Bounds,
    readiness: Readiness,
) -> anyhow::Result<()> {
    let (in_all, each) = (Limit::HttpConnections, Limit::HttpConnectionsPerAddress);
    let connections = Allowance::new(connections, in_all, each, &metrics.limits);
    let router = Router::new()
        .route("/metrics", get(exposition::<O>))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz::<O>))
        .route("/samples", get(samples::<O>))
        .route("/", get(page::targets::<O>))
        .route("/targets/{id}", get(page::target::<O>))
        .route(SCRIPT, get(script))
        .with_state(Arc::new(Context { sampler, metrics, readiness }));
    server::serve(listener, router, connections).await;
    Ok(())
}

async fn exposition<O: Observe>(State(context): State<Arc<Context<O>>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], context.metrics.render())
}

async fn readyz<O: Observe>(State(context): State<Arc<Context<O>>>) -> impl IntoResponse {
    if context.readiness.0.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn samples<O: Observe>(State(context): State<Arc<Context<O>>>, Query(filter): Query<Filter>) -> Json<Samples> {
    Json(Samples::new(context.sampler.view(), &filter))
}
