//! `shardPattern`: the text around the id of a shard in a table that several applications or streams share.

use super::checkpoint_store::ShardKey;
use super::metadata::{Metadata, shown};

const KEY: &str = "shardPattern";
const SHARD: &str = "{shard}";

/// Reads the two texts around `{shard}`, with the names in place of `{application}` and `{stream}`.
pub(super) fn read(
    metadata: &Metadata<'_>,
    pattern: &str,
    application: Option<&str>,
    stream: Option<&str>,
) -> Option<ShardKey> {
    let Some((before, after)) = pattern.split_once(SHARD).filter(|(_, after)| !after.contains(SHARD)) else {
        metadata.problem(
            KEY,
            format!("{} must contain {SHARD} once, as in {{application}}:{{stream}}:{{shard}}", shown(pattern)),
        );
        return None;
    };
    if pattern.contains("{application}") && application.is_none() {
        metadata.problem("applicationName", "is required for {application} in shardPattern");
        return None;
    }
    let side = |text| expand(text, application, stream?);
    match (side(before), side(after)) {
        (Some(before), Some(after)) => Some(ShardKey::Between { before: before.into(), after: after.into() }),
        _ if stream.is_none() => None,
        _ => {
            let known = "{application}, {stream} and {shard} are the only names in braces";
            metadata.problem(KEY, format!("{}: {known}", shown(pattern)));
            None
        }
    }
}

/// Expands the names; `None` where other names, or single braces, are in the text. A name that contains braces is not expanded again.
fn expand(mut text: &str, application: Option<&str>, stream: &str) -> Option<String> {
    let mut expanded = String::new();
    while let Some(at) = text.find(['{', '}']) {
        let (plain, rest) = text.split_at(at);
        expanded.push_str(plain);
        let (name, rest) = match rest.strip_prefix("{application}") {
            Some(rest) => (application?, rest),
            None => (stream, rest.strip_prefix("{stream}")?),
        };
        expanded.push_str(name);
        text = rest;
    }
    expanded.push_str(text);
    Some(expanded)
}
