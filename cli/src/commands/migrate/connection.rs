//! Connections that the scaler's operator must add to the connections file, because KEDA passes no credentials to an external scaler.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::manifest::TriggerText;
use crate::manifest::{Documents, Node};

/// A trigger's `authenticationRef`.
pub(super) struct Authentication {
    pub(super) line: u64,
    /// `TriggerAuthentication` or `ClusterTriggerAuthentication`.
    pub(super) kind: String,
    pub(super) name: String,
    /// The content of the object, if it is in the same text.
    holds: Option<AuthenticationContents>,
}

/// The content of a `TriggerAuthentication`; it never contains a value.
#[derive(Clone)]
struct AuthenticationContents {
    /// Each parameter with the source of its value.
    parameters: Vec<(String, String)>,
    /// The `podIdentity`: the role, if one is named, and the identity provider.
    identity: Option<(Option<String>, String)>,
}

/// An entry of the connections file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) name: String,
    namespaces: BTreeSet<String>,
    kafka: bool,
    parameters: BTreeMap<String, Parameter>,
    /// Hints about values that the manifest does not determine.
    hints: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parameter {
    /// A literal value that is not secret.
    Literal(String),
    /// A file that the operator mounts, with a note on where the value was before.
    File(String),
}

impl Authentication {
    /// Returns the reference of a trigger, with the content of its object if that is among the documents.
    pub(super) fn of(trigger: &Node, documents: &Documents, namespace: &str) -> Option<Self> {
        let entry = trigger.entry("authenticationRef")?;
        let text = |key: &str| entry.value.get(key).and_then(Node::text).map(str::to_owned);
        let kind = text("kind").unwrap_or_else(|| "TriggerAuthentication".into());
        let name = text("name").unwrap_or_else(|| "without a name".into());
        let object = documents.roots.iter().find(|root| {
            let about = |key: &str| root.get("metadata").and_then(|about| about.get(key)).and_then(Node::text);
            let there = kind != "TriggerAuthentication" || about("namespace").is_none_or(|its| its == namespace);
            root.get("kind").and_then(Node::text) == Some(kind.as_str()) && about("name") == Some(&name) && there
        });
        let holds = object.and_then(|object| object.get("spec")).map(AuthenticationContents::read);
        Some(Self { line: entry.key.line, kind, name, holds })
    }
}

impl AuthenticationContents {
    fn read(spec: &Node) -> Self {
        let field = |item: &Node, key: &str| item.get(key).and_then(Node::text).unwrap_or("?").to_owned();
        let secrets = spec.get("secretTargetRef").map_or(&[][..], Node::items).iter();
        let secrets = secrets.map(|item| {
            let from = format!("was key {} of Secret {}", field(item, "key"), field(item, "name"));
            (field(item, "parameter"), from)
        });
        let environment = spec.get("env").map_or(&[][..], Node::items).iter();
        let environment = environment
            .map(|item| (field(item, "parameter"), format!("was the environment variable {}", field(item, "name"))));
        let identity = spec.get("podIdentity").map(|identity| {
            let role = identity.get("roleArn").and_then(Node::text).map(str::to_owned);
            (role, field(identity, "provider"))
        });
        Self { parameters: secrets.chain(environment).collect(), identity }
    }
}

impl Need {
    pub(super) fn new(text: &TriggerText, kafka: bool, authentication: Option<&Authentication>) -> Self {
        let object = text.object.rsplit('/').next().unwrap_or_default();
        let name = match authentication {
            Some(Authentication { kind, name, .. }) if kind == "ClusterTriggerAuthentication" => name.clone(),
            Some(Authentication { name, .. }) => format!("{}-{name}", text.namespace),
            None => format!("{}-{object}", text.namespace),
        };
        let namespaces = [text.namespace.clone()].into();
        let mut need = Self { name, namespaces, kafka, parameters: BTreeMap::new(), hints: BTreeSet::new() };
        need.address(text);
        match authentication.map(|authentication| (&authentication.holds, authentication)) {
            Some((Some(holds), _)) => need.known(holds),
            Some((None, Authentication { kind, name, .. })) => {
                need.hints.insert(format!("and what else {kind} {name} holds: each as it is, or as …File"));
                need.usual(text);
            }
            None => need.usual(text),
        }
        need
    }

    fn address(&mut self, text: &TriggerText) {
        let key = if self.kafka { "bootstrapServers" } else { "awsRegion" };
        let plain = text.metadata.get(key).filter(|value| !value.trim().is_empty());
        match (plain, text.metadata.get(&format!("{key}FromEnv"))) {
            (Some(value), _) => self.literal(key, value.trim()),
            (None, Some(variable)) => self.file(key, &format!("the value of the workload's {variable}")),
            (None, None) => self.file(key, "was not in the trigger"),
        }
    }

    /// Adds the parameters of an object whose content is known.
    fn known(&mut self, holds: &AuthenticationContents) {
        for (parameter, from) in &holds.parameters {
            self.file(parameter, from);
        }
        match &holds.identity {
            Some((Some(role), _)) => self.literal("awsRoleArn", role),
            Some((None, provider)) => {
                let hint =
                    format!("KEDA's identity was podIdentity {provider}: here it is the scaler's own, or awsRoleArn");
                self.hints.insert(hint);
            }
            None => {}
        }
    }

    /// Adds the parameters that a login of this kind usually needs.
    fn usual(&mut self, text: &TriggerText) {
        let value = |key: &str| text.metadata.get(key).map(|value| value.trim());
        let signed = value("sasl") == Some("aws_msk_iam") || value("saslTokenProvider") == Some("aws_msk_iam");
        let parameters: &[_] = match value("sasl") {
            _ if signed => &[],
            Some("plaintext" | "scram_sha256" | "scram_sha512") => &["username", "password"],
            Some("oauthbearer") => &["username", "password", "oauthTokenEndpointUri"],
            _ => &[],
        };
        for parameter in parameters {
            self.file(parameter, "");
        }
        if signed || !self.kafka {
            self.hints.insert("awsRoleArn, or a key; without them it is the scaler's own identity".into());
        }
    }

    pub(super) fn literal(&mut self, parameter: &str, value: &str) {
        self.parameters.insert(parameter.to_owned(), Parameter::Literal(value.to_owned()));
    }

    /// Adds a parameter that the operator mounts as a file; a comment notes where its value was before.
    pub(super) fn file(&mut self, parameter: &str, from: &str) {
        self.parameters.insert(parameter.to_owned(), Parameter::File(from.to_owned()));
    }

    /// Merges another need of the same name, if one entry can serve both.
    fn merge(&mut self, other: &Self) -> bool {
        let same = (&self.parameters, &self.hints, self.kafka) == (&other.parameters, &other.hints, other.kafka);
        if same {
            self.namespaces.extend(other.namespaces.iter().cloned());
        }
        same
    }
}

/// Adds a need to the others and returns its name; a need that differs from another one of its name gets a number.
pub(super) fn place(needs: &mut Vec<Need>, mut need: Need) -> String {
    let wanted = need.name.clone();
    for number in 2.. {
        let Some(other) = needs.iter_mut().find(|other| other.name == need.name) else { break };
        if other.merge(&need) {
            return need.name;
        }
        need.name = format!("{wanted}-{number}");
    }
    let name = need.name.clone();
    needs.push(need);
    name
}

/// Writes the connections file with these entries. It contains names of files, never a secret.
pub(super) fn connections_file(needs: &[Need]) -> String {
    let mut file = String::from("connections:\n");
    for need in needs {
        let Need { name, namespaces, parameters, hints, .. } = need;
        let namespaces: Vec<_> = namespaces.iter().map(|namespace| quoted(namespace)).collect();
        let kind = if need.kafka { "kafka" } else { "aws" };
        // writing to a string cannot fail
        let _ = writeln!(file, "  {}:\n    namespaces: [{}]\n    {kind}:", quoted(name), namespaces.join(", "));
        for (parameter, value) in parameters {
            let _ = match value {
                Parameter::Literal(value) => writeln!(file, "      {parameter}: {}", quoted(value)),
                Parameter::File(from) => {
                    let comment = if from.is_empty() { String::new() } else { format!("   # {from}") };
                    let path = quoted(&format!("/run/secrets/{name}/{parameter}"));
                    writeln!(file, "      {parameter}File: {path}{comment}")
                }
            };
        }
        for hint in hints {
            let _ = writeln!(file, "      # {hint}");
        }
    }
    file.push_str(&mounts(needs));
    file
}

/// Describes how the files that the entries name get into the scaler's pod, as comments.
fn mounts(needs: &[Need]) -> String {
    let has_file = |need: &&Need| need.parameters.values().any(|value| matches!(value, Parameter::File(_)));
    let names: Vec<_> = needs.iter().filter(has_file).map(|need| need.name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    let volumes =
        names.iter().map(|name| format!("{{name: {name}, secret: {{secretName: {name}, defaultMode: 288}}}}"));
    let mounts = names.iter().map(|name| format!("{{name: {name}, mountPath: /run/secrets/{name}, readOnly: true}}"));
    format!(
        "# Each folder is a Secret of its name in the scaler's namespace, with the names of the files as keys. Values of the chart:\n\
         # extraVolumes: [{}]\n# extraVolumeMounts: [{}]\n",
        volumes.collect::<Vec<_>>().join(", "),
        mounts.collect::<Vec<_>>().join(", ")
    )
}

/// Quotes text for YAML in double quotes, with JSON's escapes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
