//! Edits of a trigger's text. Unchanged parts stay identical byte for byte.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::connection::quoted;
use super::plan::{MetricType, Plan};
use crate::manifest::{Content, Documents, Entry, Node};

/// A range of the text and its replacement.
struct Change {
    range: Range<usize>,
    with: String,
}

/// The edits of a text, in any order.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

/// Returns why a trigger cannot be edited in place; `None` if it can.
pub(super) fn obstacle(trigger: &Node, dropped: &[String], documents: &Documents) -> Option<String> {
    let metadata = trigger.get("metadata");
    let parts = [Some(trigger), metadata, trigger.get("type"), trigger.get("metricType")];
    for node in parts.into_iter().flatten() {
        let (aliased, line) = (node.is_alias(), node.line);
        if aliased || documents.is_named(node) {
            let what = if aliased { "an alias" } else { "an anchor that an alias names" };
            return Some(format!("line {line} is {what}: a change there would change other places too; write it out"));
        }
    }
    let metadata = metadata.map_or(&[][..], Node::entries);
    for entry in trigger.entries().iter().chain(metadata) {
        if entry.key.text() == Some("<<") {
            return Some(format!("line {} merges another mapping; write it out", entry.key.line));
        }
    }
    let leaving = trigger
        .entry("authenticationRef")
        .into_iter()
        .chain(metadata.iter().filter(|entry| entry.key.text().is_some_and(|key| is_dropped(key, dropped))));
    for entry in leaving {
        if documents.is_named_within(&entry.value) {
            let line = entry.value.line;
            return Some(format!("line {line} would go, but an alias names its anchor; write the value out there"));
        }
    }
    None
}

fn is_dropped(key: &str, dropped: &[String]) -> bool {
    dropped.iter().any(|name| name == key)
}

impl Changes {
    /// Adds the edits for a trigger without an [`obstacle`].
    pub(super) fn trigger(&mut self, text: &str, trigger: &Node, plan: &Plan) {
        let Some(metadata) = trigger.get("metadata") else { return };
        if let Some(kind) = trigger.get("type") {
            self.scalar(kind, "external");
        }
        self.metric_type(text, trigger, plan.metric_type);
        self.remove(text, trigger, &|key| key == "authenticationRef");
        self.remove(text, metadata, &|key| is_dropped(key, &plan.dropped));
        self.add(text, trigger, &plan.added);
    }

    /// Returns the text with all edits applied.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|change| (change.range.start, change.range.end));
        let (mut changed, mut at) = (String::with_capacity(text.len() + 256), 0);
        for Change { range, with } in self.0 {
            // two adjacent removed entries may share the text between them
            changed.push_str(text.get(at..range.start).unwrap_or_default());
            changed.push_str(&with);
            at = at.max(range.end);
        }
        changed.push_str(text.get(at..).unwrap_or_default());
        changed
    }

    fn change(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.0.push(Change { range, with: with.into() });
    }

    /// Replaces a scalar and keeps its quotes.
    fn scalar(&mut self, node: &Node, word: &str) {
        let with = match node.content {
            Content::Scalar { style: ScalarStyle::DoubleQuoted, .. } => format!("\"{word}\""),
            Content::Scalar { style: ScalarStyle::SingleQuoted, .. } => format!("'{word}'"),
            _ => word.to_owned(),
        };
        self.change(node.start..node.end, with);
    }

    fn metric_type(&mut self, text: &str, trigger: &Node, becomes: MetricType) {
        match (becomes, trigger.get("metricType"), trigger.entry("type")) {
            (MetricType::BecomesValue, Some(node), _) => self.scalar(node, "Value"),
            (MetricType::BecomesValue, None, Some(kind)) if trigger.is_flow() => {
                let with = format!(", {}: {}", like(&kind.key, "metricType"), like(&kind.key, "Value"));
                self.change(kind.value.end..kind.value.end, with);
            }
            (MetricType::BecomesValue, None, Some(kind)) => {
                let (end, newline) = line_end(text, kind.value.end);
                let indent = " ".repeat(column(text, kind.key.start));
                self.change(end..end, format!("{newline}{indent}metricType: Value"));
            }
            (MetricType::Goes, ..) => self.remove(text, trigger, &|key| key == "metricType"),
            (MetricType::Stays | MetricType::BecomesValue, ..) => {}
        }
    }

    /// Removes entries, each with the comment on its line; the comments above it stay.
    fn remove(&mut self, text: &str, mapping: &Node, leaves: &dyn Fn(&str) -> bool) {
        let leaving = |entry: &Entry| entry.key.text().is_some_and(leaves);
        let entries = mapping.entries();
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| leaving(entry)) {
            let next = entries.get(index + 1);
            let before = entries.get(..index).unwrap_or_default().iter().rfind(|entry| !leaving(entry));
            let first_of_line = text.get(line_start(text, entry.key.start)..entry.key.start).is_some_and(is_blank);
            let range = match (next, before) {
                (_, _) if !mapping.is_flow() && first_of_line => {
                    let (end, newline) = line_end(text, entry.value.end.max(entry.key.end));
                    line_start(text, entry.key.start)..(end + newline.len()).min(text.len())
                }
                (Some(next), _) => entry.key.start..next.key.start,
                (None, Some(before)) if mapping.is_flow() => before.value.end..entry.value.end,
                (None, _) => entry.key.start..entry.value.end,
            };
            self.change(range, "");
        }
    }

    /// Inserts entries before all others of `metadata`.
    fn add(&mut self, text: &str, trigger: &Node, added: &[(&'static str, String)]) {
        let Some(Entry { key: heading, value: metadata }) = trigger.entry("metadata") else { return };
        let Some(first) = metadata.entries().first() else { return };
        if metadata.is_flow() {
            let entry = |(key, value): &(&str, String)| format!("{}: {}, ", like(&first.key, key), quoted(value));
            self.change(first.key.start..first.key.start, added.iter().map(entry).collect::<String>());
        } else {
            let (end, newline) = line_end(text, heading.end);
            let indent = " ".repeat(column(text, first.key.start));
            let entry = |(key, value): &(&str, String)| match *key {
                // these words need no quotes
                "source" | "scaleOn" => format!("{newline}{indent}{key}: {value}"),
                key => format!("{newline}{indent}{key}: {}", quoted(value)),
            };
            self.change(end..end, added.iter().map(entry).collect::<String>());
        }
    }
}

/// Quotes a word if its neighbour is quoted, as in JSON.
fn like(neighbour: &Node, word: &str) -> String {
    match neighbour.content {
        Content::Scalar { style: ScalarStyle::DoubleQuoted, .. } => quoted(word),
        _ => word.to_owned(),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ')
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

fn column(text: &str, at: usize) -> usize {
    text.get(line_start(text, at)..at).map_or(0, |before| before.chars().count())
}

/// Returns the end of the line that contains `at`, and the line ending.
fn line_end(text: &str, at: usize) -> (usize, &'static str) {
    let rest = text.get(at..).unwrap_or_default();
    let end = at + rest.find('\n').unwrap_or(rest.len());
    if text.get(..end).is_some_and(|before| before.ends_with('\r')) { (end - 1, "\r\n") } else { (end, "\n") }
}
