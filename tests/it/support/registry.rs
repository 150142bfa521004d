//! A registry of OCI artifacts in memory: as much of the distribution protocol as Helm uses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

/// Content by path, with its media type.
type Store = Arc<Mutex<BTreeMap<String, (String, Bytes)>>>;

pub struct Registry {
    address: SocketAddr,
    store: Store,
}

impl Registry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, store) = (listener.local_addr().unwrap(), Store::default());
        let app = Router::new().fallback(answer).with_state(store.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, store }
    }

    /// The reference of a path in it.
    pub fn named(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// The digest of the manifest that a tag names.
    pub fn digest(&self, name: &str, tag: &str) -> String {
        let store = self.store.lock().unwrap();
        let path = format!("/v2/{name}/manifests/{tag}");
        digest(&store.get(&path).unwrap_or_else(|| panic!("{path} is not among {:?}", store.keys())).1)
    }
}

fn digest(content: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content).as_ref() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

async fn answer(State(store): State<Store>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (path, mut store) = (uri.path(), store.lock().unwrap());
    match method {
        Method::POST => (StatusCode::ACCEPTED, [("location", format!("{path}upload"))]).into_response(),
        Method::PUT => {
            let media = headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
            let found = digest(&body);
            let (folder, _) = path.split_once("/blobs/uploads/").or(path.rsplit_once("/manifests/")).unwrap();
            if path.contains("/manifests/") {
                store.insert(format!("{folder}/manifests/{found}"), (media.clone(), body.clone()));
                store.insert(path.to_owned(), (media, body));
            } else {
                store.insert(format!("{folder}/blobs/{found}"), (media, body));
            }
            (StatusCode::CREATED, [("docker-content-digest", found), ("location", path.to_owned())]).into_response()
        }
        _ if path == "/v2/" => StatusCode::OK.into_response(),
        _ => match store.get(path) {
            Some((media, content)) => {
                let about = [("content-type", media.clone()), ("docker-content-digest", digest(content))];
                (about, content.clone()).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}
