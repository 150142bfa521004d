//! YAML as a tree whose nodes know their position in the text, so that each problem has its line and unchanged parts stay as written.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle, options};

/// Why a text cannot be read as YAML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// The line of the text, from 1.
    pub(crate) line: u64,
    pub(crate) message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// A node and its position in the text.
#[derive(Clone)]
pub(crate) struct Node {
    /// The offset of its first byte.
    pub(crate) start: usize,
    /// The offset after its last byte; after its last child if the node has no closing bracket.
    pub(crate) end: usize,
    pub(crate) line: u64,
    /// The number by which aliases refer to it.
    anchor: Option<usize>,
    pub(crate) content: Content,
}

/// The content of a node.
#[derive(Clone)]
pub(crate) enum Content {
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    Mapping {
        style: StructureStyle,
        entries: Vec<Entry>,
    },
    Sequence(Vec<Node>),
    /// An alias, with the node that it names.
    Alias(Rc<Node>),
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
}

/// The documents of a text.
pub(crate) struct Documents {
    pub(crate) roots: Vec<Node>,
    /// The anchors to which aliases refer.
    named: HashSet<usize>,
}

impl Documents {
    /// Reads all documents of a text.
    ///
    /// # Errors
    /// Fails if the text is not YAML, or is a template of YAML.
    pub(crate) fn read(text: &str) -> Result<Self, SyntaxError> {
        let parser = Parser::new_from_str_with_options(text, options! { emit_comments: false });
        let mut reader = Reader { text, parser, depth: 0, named: HashSet::new(), anchored: HashMap::new() };
        let mut roots = Vec::new();
        while let Some((event, span)) = reader.next()? {
            if !matches!(event, Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd) {
                roots.push(reader.node(event, span)?);
            }
        }
        Ok(Self { roots, named: reader.named })
    }

    /// Returns whether an alias refers to this node itself.
    pub(crate) fn is_named(&self, node: &Node) -> bool {
        node.anchor.is_some_and(|anchor| self.named.contains(&anchor))
    }

    /// Returns whether an alias refers to this node or one inside it.
    pub(crate) fn is_named_within(&self, node: &Node) -> bool {
        self.is_named(node)
            || match &node.content {
                Content::Scalar { .. } | Content::Alias(_) => false,
                Content::Mapping { entries, .. } => {
                    entries.iter().any(|entry| self.is_named_within(&entry.key) || self.is_named_within(&entry.value))
                }
                Content::Sequence(items) => items.iter().any(|item| self.is_named_within(item)),
            }
    }
}

impl Node {
    /// Returns the node that an alias names; itself if it is no alias.
    pub(crate) fn resolved(&self) -> &Self {
        match &self.content {
            Content::Alias(named) => named.resolved(),
            Content::Scalar { .. } | Content::Mapping { .. } | Content::Sequence(_) => self,
        }
    }

    /// Returns the entries of a mapping as written; none for any other node.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.resolved().content {
            Content::Mapping { entries, .. } => entries,
            Content::Scalar { .. } | Content::Sequence(_) | Content::Alias(_) => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.text() == Some(key))
    }

    /// Returns the value of a key, which may be in a mapping that is merged by `<<`.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let own = self.entry(key).map(|entry| &entry.value);
        own.or_else(|| self.merged().find_map(|merged| merged.get(key)))
    }

    /// Returns the keys and values of a mapping, merged ones last, each key once.
    pub(crate) fn fields(&self) -> Vec<(&str, &Self)> {
        let own = self.entries().iter().filter_map(|entry| Some((entry.key.text()?, &entry.value)));
        let all = own.filter(|(key, _)| *key != MERGE).chain(self.merged().flat_map(Self::fields));
        let mut seen = HashSet::new();
        all.filter(|(key, _)| seen.insert(*key)).collect()
    }

    fn merged(&self) -> impl Iterator<Item = &Self> {
        let merged = self.entry(MERGE).map(|entry| &entry.value);
        let several = merged.map_or(&[][..], Self::items);
        merged.filter(|_| several.is_empty()).into_iter().chain(several)
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.resolved().content {
            Content::Sequence(items) => items,
            Content::Scalar { .. } | Content::Mapping { .. } | Content::Alias(_) => &[],
        }
    }

    /// Returns the text of a scalar, whatever its type.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.resolved().content {
            Content::Scalar { text, .. } => Some(text),
            Content::Mapping { .. } | Content::Sequence(_) | Content::Alias(_) => None,
        }
    }

    pub(crate) const fn is_alias(&self) -> bool {
        matches!(self.content, Content::Alias(_))
    }

    /// Returns whether the node is a mapping in braces.
    pub(crate) const fn is_flow(&self) -> bool {
        matches!(self.content, Content::Mapping { style: StructureStyle::Flow, .. })
    }
}

/// The key that merges other mappings.
const MERGE: &str = "<<";

/// The maximum nesting of a text; objects of Kubernetes have far less, and each level takes stack.
const MAX_DEPTH: usize = 100;

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    depth: usize,
    named: HashSet<usize>,
    anchored: HashMap<usize, Rc<Node>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        let next = self.parser.next_event().transpose();
        next.map_err(|error: ScanError| self.error(error.marker(), &format!("not valid YAML: {}", error.info())))
    }

    /// Describes why the text cannot be read, at its line.
    fn error(&self, at: &Marker, message: &str) -> SyntaxError {
        let line = u64::try_from(at.line()).unwrap_or(u64::MAX);
        let message = if self.text.contains("{{") {
            "this is a template ({{ … }}): render it first, as with helm template, and use the result".to_owned()
        } else {
            message.to_owned()
        };
        SyntaxError { line, message }
    }

    /// Returns the next event, which must exist inside a collection that began at `start`.
    fn inner(&mut self, start: &Marker) -> Result<(Event<'a>, Span), SyntaxError> {
        self.next()?.ok_or_else(|| self.error(start, "not valid YAML: what begins here does not end"))
    }

    /// Reads a node, and remembers it if it has an anchor.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(&span.start, &format!("nested more than {MAX_DEPTH} levels deep")));
        }
        let node = self.content(event, span)?;
        self.depth -= 1;
        if let Some(anchor) = node.anchor {
            self.anchored.insert(anchor, Rc::new(node.clone()));
        }
        Ok(node)
    }

    fn content(&mut self, event: Event<'a>, span: Span) -> Result<Node, SyntaxError> {
        let start = span.start;
        let range = span.byte_range().ok_or_else(|| self.error(&start, "the YAML parser gave no position"))?;
        let (mut end, line) = (range.end, u64::try_from(start.line()).unwrap_or(u64::MAX));
        let anchor = event.anchor_id();
        let content = match event {
            Event::Scalar(text, style, _, tag) => {
                // the range of a block scalar extends into the next line
                end = range.start + self.text.get(range.clone()).map_or(0, |text| text.trim_end().len());
                // what is tagged as text is text without quotes
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let style = if is_text { ScalarStyle::DoubleQuoted } else { style };
                Content::Scalar { text: text.into_owned(), style }
            }
            Event::Alias(anchor) => {
                self.named.insert(anchor);
                let named = self.anchored.get(&anchor);
                let named = named.ok_or_else(|| self.error(&start, "this alias is inside the node that it names"))?;
                Content::Alias(Rc::clone(named))
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.inner(&start)?;
                    if matches!(event, Event::SequenceEnd) {
                        let last = items.last().map(|item: &Node| item.end);
                        end = closing(style, last, span).unwrap_or(end);
                        break Content::Sequence(items);
                    }
                    items.push(self.node(event, span)?);
                }
            }
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.inner(&start)?;
                    if matches!(event, Event::MappingEnd) {
                        let last = entries.last().map(|entry: &Entry| entry.value.end.max(entry.key.end));
                        end = closing(style, last, span).unwrap_or(end);
                        break Content::Mapping { style, entries };
                    }
                    let key = self.node(event, span)?;
                    if key.text().is_none() {
                        return Err(self.error(&span.start, "a key must be a text"));
                    }
                    let (event, span) = self.inner(&start)?;
                    entries.push(Entry { key, value: self.node(event, span)? });
                }
            }
            _ => return Err(self.error(&start, "not valid YAML: a value was expected")),
        };
        Ok(Node { start: range.start, end, line, anchor, content })
    }
}

/// Returns the end of a collection: its closing bracket, or the end of its last child.
fn closing(style: StructureStyle, last: Option<usize>, span: Span) -> Option<usize> {
    match style {
        StructureStyle::Flow => span.end.byte_offset(),
        StructureStyle::Block => last,
    }
}
