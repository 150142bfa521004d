//! The HTTP connections of operators: limited in total and per address, each with a limited lifetime.

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limits::{Permit, Quota, QuotaExceeded};

/// The time within which the head of a request must be complete, and the next request must begin.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The limit in bytes for address and headers together; a longer head gets status 431.
const LARGEST_HEAD: usize = 16 << 10;

/// The maximum lifetime of a connection; it ends after the response in progress.
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

/// A connection whose client has not read the last response within this time is closed.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// The pause before the next accept when the system has no more sockets.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` forever.
pub(super) async fn serve(listener: TcpListener, router: Router, connections: Arc<Quota>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => match connections.acquire(&from.ip().to_canonical().to_string()) {
                    Ok(pass) => drop(open.spawn(converse(stream, router.clone().layer(Extension(ConnectInfo(from))), pass))),
                    Err(full) => refuse(stream, &full),
                },
                Err(error) => {
                    tracing::warn!(%error, "could not accept an HTTP connection");
                    sleep(ACCEPT_AGAIN).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, router: Router, _pass: Permit) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(LARGEST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // how a connection ends matters only to its caller
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(LONGEST_CONNECTION) => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(LAST_ANSWER, connection).await;
}

/// Sends the reason, as far as the socket accepts it without waiting.
fn refuse(stream: TcpStream, full: &QuotaExceeded) {
    let text = format!("{full}; {}\n", full.limit.remedy());
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ";
    let answer = format!("{head}{}\r\n\r\n{text}", text.len());
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(answer.as_bytes()));
}
