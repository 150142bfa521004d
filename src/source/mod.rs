//! Thin adapters: each asks one backend what it knows and answers completely or with an error.
//!
//! [`Sources`] is the observer of the sampler: it checks what a namespace may use, finds the client, and passes the round on.

mod admission;
mod aws;
mod connections;
pub mod kafka;
mod metadata_rules;
mod pattern;
pub mod probe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use admission::Backend;
use admission::{Admission, Service};
use aws::AwsClient;
pub use connections::{Connections, ConnectionsError};
use kafka::KafkaClient;

use crate::lag::{Observe, Report, SourceError, SourceErrorKind};
use crate::telemetry::UpstreamMetrics;
use crate::trigger::SourceRef;

/// Reads every kind of source.
pub struct Sources {
    admission: Arc<Admission>,
    clients: Mutex<HashMap<Backend, Client>>,
    metrics: UpstreamMetrics,
}

/// What asks a backend.
#[derive(Clone)]
enum Client {
    Kafka(Arc<KafkaClient>),
    Aws(Arc<AwsClient>),
}

/// Replaces the rules of a running [`Sources`].
#[derive(Clone)]
pub struct ConnectionsHandle(Arc<Admission>);

impl Sources {
    /// Sources under these rules.
    #[must_use]
    pub fn new(connections: Connections, metrics: UpstreamMetrics) -> Self {
        Self { admission: Arc::new(Admission::new(connections)), clients: Mutex::default(), metrics }
    }

    /// For whoever watches the connections file.
    #[must_use]
    pub fn connections(&self) -> ConnectionsHandle {
        ConnectionsHandle(self.admission.clone())
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Backend, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, backend: &Backend) -> Result<Client, SourceError> {
        let mut clients = self.clients();
        if let Some(client) = clients.get(backend) {
            return Ok(client.clone());
        }
        let client = match backend.service() {
            Service::Kafka { bootstrap_servers, security, reach } => {
                Client::Kafka(Arc::new(KafkaClient::new(bootstrap_servers, security, *reach, &self.metrics)?))
            }
            Service::Aws(identity) => Client::Aws(Arc::new(AwsClient::new(identity.clone(), self.metrics.clone()))),
        };
        clients.insert(backend.clone(), client.clone());
        Ok(client)
    }
}

impl ConnectionsHandle {
    /// From now on these rules hold; tells whether they differ from those before.
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
            self.client(backend)
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
        self.clients().remove(backend);
    }
}
