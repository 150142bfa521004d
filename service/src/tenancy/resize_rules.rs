//! Which namespaces may resize which streams, and up to how many shards. Without a rule, none may.

use serde::Deserialize;

use super::pattern::{Pattern, patterns};

/// The rules; a resize is allowed when any one allows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct ResizeRules(Vec<ResizeRule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ResizeRule {
    namespaces: Vec<Pattern>,
    streams: Vec<Pattern>,
    max_shards: u32,
}

/// A rule as the file writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    namespaces: Vec<String>,
    streams: Vec<String>,
    max_shards: u32,
}

impl ResizeRules {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let rule = |rule: &Rule| ResizeRule {
            namespaces: patterns(&rule.namespaces),
            streams: patterns(&rule.streams),
            max_shards: rule.max_shards,
        };
        Self(rules.iter().map(rule).collect())
    }

    /// Returns the maximum shard count that an object of `namespace` may give the stream of this name; `None` where it may not resize it.
    pub(super) fn max_shards(&self, namespace: &str, stream: &str) -> Option<u32> {
        let allowing = self
            .0
            .iter()
            .filter(|rule| Pattern::any(&rule.namespaces, namespace) && Pattern::any(&rule.streams, stream));
        allowing.map(|rule| rule.max_shards).max()
    }
}
