//! What people and Kubernetes' tools write: YAML or JSON with several documents per file, and lists of objects.
//!
//! A fault of an object is a [`Located`] problem of that object; only what is not YAML at all ends the reading of its file.

mod scalar;
mod stream_text;
mod trigger_text;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use self::scalar::Scalar;
pub(crate) use self::stream_text::StreamText;
pub(crate) use self::trigger_text::{Fallback, ReadBy, ScaledText, Scaling, TriggerKind, TriggerText, UpPolicy};
pub(crate) use self::yaml::{Content, Documents, Entry, Node, SyntaxError};

/// The namespace of an object without one.
const DEFAULT_NAMESPACE: &str = "default";

/// A problem and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Located {
    pub(crate) line: u64,
    /// The key or field; empty if the problem is one of the whole text.
    pub(crate) key: String,
    pub(crate) message: String,
}

/// The objects of a text.
pub(crate) struct Manifest {
    pub(crate) scaled: Vec<ScaledText>,
    pub(crate) streams: Vec<StreamText>,
    pub(crate) skipped: Skipped,
}

/// The number of objects of each kind that are not for this scaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped(BTreeMap<String, usize>);

impl Manifest {
    /// Reads all objects of a text.
    ///
    /// # Errors
    /// Fails if the text is not YAML.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self::of(&Documents::read(text)?))
    }

    /// Reads all objects of parsed documents.
    pub(crate) fn of(documents: &Documents) -> Self {
        let mut manifest = Self { scaled: Vec::new(), streams: Vec::new(), skipped: Skipped::default() };
        for object in objects(documents) {
            match object.get("kind").and_then(Node::text) {
                _ if ScaledText::is_one(object) => manifest.scaled.push(ScaledText::read(object)),
                Some("KinesisStream") => manifest.streams.push(StreamText::read(object)),
                kind => {
                    let kind = kind.unwrap_or("without a kind").to_owned();
                    *manifest.skipped.0.entry(kind).or_default() += 1;
                }
            }
        }
        manifest
    }
}

impl Skipped {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out kinds that a command reads besides.
    pub(crate) fn without(mut self, kinds: &[&str]) -> Self {
        self.0.retain(|kind, _| !kinds.contains(&kind.as_str()));
        self
    }

    /// Adds the counts of another text.
    pub(crate) fn add(&mut self, other: Self) {
        for (kind, count) in other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// Returns the kinds that were there instead, for an error message.
    pub(crate) fn only(&self) -> String {
        if self.is_empty() { String::new() } else { format!(", only {self}") }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {kind}")?;
        }
        Ok(())
    }
}

/// Returns the objects of documents. Those of a `List`, or of a list of one kind, stand for the list.
pub(crate) fn objects(documents: &Documents) -> Vec<&Node> {
    let mut objects = Vec::new();
    for root in documents.roots.iter().filter(|root| root.scalar() != Some(Scalar::Null)) {
        add_objects(root, &mut objects);
    }
    objects
}

fn add_objects<'a>(node: &'a Node, objects: &mut Vec<&'a Node>) {
    let is_list = node.get("kind").and_then(Node::text).is_some_and(|kind| kind.ends_with("List"));
    match node.get("items").filter(|_| is_list) {
        Some(items) => items.items().iter().for_each(|item| add_objects(item, objects)),
        None => objects.push(node),
    }
}

/// Returns the namespace and the name of an object.
fn names(object: &Node) -> (String, String) {
    let metadata = object.get("metadata");
    let text = |key: &str| metadata.and_then(|metadata| metadata.get(key)).and_then(Node::text).map(str::to_owned);
    let namespace = text("namespace").unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    (namespace, text("name").unwrap_or_else(|| "unnamed".to_owned()))
}

/// Reads the text of a file, or of stdin for `-`.
///
/// # Errors
/// Fails if the file cannot be read as text.
pub(crate) fn read_text(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("reading stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

/// Reads all triggers of the given files.
///
/// # Errors
/// Fails if there is none, or if something outside the triggers is wrong.
pub(crate) fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<TriggerText>> {
    let (mut triggers, mut skipped) = (Vec::new(), Skipped::default());
    for file in files {
        let about = || format!("in {}", file.display());
        let manifest = Manifest::parse(&read_text(file)?).with_context(about)?;
        for scaled in manifest.scaled {
            if let Some(Located { line, key, message }) = scaled.problems.first() {
                return Err(anyhow::anyhow!("line {line}: {}: {key}: {message}", scaled.object)).with_context(about);
            }
            triggers.extend(scaled.triggers);
        }
        skipped.add(manifest.skipped);
    }
    anyhow::ensure!(!triggers.is_empty(), "there is no trigger of a ScaledObject or ScaledJob{}", skipped.only());
    Ok(triggers)
}
