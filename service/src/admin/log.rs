//! `/log`: shows and changes the log filter while the process runs.
//!
//! Only callers on this machine have access, as `kubectl port-forward` connects them: anyone else who reaches the port must not be
//! able to fill a disk or silence an alarm.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::telemetry::LogFilter;

/// The largest filter in bytes; a filter is one line.
const LONGEST_FILTER: usize = 4096;

pub(super) fn routes(filter: LogFilter) -> Router {
    Router::new()
        .route("/log", get(show).put(change))
        .layer(DefaultBodyLimit::max(LONGEST_FILTER))
        .layer(from_fn(from_this_machine))
        .with_state(filter)
}

async fn from_this_machine(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if is_local(peer) {
        return next.run(request).await;
    }
    let what = "only callers on this machine may see and change the log filter; use kubectl port-forward\n";
    (StatusCode::FORBIDDEN, what).into_response()
}

/// Returns whether the peer is on this machine. A listener for both families sees IPv4 callers as mapped addresses.
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

async fn show(State(filter): State<LogFilter>) -> Result<String, (StatusCode, String)> {
    filter.get().map(line).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, line(error)))
}

async fn change(State(filter): State<LogFilter>, wanted: String) -> Result<String, (StatusCode, String)> {
    filter.set(wanted.trim()).map_err(|error| (StatusCode::BAD_REQUEST, line(error)))?;
    show(State(filter)).await
}

fn line(text: String) -> String {
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_local_by_its_address_in_either_family() {
        for (peer, expected) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.7:1", false),
            ("[::ffff:10.0.0.7]:1", false),
            ("[fe80::1]:1", false),
        ] {
            assert_eq!(is_local(peer.parse().unwrap()), expected, "{peer}");
        }
    }
}
