//! Adapters: each reads one backend and returns a complete result or an error.
//!
//! [`Sources`] is the observer of the sampler: it checks what a namespace may use, finds the client, and passes the round on.

pub mod aws;
pub mod kafka;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;

use aws::AwsClient;
use kafka::KafkaClient;
use parking_lot::Mutex;

use tokio::sync::OnceCell;

use crate::lag::{Observe, Report, SourceError, SourceErrorKind};
use crate::telemetry::UpstreamMetrics;
use crate::tenancy::{Admission, Backend, Connections, Service};
use crate::trigger::{AwsIdentity, SourceRef};

/// Reads every kind of source.
pub struct Sources {
    admission: Arc<Admission>,
    /// The clients; each is set once it has been created.
    clients: Mutex<HashMap<Backend, Arc<OnceCell<Client>>>>,
    metrics: UpstreamMetrics,
}

/// A client of one backend.
#[derive(Clone)]
enum Client {
    Kafka(Arc<KafkaClient>),
    Aws(Arc<AwsClient>),
}

/// Replaces the rules of a running [`Sources`].
#[derive(Clone)]
pub struct ConnectionsHandle(Arc<Admission>);

/// An error with all of its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // the credentials chain prints each of its attempts on a line of its own
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

impl Sources {
    /// Creates the sources under these rules.
    #[must_use]
    pub fn new(connections: Connections, metrics: UpstreamMetrics) -> Self {
        Self { admission: Arc::new(Admission::new(connections)), clients: Mutex::default(), metrics }
    }

    /// Returns the handle with which the watcher of the connections file replaces the rules.
    #[must_use]
    pub fn connections(&self) -> ConnectionsHandle {
        ConnectionsHandle(self.admission.clone())
    }

    async fn client(&self, backend: &Backend) -> Result<Client, SourceError> {
        let client = self.clients.lock().entry(backend.clone()).or_default().clone();
        let (backend, metrics) = (backend.clone(), self.metrics.clone());
        client.get_or_try_init(|| Client::open(backend, metrics)).await.cloned()
    }
}

impl Client {
    /// Creates a client off the async worker thread: it reads files and starts threads.
    async fn open(backend: Backend, metrics: UpstreamMetrics) -> Result<Self, SourceError> {
        let name = format!("could not set up the client of {backend:?}");
        let opened = tokio::task::spawn_blocking(move || match backend.service() {
            Service::Kafka { bootstrap_servers, security, reach } => {
                Ok(Self::Kafka(Arc::new(KafkaClient::new(bootstrap_servers, security, *reach, &metrics)?)))
            }
            Service::Aws(identity) => Ok(Self::Aws(Arc::new(AwsClient::new(identity.clone(), metrics)))),
        });
        opened.await.unwrap_or_else(|error| Err(SourceError::new(SourceErrorKind::Broken, name).because(error)))
    }
}

impl ConnectionsHandle {
    /// Returns the maximum shard count that an object of `namespace` may give a stream of this name; `None` where it may not resize it.
    #[must_use]
    pub fn max_shards(&self, namespace: &str, stream: &str) -> Option<u32> {
        self.0.max_shards(namespace, stream)
    }

    /// Returns the identity with which the stream of `source` is called for an object of `namespace`.
    ///
    /// # Errors
    /// Returns an error when the rules do not allow it.
    pub fn identity(&self, namespace: &str, source: &SourceRef) -> Result<AwsIdentity, SourceError> {
        match self.0.admit(namespace, source)?.service() {
            Service::Aws(identity) => Ok(identity.clone()),
            Service::Kafka { .. } => Err(SourceError::misdirected(source, "AWS")),
        }
    }

    /// Returns the names of the connections in force that `connections` lacks, sorted.
    pub(crate) fn missing_in(&self, connections: &Connections) -> Vec<String> {
        self.0.missing_in(connections)
    }

    /// Replaces the rules; returns whether the new ones differ from those before.
    #[must_use]
    pub fn replace(&self, connections: Connections) -> bool {
        self.0.replace(connections)
    }
}

impl Observe for Sources {
    type Backend = Backend;

    fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Backend, SourceError> {
        self.admission.admit(namespace, source)
    }

    async fn observe(&self, backend: &Backend, due: Vec<Arc<SourceRef>>, report: Report) {
        let client = if self.admission.is_current(backend) {
            self.client(backend).await
        } else {
            self.forget(backend);
            Err(SourceError::new(SourceErrorKind::Denied, "the connection was changed or taken away"))
        };
        match client {
            Ok(Client::Kafka(client)) => client.observe(due, &report).await,
            Ok(Client::Aws(client)) => client.observe(due, &report).await,
            Err(error) => due.iter().for_each(|source| report(source, Err(error.clone()))),
        }
    }

    fn is_current(&self, backend: &Backend) -> bool {
        self.admission.is_current(backend)
    }

    fn forget(&self, backend: &Backend) {
        self.clients.lock().remove(backend);
    }
}
