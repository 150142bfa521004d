//! The connections of operators: so many in all and of each address, and none for longer than it needs.

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

/// A request's head has to be complete within this time, and the next one to begin.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Address and headers together; a longer head is answered with 431.
const LARGEST_HEAD: usize = 16 << 10;

/// Then a connection ends after the answer that is under way.
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

/// Whoever has not read an answer by then is cut off.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// When the system has no more sockets.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Serves `router` for ever.
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
    // how a connection ends is its caller's concern
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(LONGEST_CONNECTION) => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(LAST_ANSWER, connection).await;
}

/// Says why, as far as the socket takes it at once.
fn refuse(stream: TcpStream, full: &QuotaExceeded) {
    let text = format!("{full}; {}\n", full.limit.remedy());
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ";
    let answer = format!("{head}{}\r\n\r\n{text}", text.len());
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(answer.as_bytes()));
}
