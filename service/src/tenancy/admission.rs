//! Which namespace may use which source, and through which client. No I/O: it runs on every call.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;

use super::allowed_hosts::AllowedHosts;
use super::connections::{Connection, Connections, Destination, bootstrap_servers};
use super::metadata_rules::Named;
use crate::lag::{SourceError, SourceErrorKind};
use crate::trigger::{
    AwsAccess, AwsCredentials, AwsIdentity, ClusterRef, KafkaDialect, KafkaSecurity, RequestedSecurity, SourceRef,
    resolve,
};

/// The maximum number of different clusters of metadata whose decisions are cached; above it the cache is cleared.
const MOST_REMEMBERED: usize = 4096;

/// A cluster or account and an identity: the client that a source needs.
#[derive(Clone)]
pub struct Backend(Arc<Identity>);

struct Identity {
    service: Service,
    name: String,
    origin: Origin,
    /// The hash, computed once: secrets and certificates are long, and a backend is looked up on every call.
    hash: u64,
}

/// The part of a trigger that leads to a backend.
enum Origin {
    Kafka(ClusterRef, AllowedHosts),
    Aws(AwsAccess),
}

/// The service and identity of a backend.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// A Kafka cluster.
    Kafka {
        /// The bootstrap servers of the cluster.
        bootstrap_servers: Vec<String>,
        /// The settings of TLS and login.
        security: KafkaSecurity,
        /// The addresses to which the client may connect.
        reach: AllowedHosts,
    },
    /// An AWS account and identity.
    Aws(AwsIdentity),
}

/// The rules, and their cached decisions.
pub struct Admission {
    rules: RwLock<Rules>,
    hasher: RandomState,
}

struct Rules {
    connections: Connections,
    /// The decisions by allowed hosts, so that a lookup does not copy the cluster's settings.
    clusters: HashMap<AllowedHosts, HashMap<ClusterRef, Decided>>,
    accounts: HashMap<AwsAccess, Decided>,
}

type Decided = Result<Backend, SourceError>;

/// A namespace; `None` stands for any namespace.
type Namespace<'a> = Option<&'a str>;

// === impl Backend ===

impl Backend {
    /// Returns the service of this backend.
    pub fn service(&self) -> &Service {
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
    /// Creates an admission by these rules.
    pub fn new(connections: Connections) -> Self {
        Self { rules: RwLock::new(Rules::new(connections)), hasher: RandomState::new() }
    }

    /// Replaces the rules; returns whether they differ from those before.
    pub fn replace(&self, connections: Connections) -> bool {
        let mut rules = self.rules.write();
        let differ = rules.connections != connections;
        if differ {
            *rules = Rules::new(connections);
        }
        differ
    }

    /// Returns the names of the connections in force that `connections` lacks, sorted.
    pub(crate) fn missing_in(&self, connections: &Connections) -> Vec<String> {
        self.rules.read().connections.missing_in(connections)
    }

    /// Returns the client for `source`, where `namespace` may use it.
    ///
    /// # Errors
    /// Fails when the namespace has no access to the connection or the metadata.
    pub fn admit(&self, namespace: &str, source: &SourceRef) -> Result<Backend, SourceError> {
        let namespace = Some(namespace);
        match source {
            SourceRef::Kafka(kafka) => self.cluster(namespace, &kafka.cluster),
            SourceRef::Shards(stream) => self.account(namespace, &stream.access, &[stream.stream.as_given()]),
            SourceRef::Application(application) => {
                let stream = &application.stream;
                self.account(namespace, &stream.access, &[stream.stream.as_given(), &application.store.table])
            }
            SourceRef::Writes(writes) => self.account(namespace, &writes.access, &[writes.stream.as_given()]),
        }
    }

    /// Returns the maximum shard count that an object of `namespace` may give a stream of this name; `None` where it may not resize it.
    pub fn max_shards(&self, namespace: &str, stream: &str) -> Option<u32> {
        self.rules.read().connections.max_shards(namespace, stream)
    }

    fn cluster(&self, namespace: Namespace<'_>, cluster: &ClusterRef) -> Decided {
        let rules = self.rules.read();
        let reach = rules.check_cluster(namespace, cluster)?;
        if let Some(decided) = rules.clusters.get(&reach).and_then(|clusters| clusters.get(cluster)) {
            return decided.clone();
        }
        drop(rules);
        // decides under the lock that stores the decision, because the rules may have changed meanwhile
        let mut rules = self.rules.write();
        let reach = rules.check_cluster(namespace, cluster)?;
        let service = rules.kafka(cluster, reach);
        let origin = || Origin::Kafka(cluster.clone(), reach);
        let decided = service.map(|service| self.backend(service, cluster.to_string(), origin()));
        remember(rules.clusters.entry(reach).or_default(), cluster, decided)
    }

    fn account(&self, namespace: Namespace<'_>, access: &AwsAccess, resources: &[&str]) -> Decided {
        let rules = self.rules.read();
        rules.check_account(namespace, access, resources)?;
        if let Some(decided) = rules.accounts.get(access) {
            return decided.clone();
        }
        drop(rules);
        let mut rules = self.rules.write();
        rules.check_account(namespace, access, resources)?;
        let service = rules.aws(access);
        let origin = || Origin::Aws(access.clone());
        let decided = service.map(|service| self.backend(service, access.to_string(), origin()));
        remember(&mut rules.accounts, access, decided)
    }

    fn backend(&self, service: Service, name: String, origin: Origin) -> Backend {
        let hash = self.hasher.hash_one((&service, &name));
        Backend(Arc::new(Identity { service, name, origin, hash }))
    }

    /// Returns the backend of a named connection, whichever namespaces may use it.
    ///
    /// # Errors
    /// Fails when there is no connection of this name.
    pub fn connection(&self, name: &str) -> Decided {
        let rules = self.rules.read();
        let connection = Some(Arc::from(name));
        let title = format!("connection {name}");
        match rules.connection(name)?.to() {
            Destination::Kafka(_) => {
                let cluster = ClusterRef {
                    connection,
                    bootstrap_servers: Vec::new(),
                    dialect: KafkaDialect::Kafka,
                    security: RequestedSecurity::default(),
                };
                let service = rules.kafka(&cluster, AllowedHosts::Anywhere)?;
                Ok(self.backend(service, title, Origin::Kafka(cluster, AllowedHosts::Anywhere)))
            }
            Destination::Aws(identity) => {
                let access = AwsAccess {
                    connection,
                    region: Some(identity.region.clone()),
                    credentials: AwsCredentials::DefaultChain,
                    endpoint: None,
                };
                Ok(self.backend(Service::Aws(identity.clone()), title, Origin::Aws(access)))
            }
        }
    }

    /// Returns the entries of the rules that let a trigger of `namespace` read `source`, as the connections file writes them.
    pub fn allowing(&self, namespace: &str, source: &SourceRef) -> Vec<String> {
        let rules = self.rules.read();
        let (connection, named) = match source {
            SourceRef::Kafka(kafka) => {
                let servers = kafka.cluster.bootstrap_servers.iter().map(|server| Named::Broker(server));
                (&kafka.cluster.connection, servers.collect())
            }
            SourceRef::Shards(stream) => {
                (&stream.access.connection, named_by(&stream.access, &[stream.stream.as_given()]))
            }
            SourceRef::Application(application) => {
                let stream = &application.stream;
                let resources = [stream.stream.as_given(), &*application.store.table];
                (&stream.access.connection, named_by(&stream.access, &resources))
            }
            SourceRef::Writes(writes) => {
                (&writes.access.connection, named_by(&writes.access, &[writes.stream.as_given()]))
            }
        };
        let mut entries: Vec<_> = if let Some(name) = connection.as_deref() {
            let entry = rules.connections.named(name).and_then(|connection| connection.entry_for(namespace));
            entry.map(|entry| format!("connection {name}: namespaces [{entry}]")).into_iter().collect()
        } else {
            let metadata = rules.connections.metadata();
            named.into_iter().filter_map(|named| metadata.rule_for(namespace, named)).collect()
        };
        entries.dedup();
        entries
    }

    /// Whether the origin of this backend still leads to it under the present rules, for any namespace.
    pub fn is_current(&self, backend: &Backend) -> bool {
        let rules = self.rules.read();
        let service = match &backend.0.origin {
            Origin::Kafka(cluster, reach) => match rules.check_cluster(None, cluster) {
                Ok(AllowedHosts::Anywhere) => rules.kafka(cluster, *reach),
                Ok(AllowedHosts::RemoteOnly) => rules.kafka(cluster, AllowedHosts::RemoteOnly),
                Err(error) => Err(error),
            },
            Origin::Aws(access) => rules.check_account(None, access, &[]).and_then(|()| rules.aws(access)),
        };
        service.is_ok_and(|service| service == *backend.service())
    }
}

/// Caches a decision. A decision that is removed is repeated by the same rules.
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
        let absent =
            || denied(format!("there is no connection {name}")).remedy("add it to the scaler's connections file");
        self.connections.named(name).ok_or_else(absent)
    }

    /// Returns the same error for a missing connection and one that the namespace may not use, so that the error reveals neither.
    fn check_connection(&self, namespace: Namespace<'_>, name: &str) -> Result<(), SourceError> {
        if self.connections.named(name).is_some_and(|connection| connection.allows(namespace)) {
            return Ok(());
        }
        let attempt = format!(
            "namespace {} has no access to a connection named {name} (or it does not exist)",
            namespace.unwrap_or("*")
        );
        let example = format!("connections: {{{name}: {{namespaces: [{}], …}}}}", namespace.unwrap_or("*"));
        let remedy =
            format!("add the connection, or the namespace to its namespaces, in the connections file: {example}");
        Err(denied(attempt).remedy(remedy))
    }

    /// Returns the hosts to which the client may connect.
    fn check_cluster(&self, namespace: Namespace<'_>, cluster: &ClusterRef) -> Result<AllowedHosts, SourceError> {
        if let Some(name) = &cluster.connection {
            return self.check_connection(namespace, name).map(|()| AllowedHosts::Anywhere);
        }
        let mut all = AllowedHosts::Anywhere;
        for server in &cluster.bootstrap_servers {
            let Some(reach) = self.connections.metadata().server(namespace, server) else {
                let attempt = format!("namespace {} may not name the broker {server}", namespace.unwrap_or("*"));
                let allow = allow_in_file(namespace, "bootstrapServers", server);
                return Err(denied(attempt).remedy(format!("use a connection, or {allow}")));
            };
            all = all.min(reach);
        }
        Ok(all)
    }

    /// Checks whether `namespace` may use the account; `resources` are the streams and tables to read.
    fn check_account(
        &self,
        namespace: Namespace<'_>,
        access: &AwsAccess,
        resources: &[&str],
    ) -> Result<(), SourceError> {
        if let Some(name) = &access.connection {
            return self.check_connection(namespace, name);
        }
        let metadata = self.connections.metadata();
        let refused = |what: String| format!("namespace {} may not {what}", namespace.unwrap_or("*"));
        match &access.credentials {
            AwsCredentials::Role { arn, .. } if !metadata.role(namespace, arn) => {
                let attempt = refused(format!("have the role {arn} assumed"));
                return Err(denied(attempt).remedy(allow_in_file(namespace, "awsRoleArns", arn)));
            }
            AwsCredentials::DefaultChain => {
                let mut refused_names = resources.iter().filter(|name| !metadata.resource(namespace, name));
                if let Some(name) = refused_names.next() {
                    let attempt = refused(format!("have {name} read with the scaler's own AWS identity"));
                    let allow = allow_in_file(namespace, "awsResources", name);
                    return Err(denied(attempt).remedy(format!("use a connection, or {allow}")));
                }
            }
            AwsCredentials::Role { .. } | AwsCredentials::Static { .. } => {}
        }
        match &access.endpoint {
            Some(endpoint) if !metadata.endpoint(namespace, endpoint) => {
                let attempt = refused(format!("name the endpoint {endpoint}"));
                Err(denied(attempt).remedy(allow_in_file(namespace, "awsEndpoints", endpoint)))
            }
            _ => Ok(()),
        }
    }

    fn kafka(&self, cluster: &ClusterRef, reach: AllowedHosts) -> Result<Service, SourceError> {
        let Some(name) = &cluster.connection else {
            let bootstrap_servers = cluster.bootstrap_servers.iter().map(ToString::to_string).collect();
            let security = cluster.security.without_connection();
            return Ok(Service::Kafka { bootstrap_servers, security, reach });
        };
        let Destination::Kafka(kafka) = self.connection(name)?.to() else { return Err(wrong_kind(name, "Kafka")) };
        let servers = bootstrap_servers(kafka);
        // credentials are sent only to the servers that the connection names
        if let Some(other) = cluster.bootstrap_servers.iter().find(|server| !servers.contains(&&***server)) {
            let attempt = format!("bootstrapServers names {other}, which connection {name} does not");
            return Err(denied(attempt).remedy("leave bootstrapServers out"));
        }
        let security = resolve(&cluster.security, cluster.dialect, kafka)
            .map_err(|error| denied(format!("the trigger does not fit connection {name}")).because(error))?;
        let bootstrap_servers = servers.into_iter().map(str::to_owned).collect();
        Ok(Service::Kafka { bootstrap_servers, security, reach })
    }

    fn aws(&self, access: &AwsAccess) -> Result<Service, SourceError> {
        let Some(name) = &access.connection else {
            return access.without_connection().map(Service::Aws).ok_or_else(|| denied("there is no region".into()));
        };
        let Destination::Aws(identity) = self.connection(name)?.to() else { return Err(wrong_kind(name, "AWS")) };
        match &access.region {
            Some(region) if *region != identity.region => {
                let attempt = format!("region {region} is not the region of connection {name}");
                Err(denied(attempt).remedy("leave awsRegion out, or name a connection to the region of streamARN"))
            }
            _ => Ok(Service::Aws(identity.clone())),
        }
    }
}

/// Returns what a trigger without a connection names and the rules must allow.
fn named_by<'a>(access: &'a AwsAccess, resources: &[&'a str]) -> Vec<Named<'a>> {
    let mut named: Vec<_> = match &access.credentials {
        AwsCredentials::Role { arn, .. } => vec![Named::Role(arn)],
        AwsCredentials::DefaultChain => resources.iter().copied().map(Named::Resource).collect(),
        AwsCredentials::Static { .. } => Vec::new(),
    };
    named.extend(access.endpoint.as_deref().map(Named::Endpoint));
    named
}

/// Returns the entry of the connections file that allows triggers of a namespace to name something.
fn allow_in_file(namespace: Namespace<'_>, key: &str, name: &str) -> String {
    let namespace = namespace.unwrap_or("*");
    format!(
        "allow it with {key} under metadata in the connections file: metadata: [{{namespaces: [\"{namespace}\"], {key}: [\"{name}\"]}}]"
    )
}

fn wrong_kind(connection: &str, wanted: &str) -> SourceError {
    denied(format!("connection {connection} does not lead to {wanted}")).remedy("name another connection")
}

fn denied(attempt: String) -> SourceError {
    SourceError::new(SourceErrorKind::Denied, attempt)
}
