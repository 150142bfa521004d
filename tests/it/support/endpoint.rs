//! An HTTP endpoint of a few lines, which answers as a test says and keeps what it was asked.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, Uri};

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer of this status; none at all is a server that never says anything.
#[expect(clippy::unnecessary_wraps, reason = "what Endpoint::start wants")]
pub fn says(status: u16, text: &str) -> Option<Response<String>> {
    Some(Response::builder().status(status).body(text.to_owned()).unwrap())
}

/// A running endpoint; it ends with its test's runtime.
pub struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint {
    pub async fn start(answer: impl Fn(&Asked) -> Option<Response<String>> + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let into = asked.clone();
        let handle = move |method, uri: Uri, headers| async move {
            let asked = Asked { method, path: uri.path().to_owned(), headers };
            into.lock().unwrap().push(asked.clone());
            match answer(&asked) {
                Some(answer) => answer.map(Body::from),
                None => pending().await,
            }
        };
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await.unwrap() });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
