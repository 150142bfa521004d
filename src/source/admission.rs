//! Who may have what read, and by which client. No I/O: it is asked on every call.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use super::connections::{Connection, Connections};
use crate::lag::{SourceError, SourceErrorKind};
use crate::trigger::{ClusterRef, KafkaSecurity, resolve};

/// More different clusters in metadata than this, and what is remembered of them is thrown away.
const MOST_REMEMBERED: usize = 4096;

/// A cluster and an identity: the client that a source needs.
#[derive(Clone)]
pub struct Backend(Arc<Identity>);

struct Identity {
    bootstrap_servers: Vec<String>,
    security: KafkaSecurity,
    name: String,
    /// Made once: secrets and certificates are long, and a backend is looked up on every call.
    hash: u64,
}

/// The rules, and what they have decided.
pub(super) struct Admission {
    rules: RwLock<Rules>,
    hasher: RandomState,
}

struct Rules {
    connections: Connections,
    decided: HashMap<ClusterRef, Result<Backend, SourceError>>,
}

// === impl Backend ===

impl Backend {
    /// The brokers to ask first.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &[String] {
        &self.0.bootstrap_servers
    }

    /// TLS and login.
    #[must_use]
    pub fn security(&self) -> &KafkaSecurity {
        &self.0.security
    }
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        std::ptr::eq(one, other)
            || (one.hash == other.hash
                && one.bootstrap_servers == other.bootstrap_servers
                && one.security == other.security
                && one.name == other.name)
    }
}

impl Eq for Backend {}

impl Hash for Backend {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

// === impl Admission ===

impl Admission {
    pub(super) fn new(connections: Connections) -> Self {
        Self { rules: RwLock::new(Rules { connections, decided: HashMap::new() }), hasher: RandomState::new() }
    }

    pub(super) fn replace(&self, connections: Connections) -> bool {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let differ = rules.connections != connections;
        if differ {
            *rules = Rules { connections, decided: HashMap::new() };
        }
        differ
    }

    /// The client for `cluster`, where `namespace` may use it.
    pub(super) fn admit(&self, namespace: &str, cluster: &ClusterRef) -> Result<Backend, SourceError> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.check(namespace, cluster)?;
        if let Some(decided) = rules.decided.get(cluster) {
            return decided.clone();
        }
        let decided = rules.backend(cluster, &self.hasher);
        drop(rules);
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if rules.decided.len() >= MOST_REMEMBERED {
            rules.decided.clear();
        }
        rules.decided.entry(cluster.clone()).or_insert(decided).clone()
    }

    /// Whether some trigger has this backend under the rules that hold now.
    pub(super) fn is_current(&self, backend: &Backend) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.decided.values().any(|decided| decided.as_ref().is_ok_and(|current| current == backend))
    }
}

impl Rules {
    fn connection(&self, name: &str) -> Result<&Connection, SourceError> {
        self.connections.named(name).ok_or_else(|| {
            denied(format!("there is no connection {name}")).remedy("add it to the scaler's connections file")
        })
    }

    fn check(&self, namespace: &str, cluster: &ClusterRef) -> Result<(), SourceError> {
        if let Some(name) = &cluster.connection {
            if self.connection(name)?.allows(namespace) {
                return Ok(());
            }
            let attempt = format!("namespace {namespace} may not use connection {name}");
            return Err(denied(attempt).remedy("add it to the connection's namespaces"));
        }
        match cluster.bootstrap_servers.iter().find(|server| !self.connections.allows_server(namespace, server)) {
            None => Ok(()),
            Some(server) => {
                let attempt = format!("namespace {namespace} may not name the broker {server}");
                Err(denied(attempt).remedy("use a connection, or allow it under metadata in the connections file"))
            }
        }
    }

    fn backend(&self, cluster: &ClusterRef, hasher: &RandomState) -> Result<Backend, SourceError> {
        let (bootstrap_servers, security) = match &cluster.connection {
            None => {
                let servers = cluster.bootstrap_servers.iter().map(ToString::to_string).collect();
                (servers, cluster.security.without_connection())
            }
            Some(name) => {
                let connection = self.connection(name)?;
                let servers = connection.bootstrap_servers();
                // credentials go nowhere but where the connection says
                if let Some(other) = cluster.bootstrap_servers.iter().find(|server| !servers.contains(&&***server)) {
                    let attempt = format!("bootstrapServers names {other}, which connection {name} does not");
                    return Err(denied(attempt).remedy("leave bootstrapServers out"));
                }
                let security = resolve(&cluster.security, cluster.dialect, connection.kafka());
                let security = security
                    .map_err(|error| denied(format!("the trigger does not fit connection {name}")).because(error))?;
                (servers.into_iter().map(str::to_owned).collect(), security)
            }
        };
        let name = cluster.to_string();
        let hash = hasher.hash_one((&bootstrap_servers, &security, &name));
        Ok(Backend(Arc::new(Identity { bootstrap_servers, security, name, hash })))
    }
}

fn denied(attempt: String) -> SourceError {
    SourceError::new(SourceErrorKind::Denied, attempt)
}
