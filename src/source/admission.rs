//! Who may have what read, and by which client. No I/O: it is asked on every call.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use super::connections::{Connection, Connections, Destination, bootstrap_servers};
use crate::lag::{SourceError, SourceErrorKind};
use crate::trigger::{AwsAccess, AwsCredentials, AwsIdentity, ClusterRef, KafkaSecurity, SourceRef, resolve};

/// More different clusters in metadata than this, and what is remembered of them is thrown away.
const MOST_REMEMBERED: usize = 4096;

/// A cluster and an identity: the client that a source needs.
#[derive(Clone)]
pub struct Backend(Arc<Identity>);

struct Identity {
    service: Service,
    name: String,
    /// Made once: secrets and certificates are long, and a backend is looked up on every call.
    hash: u64,
}

/// What a backend asks, and as whom.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    /// A Kafka cluster.
    Kafka {
        /// The brokers to ask first.
        bootstrap_servers: Vec<String>,
        /// TLS and login.
        security: KafkaSecurity,
    },
    /// AWS.
    Aws(AwsIdentity),
}

/// The rules, and what they have decided.
pub(super) struct Admission {
    rules: RwLock<Rules>,
    hasher: RandomState,
}

struct Rules {
    connections: Connections,
    clusters: HashMap<ClusterRef, Decided>,
    accounts: HashMap<AwsAccess, Decided>,
}

type Decided = Result<Backend, SourceError>;

// === impl Backend ===

impl Backend {
    /// What it asks.
    pub(super) fn service(&self) -> &Service {
        &self.0.service
    }
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        std::ptr::eq(one, other) || (one.hash == other.hash && one.service == other.service && one.name == other.name)
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
        Self { rules: RwLock::new(Rules::new(connections)), hasher: RandomState::new() }
    }

    pub(super) fn replace(&self, connections: Connections) -> bool {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let differ = rules.connections != connections;
        if differ {
            *rules = Rules::new(connections);
        }
        differ
    }

    /// The client for `source`, where `namespace` may use it.
    pub(super) fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Backend, SourceError> {
        match source {
            SourceRef::Kafka(kafka) => self.cluster(namespace, &kafka.cluster),
            SourceRef::Shards(stream) => self.account(namespace, &stream.access),
            SourceRef::Application(application) => self.account(namespace, &application.stream.access),
        }
    }

    fn cluster(&self, namespace: &str, cluster: &ClusterRef) -> Decided {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.check_cluster(namespace, cluster)?;
        if let Some(decided) = rules.clusters.get(cluster) {
            return decided.clone();
        }
        let decided = rules.kafka(cluster).map(|service| self.backend(service, cluster.to_string()));
        drop(rules);
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        remember(&mut rules.clusters, cluster, decided)
    }

    fn account(&self, namespace: &str, access: &AwsAccess) -> Decided {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.check_account(namespace, access)?;
        if let Some(decided) = rules.accounts.get(access) {
            return decided.clone();
        }
        let decided = rules.aws(access).map(|service| self.backend(service, access.to_string()));
        drop(rules);
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        remember(&mut rules.accounts, access, decided)
    }

    fn backend(&self, service: Service, name: String) -> Backend {
        let hash = self.hasher.hash_one((&service, &name));
        Backend(Arc::new(Identity { service, name, hash }))
    }

    /// Whether some trigger has this backend under the rules that hold now.
    pub(super) fn is_current(&self, backend: &Backend) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let mut decided = rules.clusters.values().chain(rules.accounts.values());
        decided.any(|decided| decided.as_ref().is_ok_and(|current| current == backend))
    }
}

fn remember<K: Clone + Eq + Hash>(decisions: &mut HashMap<K, Decided>, asked: &K, decided: Decided) -> Decided {
    if decisions.len() >= MOST_REMEMBERED {
        decisions.clear();
    }
    decisions.entry(asked.clone()).or_insert(decided).clone()
}

impl Rules {
    fn new(connections: Connections) -> Self {
        Self { connections, clusters: HashMap::new(), accounts: HashMap::new() }
    }

    fn connection(&self, name: &str) -> Result<&Connection, SourceError> {
        self.connections.named(name).ok_or_else(|| {
            denied(format!("there is no connection {name}")).remedy("add it to the scaler's connections file")
        })
    }

    fn check_connection(&self, namespace: &str, name: &str) -> Result<(), SourceError> {
        if self.connection(name)?.allows(namespace) {
            return Ok(());
        }
        let attempt = format!("namespace {namespace} may not use connection {name}");
        Err(denied(attempt).remedy("add it to the connection's namespaces"))
    }

    fn check_cluster(&self, namespace: &str, cluster: &ClusterRef) -> Result<(), SourceError> {
        if let Some(name) = &cluster.connection {
            return self.check_connection(namespace, name);
        }
        match cluster.bootstrap_servers.iter().find(|server| !self.connections.allows_server(namespace, server)) {
            None => Ok(()),
            Some(server) => {
                let attempt = format!("namespace {namespace} may not name the broker {server}");
                Err(denied(attempt).remedy("use a connection, or allow it under metadata in the connections file"))
            }
        }
    }

    fn check_account(&self, namespace: &str, access: &AwsAccess) -> Result<(), SourceError> {
        if let Some(name) = &access.connection {
            return self.check_connection(namespace, name);
        }
        if let AwsCredentials::Role { arn, .. } = &access.credentials
            && !self.connections.allows_role(namespace, arn)
        {
            let attempt = format!("namespace {namespace} may not have the role {arn} assumed");
            return Err(denied(attempt).remedy("allow it with awsRoleArns under metadata in the connections file"));
        }
        match &access.endpoint {
            Some(endpoint) if !self.connections.allows_endpoint(namespace, endpoint) => {
                let attempt = format!("namespace {namespace} may not name the endpoint {endpoint}");
                Err(denied(attempt).remedy("allow it with awsEndpoints under metadata in the connections file"))
            }
            _ => Ok(()),
        }
    }

    fn kafka(&self, cluster: &ClusterRef) -> Result<Service, SourceError> {
        let Some(name) = &cluster.connection else {
            let bootstrap_servers = cluster.bootstrap_servers.iter().map(ToString::to_string).collect();
            return Ok(Service::Kafka { bootstrap_servers, security: cluster.security.without_connection() });
        };
        let Destination::Kafka(kafka) = self.connection(name)?.to() else { return Err(wrong_kind(name, "Kafka")) };
        let servers = bootstrap_servers(kafka);
        // credentials go nowhere but where the connection says
        if let Some(other) = cluster.bootstrap_servers.iter().find(|server| !servers.contains(&&***server)) {
            let attempt = format!("bootstrapServers names {other}, which connection {name} does not");
            return Err(denied(attempt).remedy("leave bootstrapServers out"));
        }
        let security = resolve(&cluster.security, cluster.dialect, kafka)
            .map_err(|error| denied(format!("the trigger does not fit connection {name}")).because(error))?;
        Ok(Service::Kafka { bootstrap_servers: servers.into_iter().map(str::to_owned).collect(), security })
    }

    fn aws(&self, access: &AwsAccess) -> Result<Service, SourceError> {
        let Some(name) = &access.connection else {
            return access.without_connection().map(Service::Aws).ok_or_else(|| denied("there is no region".into()));
        };
        let Destination::Aws(identity) = self.connection(name)?.to() else { return Err(wrong_kind(name, "AWS")) };
        match &access.region {
            Some(region) if *region != identity.region => {
                let attempt = format!("awsRegion is {region}, which is not connection {name}'s");
                Err(denied(attempt).remedy("leave awsRegion out"))
            }
            _ => Ok(Service::Aws(identity.clone())),
        }
    }
}

fn wrong_kind(connection: &str, wanted: &str) -> SourceError {
    denied(format!("connection {connection} does not lead to {wanted}")).remedy("name another connection")
}

fn denied(attempt: String) -> SourceError {
    SourceError::new(SourceErrorKind::Denied, attempt)
}
