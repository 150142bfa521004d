//! YAML as a tree whose nodes know their position in the text, so that unchanged parts stay as written.

use std::collections::HashSet;

use anyhow::Context as _;
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, options};

/// A node and its position in the text.
pub(super) struct Node {
    /// The offset of its first byte.
    pub(super) start: usize,
    /// The offset after its last byte; after its last child if the node has no closing bracket.
    pub(super) end: usize,
    pub(super) line: u64,
    /// The number by which aliases refer to it.
    anchor: Option<usize>,
    pub(super) content: Content,
}

/// The content of a node.
pub(super) enum Content {
    Scalar { text: String, style: ScalarStyle },
    Mapping { style: StructureStyle, entries: Vec<Entry> },
    Sequence(Vec<Node>),
    Alias,
}

/// A key and its value.
pub(super) struct Entry {
    pub(super) key: Node,
    pub(super) value: Node,
}

/// The documents of a text.
pub(super) struct Documents {
    pub(super) roots: Vec<Node>,
    /// The anchors to which aliases refer.
    named: HashSet<usize>,
}

impl Documents {
    /// Reads all documents of a text.
    ///
    /// # Errors
    /// Fails if the text is not YAML.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let parser = Parser::new_from_str_with_options(text, options! { emit_comments: false });
        let mut reader = Reader { text, parser, named: HashSet::new() };
        let mut roots = Vec::new();
        while let Some((event, span)) = reader.next()? {
            if !matches!(event, Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd) {
                roots.push(reader.node(event, span)?);
            }
        }
        Ok(Self { roots, named: reader.named })
    }

    /// Returns whether an alias refers to this node itself.
    pub(super) fn is_named(&self, node: &Node) -> bool {
        node.anchor.is_some_and(|anchor| self.named.contains(&anchor))
    }

    /// Returns whether an alias refers to this node or one inside it.
    pub(super) fn is_named_within(&self, node: &Node) -> bool {
        self.is_named(node)
            || match &node.content {
                Content::Scalar { .. } | Content::Alias => false,
                Content::Mapping { entries, .. } => {
                    entries.iter().any(|entry| self.is_named_within(&entry.key) || self.is_named_within(&entry.value))
                }
                Content::Sequence(items) => items.iter().any(|item| self.is_named_within(item)),
            }
    }
}

impl Node {
    /// Returns the entries of a mapping; none for any other node.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Mapping { entries, .. } => entries,
            Content::Scalar { .. } | Content::Sequence(_) | Content::Alias => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.text() == Some(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            Content::Scalar { .. } | Content::Mapping { .. } | Content::Alias => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Mapping { .. } | Content::Sequence(_) | Content::Alias => None,
        }
    }

    pub(super) const fn is_alias(&self) -> bool {
        matches!(self.content, Content::Alias)
    }

    /// Returns whether the node is a mapping in braces.
    pub(super) const fn is_flow(&self) -> bool {
        matches!(self.content, Content::Mapping { style: StructureStyle::Flow, .. })
    }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    named: HashSet<usize>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> anyhow::Result<Option<(Event<'a>, Span)>> {
        self.parser.next_event().transpose().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Returns the next event, which must exist inside a collection.
    fn inner(&mut self) -> anyhow::Result<(Event<'a>, Span)> {
        self.next()?.context("the YAML ends too soon")
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> anyhow::Result<Node> {
        let range = span.byte_range().context("the YAML parser gave no position")?;
        let (mut end, line) = (range.end, u64::try_from(span.start.line())?);
        let anchor = event.anchor_id();
        let content = match event {
            Event::Scalar(text, style, ..) => {
                // the range of a block scalar extends into the next line
                end = range.start + self.text.get(range.clone()).map_or(0, |text| text.trim_end().len());
                Content::Scalar { text: text.into_owned(), style }
            }
            Event::Alias(anchor) => {
                self.named.insert(anchor);
                Content::Alias
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.inner()?;
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
                    let (event, span) = self.inner()?;
                    if matches!(event, Event::MappingEnd) {
                        let last = entries.last().map(|entry: &Entry| entry.value.end.max(entry.key.end));
                        end = closing(style, last, span).unwrap_or(end);
                        break Content::Mapping { style, entries };
                    }
                    let key = self.node(event, span)?;
                    let (event, span) = self.inner()?;
                    entries.push(Entry { key, value: self.node(event, span)? });
                }
            }
            other => anyhow::bail!("the YAML has {other:?} where a value was expected"),
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
