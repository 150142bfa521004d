//! A client of the API server: JSON objects by their paths.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Method, StatusCode};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Api {
    http: Client,
    server: String,
}

impl Api {
    /// Authenticates with `admin.crt` of the certificates in `directory`.
    pub fn new(server: &str, directory: &Path) -> Self {
        let read = |name: &str| fs::read(directory.join(name)).unwrap();
        let identity = Identity::from_pem(&[read("admin.crt"), read("admin.key")].concat()).unwrap();
        let authority = Certificate::from_pem(&read("ca.crt")).unwrap();
        let builder = Client::builder().tls_certs_only([authority]).identity(identity).no_proxy().timeout(TIMEOUT);
        Self { http: builder.build().unwrap(), server: server.to_owned() }
    }

    pub async fn is_ready(&self) -> Result<(), String> {
        self.answers("/readyz").await
    }

    /// Whether this path is served by now.
    pub async fn answers(&self, path: &str) -> Result<(), String> {
        let request = self.http.get(format!("{}{path}", self.server)).send();
        match request.await.map(|response| response.status()) {
            Ok(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// The object or list at this path; `None` where there is none.
    pub async fn find(&self, path: &str) -> Option<Value> {
        self.call(Method::GET, path, "application/json", String::new()).await
    }

    /// Creates an object from JSON, or from YAML.
    pub async fn create(&self, collection: &str, object: impl ToString) {
        let created = self.call(Method::POST, collection, "application/yaml", object.to_string()).await;
        assert!(created.is_some(), "there is no {collection}");
    }

    pub async fn create_namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create("/api/v1/namespaces", namespace).await;
    }

    /// What the API server says against an object.
    pub async fn refusal(&self, method: Method, path: &str, object: &Value) -> String {
        let format = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = self.http.request(method, format!("{}{path}", self.server)).header("content-type", format);
        let response = request.body(object.to_string()).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_client_error(), "{path}: {status} {text}");
        text
    }

    /// Merges a patch into an object, if it still exists.
    pub async fn patch(&self, path: &str, patch: &Value) {
        self.call(Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await;
    }

    /// Deletes an object, if it still exists.
    pub async fn delete(&self, path: &str, options: &Value) {
        self.call(Method::DELETE, path, "application/json", options.to_string()).await;
    }

    async fn call(&self, method: Method, path: &str, format: &str, body: String) -> Option<Value> {
        let request = self.http.request(method.clone(), format!("{}{path}", self.server));
        let response = request.header("content-type", format).body(body).send().await;
        let response = response.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        let (status, text) = (response.status(), response.text().await.unwrap());
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// The conditions of an object: type, and status with reason.
pub fn conditions(object: &Value) -> impl Iterator<Item = (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.map(move |one| (text(&one["type"]), format!("{} {}", text(&one["status"]), text(&one["reason"]))))
}
