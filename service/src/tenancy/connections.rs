//! The connections file: named addresses and credentials, and which namespaces may use them.
//!
//! Secrets are in the file or in files that it names (`passwordFile` for `password`), and are re-read when they change. Any error
//! in the file rejects it as a whole: a scaler must not run with half of its rules.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::metadata_rules::{MetadataRules, Rule};
use super::pattern::{Pattern, patterns};
use super::resize_rules::{self, ResizeRules};
use crate::trigger::keys::CONNECTION_LISTS;
use crate::trigger::{AwsIdentity, TriggerError, check_connection};

const FILE: &str = "File";

/// The rules that the operator of the scaler has configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    named: HashMap<String, Connection>,
    metadata: MetadataRules,
    resize: ResizeRules,
}

/// A named address with its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    namespaces: Vec<Pattern>,
    to: Destination,
}

/// The destination of a connection.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// A Kafka cluster, with KEDA's parameter names as keys; some values are secrets.
    Kafka(HashMap<String, String>),
    /// An AWS account and identity.
    Aws(AwsIdentity),
}

/// Why a connections file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionsError {
    /// The file has no content, as a file has that is just being written.
    #[error("the connections file is empty: write connections: {{}} where there is none")]
    Empty,
    /// A file could not be read.
    #[error("could not read {path}: {cause}", path = path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause of the failure.
        cause: std::io::Error,
    },
    /// The file is not valid.
    #[error("could not parse the connections file: {0}")]
    Syntax(String),
    /// A file that a connection names could not be read.
    #[error("connection {name}: {key}File: {cause}")]
    Secret {
        /// The name of the connection.
        name: String,
        /// The key of the secret.
        key: String,
        /// The cause of the failure.
        cause: Box<Self>,
    },
    /// A connection is invalid.
    #[error("connection {name}: {cause}")]
    Connection {
        /// The name of the connection.
        name: String,
        /// All problems of the connection.
        cause: TriggerError,
    },
    /// A list is given where one value belongs.
    #[error("connection {name}: {key}: must be one value, not a list")]
    List {
        /// The name of the connection.
        name: String,
        /// The key with the list.
        key: String,
    },
    /// A secret is given twice.
    #[error("connection {name}: {key} and {key}File are both given; only one can hold")]
    Twice {
        /// The name of the connection.
        name: String,
        /// The key of the secret.
        key: String,
    },
    /// A connection has no destination, or two.
    #[error("connection {name}: one of kafka and aws is required")]
    Destination {
        /// The name of the connection.
        name: String,
    },
    /// A connection has no address.
    #[error("connection {name}: bootstrapServers is required")]
    NoAddress {
        /// The name of the connection.
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    connections: BTreeMap<String, Entry>,
    metadata: Option<Vec<Rule>>,
    #[serde(default)]
    resize: Vec<resize_rules::Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    namespaces: Vec<String>,
    kafka: Option<BTreeMap<String, Scalar>>,
    aws: Option<BTreeMap<String, Scalar>>,
}

/// A scalar of any type: YAML parses `true` and `5` as boolean and number, but a parameter is text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

impl Default for Connections {
    /// Returns the rules without a file: no connection, and any namespace may name any broker on another host, without credentials, and any
    /// stream that the scaler's own identity may read.
    fn default() -> Self {
        Self { named: HashMap::new(), metadata: MetadataRules::default(), resize: ResizeRules::default() }
    }
}

impl Connections {
    /// Returns the rules for a user of the command line, and of `serve --dev`: metadata may name any broker, also on this machine, any role
    /// and any endpoint, because the user could reach them without the scaler.
    #[must_use]
    pub fn unrestricted() -> Self {
        Self { metadata: MetadataRules::unrestricted(), ..Self::default() }
    }

    /// Reads the file and the secrets that it names; relative paths are relative to the file.
    ///
    /// # Errors
    /// Returns an error when anything in it is invalid or missing.
    pub fn read(path: &Path) -> Result<Self, ConnectionsError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&read(path)?, |name| read(&folder.join(name)))
    }

    fn parse(text: &str, read: impl Fn(&str) -> Result<String, ConnectionsError>) -> Result<Self, ConnectionsError> {
        if text.trim().is_empty() {
            return Err(ConnectionsError::Empty);
        }
        // a snippet of the file could hold a secret
        let syntax = |error: serde_saphyr::Error| ConnectionsError::Syntax(error.without_snippet().to_string());
        let file: File = serde_saphyr::from_str(text).map_err(syntax)?;
        let mut named = HashMap::new();
        for (name, entry) in file.connections {
            let wrong = |cause| ConnectionsError::Connection { name: name.clone(), cause };
            let to = match (entry.kafka, entry.aws) {
                (Some(kafka), None) => {
                    let kafka = parameters(&name, kafka, &read)?;
                    if bootstrap_servers(&kafka).is_empty() {
                        return Err(ConnectionsError::NoAddress { name });
                    }
                    check_connection(&kafka).map_err(wrong)?;
                    Destination::Kafka(kafka)
                }
                (None, Some(aws)) => {
                    let aws = parameters(&name, aws, &read)?;
                    Destination::Aws(AwsIdentity::of_connection(&aws).map_err(wrong)?)
                }
                (Some(_), Some(_)) | (None, None) => return Err(ConnectionsError::Destination { name }),
            };
            named.insert(name, Connection { namespaces: patterns(&entry.namespaces), to });
        }
        let metadata = file.metadata.map_or_else(MetadataRules::default, |rules| MetadataRules::new(&rules));
        Ok(Self { named, metadata, resize: ResizeRules::new(&file.resize) })
    }

    /// Returns the names of the connections that `other` lacks, sorted.
    pub(crate) fn missing_in(&self, other: &Self) -> Vec<String> {
        let mut missing: Vec<_> = self.named.keys().filter(|name| !other.named.contains_key(*name)).cloned().collect();
        missing.sort_unstable();
        missing
    }

    /// Returns the connection of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Connection> {
        self.named.get(name)
    }

    /// Returns the maximum shard count that an object of `namespace` may give a stream of this name; `None` where it may not resize it.
    #[must_use]
    pub fn max_shards(&self, namespace: &str, stream: &str) -> Option<u32> {
        self.resize.max_shards(namespace, stream)
    }

    /// Returns the rules for what triggers name in their metadata.
    pub(super) const fn metadata(&self) -> &MetadataRules {
        &self.metadata
    }
}

impl Connection {
    /// Whether triggers of `namespace`, or of any namespace for `None`, may use the connection.
    #[must_use]
    pub fn allows(&self, namespace: Option<&str>) -> bool {
        namespace.map_or(!self.namespaces.is_empty(), |namespace| self.entry_for(namespace).is_some())
    }

    /// Returns the entry of its namespaces that lets this one use it.
    pub(super) fn entry_for(&self, namespace: &str) -> Option<String> {
        Pattern::of(&self.namespaces, namespace).next().map(ToString::to_string)
    }

    /// Returns the destination of the connection.
    pub(super) const fn to(&self) -> &Destination {
        &self.to
    }
}

/// Returns the bootstrap servers of a connection's parameters, sorted.
pub(super) fn bootstrap_servers(kafka: &HashMap<String, String>) -> Vec<&str> {
    let servers = kafka.get("bootstrapServers").map_or("", String::as_str);
    let mut servers: Vec<_> = servers.split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
    servers.sort_unstable();
    servers
}

fn parameters(
    connection: &str,
    entry: BTreeMap<String, Scalar>,
    read: impl Fn(&str) -> Result<String, ConnectionsError>,
) -> Result<HashMap<String, String>, ConnectionsError> {
    let mut parameters = HashMap::new();
    for (key, value) in entry {
        let value = match value {
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text,
            Scalar::List(items) if CONNECTION_LISTS.contains(&&*key) => items.join(","),
            Scalar::List(_) => return Err(ConnectionsError::List { name: connection.to_owned(), key }),
        };
        let (key, value) = match key.strip_suffix(FILE) {
            Some(plain) => {
                let secret = |cause| {
                    let (name, key) = (connection.to_owned(), plain.to_owned());
                    ConnectionsError::Secret { name, key, cause: Box::new(cause) }
                };
                (plain.to_owned(), read(&value).map_err(secret)?)
            }
            None => (key, value),
        };
        if parameters.insert(key.clone(), value).is_some() {
            return Err(ConnectionsError::Twice { name: connection.to_owned(), key });
        }
    }
    Ok(parameters)
}

fn read(path: &Path) -> Result<String, ConnectionsError> {
    fs::read_to_string(path).map_err(|cause| ConnectionsError::Read { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
connections:
  alice:
    namespaces: ["shop-*"]
    kafka: {bootstrapServers: "b2:9093, b1:9093", tls: enable, sasl: scram_sha512, username: alice, passwordFile: pw, unsafeSsl: false}
"#;

    fn parse(text: &str) -> Result<Connections, ConnectionsError> {
        Connections::parse(text, |name| {
            (name == "pw").then(|| "alice-secret\n".to_owned()).ok_or_else(|| ConnectionsError::Syntax(name.into()))
        })
    }

    #[test]
    fn a_connection_has_address_and_credentials_for_its_namespaces() {
        let connections = parse(SAMPLE).expect("a good file");
        let alice = connections.named("alice").expect("alice");
        let Destination::Kafka(kafka) = alice.to() else { panic!("a Kafka connection") };
        assert_eq!(bootstrap_servers(kafka), ["b1:9093", "b2:9093"]);
        assert!(alice.allows(Some("shop-a")) && !alice.allows(Some("bank")));
        assert_eq!(kafka["password"], "alice-secret\n", "trimmed where it is used, as KEDA does");
        assert!(connections.named("bob").is_none());
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", parse(SAMPLE).expect("a good file")).contains("secret"));
        let error = parse(&SAMPLE.replace("passwordFile: pw", "password: a-secret, x")).expect_err("no mapping");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn brokers_may_be_a_list() {
        let listed = parse(&SAMPLE.replace("\"b2:9093, b1:9093\"", "[\"b2:9093\", \"b1:9093\"]")).expect("a good file");
        let Destination::Kafka(kafka) = listed.named("alice").expect("alice").to() else {
            panic!("a Kafka connection")
        };
        assert_eq!(bootstrap_servers(kafka), ["b1:9093", "b2:9093"]);
    }

    #[test]
    fn by_default_metadata_may_name_any_broker_and_rules_replace_that() {
        let names =
            |text: &str| parse(text).expect("a good file").metadata().server(Some("team-a"), "b:9092").is_some();
        assert!(names(SAMPLE));
        assert!(!names("metadata: []"));
        assert!(!names("metadata: [{namespaces: [team-b], bootstrapServers: ['*']}]"));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_with_its_place() {
        let cases = [
            ("connections: {a: {namespaces: [x], kafka: {tls: enable}}}", "connection a: bootstrapServers is required"),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, sasl: foo}}}",
                "sasl: \"foo\" must be one of",
            ),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, sasl: plaintext}}}",
                "password: is required",
            ),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, username: u, password: p}}}",
                "sasl: is required where there is a password",
            ),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, pasword: c}}}",
                "pasword: is not a known key, did you mean password?",
            ),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, password: c, passwordFile: pw}}}",
                "both given",
            ),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, caFile: none}}}",
                "connection a: caFile: could not parse the connections file: none",
            ),
            (" \n", "the connections file is empty"),
            (
                "connections: {a: {namespaces: [x], kafka: {bootstrapServers: b, topic: t}}}",
                "topic: is a key of triggers, which a connection does not have",
            ),
            (
                "connections: {a: {namespaces: [x], aws: {awsRegion: eu-west-1, username: u}}}",
                "username: is for a connection to Kafka",
            ),
            ("connections: {a: {namespaces: [x], kafka: {bootstrapServers: ' , '}}}", "bootstrapServers is required"),
            ("connections: {a: {namespaces: [x], kafka: {bootstrapServers: 'b1;b2'}}}", "\"b1;b2\" is no broker"),
            ("conections: {}", "conections"),
        ];
        for (text, fragment) in cases {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(fragment), "{error}");
        }
    }
}
