//! The rules for what triggers name in their metadata: brokers, roles, endpoints, and what the scaler's own AWS identity reads for them.

use serde::Deserialize;

use super::allowed_hosts::AllowedHosts;
use super::pattern::{Pattern, patterns};

/// The rules; access is allowed when any one allows it. A namespace without a rule may name nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetadataRules(Vec<MetadataRule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct MetadataRule {
    namespaces: Vec<Pattern>,
    bootstrap_servers: Vec<Pattern>,
    aws_role_arns: Vec<Pattern>,
    aws_endpoints: Vec<Pattern>,
    aws_resources: Vec<Pattern>,
    /// The allowed addresses of a broker whose host no pattern names literally.
    reach: AllowedHosts,
}

/// A name in a trigger's metadata.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// A broker's address.
    Broker(&'a str),
    /// The ARN of a role.
    Role(&'a str),
    /// The endpoint of AWS's services.
    Endpoint(&'a str),
    /// A stream or table, read with the scaler's own identity.
    Resource(&'a str),
}

/// A rule as the file writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    namespaces: Vec<String>,
    #[serde(default)]
    bootstrap_servers: Vec<String>,
    #[serde(default)]
    aws_role_arns: Vec<String>,
    #[serde(default)]
    aws_endpoints: Vec<String>,
    #[serde(default = "every")]
    aws_resources: Vec<String>,
}

fn every() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Default for MetadataRules {
    /// Allows any broker on another host, no role, no endpoint, and everything that the scaler's own identity may read.
    fn default() -> Self {
        Self::new(&[Rule {
            namespaces: every(),
            bootstrap_servers: every(),
            aws_role_arns: Vec::new(),
            aws_endpoints: Vec::new(),
            aws_resources: every(),
        }])
    }
}

impl MetadataRules {
    pub(super) fn new(rules: &[Rule]) -> Self {
        Self(rules.iter().map(MetadataRule::new).collect())
    }

    /// Returns rules that allow every name at any address.
    pub(super) fn unrestricted() -> Self {
        let rule = Rule {
            namespaces: every(),
            bootstrap_servers: every(),
            aws_role_arns: every(),
            aws_endpoints: every(),
            aws_resources: every(),
        };
        Self(vec![MetadataRule { reach: AllowedHosts::Anywhere, ..MetadataRule::new(&rule) }])
    }

    /// Returns the allowed hosts of a client for `server`, if a trigger of `namespace` may name it. A pattern that names the host literally
    /// allows that host at any address.
    pub(super) fn server(&self, namespace: Option<&str>, server: &str) -> Option<AllowedHosts> {
        let reaches = self.of(namespace).flat_map(|rule| {
            let matching = Pattern::of(&rule.bootstrap_servers, server);
            matching.map(|pattern| if pattern.names_host() { AllowedHosts::Anywhere } else { rule.reach })
        });
        reaches.max()
    }

    /// Whether a trigger of `namespace` may use this role.
    pub(super) fn role(&self, namespace: Option<&str>, role_arn: &str) -> bool {
        self.of(namespace).any(|rule| Pattern::any(&rule.aws_role_arns, role_arn))
    }

    /// Whether a trigger of `namespace` may name this endpoint.
    pub(super) fn endpoint(&self, namespace: Option<&str>, endpoint: &str) -> bool {
        self.of(namespace).any(|rule| Pattern::any(&rule.aws_endpoints, endpoint))
    }

    /// Whether the scaler's own identity reads this stream or table for a trigger of `namespace`.
    pub(super) fn resource(&self, namespace: Option<&str>, name: &str) -> bool {
        self.of(namespace).any(|rule| Pattern::any(&rule.aws_resources, name))
    }

    /// Returns the first entry that lets a trigger of `namespace` use this name, as the file writes it.
    pub(super) fn rule_for(&self, namespace: &str, named: Named<'_>) -> Option<String> {
        self.0.iter().find_map(|rule| {
            let (key, patterns, name) = match named {
                Named::Broker(server) => ("bootstrapServers", &rule.bootstrap_servers, server),
                Named::Role(role_arn) => ("awsRoleArns", &rule.aws_role_arns, role_arn),
                Named::Endpoint(endpoint) => ("awsEndpoints", &rule.aws_endpoints, endpoint),
                Named::Resource(name) => ("awsResources", &rule.aws_resources, name),
            };
            let namespace = Pattern::of(&rule.namespaces, namespace).next()?;
            let pattern = Pattern::of(patterns, name).next()?;
            Some(format!("metadata: namespaces [{namespace}], {key} [{pattern}]"))
        })
    }

    /// Returns the rules of a namespace, or all rules for `None`.
    fn of<'a>(&'a self, namespace: Option<&'a str>) -> impl Iterator<Item = &'a MetadataRule> {
        self.0.iter().filter(move |rule| match namespace {
            Some(namespace) => Pattern::any(&rule.namespaces, namespace),
            None => !rule.namespaces.is_empty(),
        })
    }
}

impl MetadataRule {
    fn new(rule: &Rule) -> Self {
        Self {
            namespaces: patterns(&rule.namespaces),
            bootstrap_servers: patterns(&rule.bootstrap_servers),
            aws_role_arns: patterns(&rule.aws_role_arns),
            aws_endpoints: patterns(&rule.aws_endpoints),
            aws_resources: patterns(&rule.aws_resources),
            reach: AllowedHosts::RemoteOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> MetadataRules {
        let rules: Vec<Rule> = serde_saphyr::from_str(text).expect("rules");
        MetadataRules::new(&rules)
    }

    #[test]
    fn a_namespace_names_what_its_rules_name() {
        let rules =
            rules("- {namespaces: [team-a], bootstrapServers: ['*.kafka:9092'], awsEndpoints: ['http://*.aws']}\n");
        assert!(
            rules.server(Some("team-a"), "b1.kafka:9092").is_some() && rules.endpoint(Some("team-a"), "http://k.aws")
        );
        assert!(rules.server(Some("team-a"), "169.254.169.254:80").is_none());
        assert!(
            rules.server(Some("team-b"), "b1.kafka:9092").is_none() && !rules.endpoint(Some("team-b"), "http://k.aws")
        );
        assert!(!rules.role(Some("team-a"), "arn:aws:iam::1:role/x"));
    }

    #[test]
    fn only_a_host_that_is_written_out_may_be_this_one() {
        let rules = rules("- {namespaces: ['*'], bootstrapServers: ['*', 'localhost:*', '[::1]:9092', 'b.*']}\n");
        let cases = [
            ("localhost:9092", AllowedHosts::Anywhere),
            ("[::1]:9092", AllowedHosts::Anywhere),
            ("127.0.0.1:9092", AllowedHosts::RemoteOnly),
            ("localhost", AllowedHosts::RemoteOnly),
            ("b.example:9092", AllowedHosts::RemoteOnly),
        ];
        for (server, reach) in cases {
            assert_eq!(rules.server(Some("shop"), server), Some(reach), "{server}");
        }
    }

    #[test]
    fn the_scalers_own_identity_reads_everything_until_a_rule_says_less_and_nothing_without_a_rule() {
        assert!(MetadataRules::default().resource(Some("shop"), "orders"));
        let rules = rules("- {namespaces: [shop], awsResources: ['shop-*']}\n- {namespaces: [bank]}\n");
        assert!(rules.resource(Some("shop"), "shop-orders") && !rules.resource(Some("shop"), "orders"));
        assert!(rules.resource(Some("bank"), "orders") && !rules.resource(Some("club"), "orders"));
    }
}
