//! Converts rows of checkpoint tables to leases: lenient where clients differ, an error where a row lacks required data.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Checkpoint, Lease, ShardId, Timestamp};
use crate::trigger::{ShardKey, StoreLayout, WithoutCheckpoint};

/// The value of an attribute of a row; `NULL` counts as absent. Clients of different versions write the same attribute
/// with different types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Text, or a number as it was written.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A set or list of text values.
    Texts(Vec<String>),
    /// Lists of text or numbers, by name.
    Lists(HashMap<String, Vec<String>>),
    /// A value of a type that no store uses, such as binary.
    Other,
}

/// The attributes of a row by name.
pub type Row = HashMap<String, Attribute>;

/// Why the rows of a table are not the leases of one application on one stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row does not name its shard.
    #[error("a row has no {0}")]
    NoShard(Arc<str>),
    /// The row has no checkpoint of its shard.
    #[error("the row of {shard} has no {attribute}")]
    NoCheckpoint {
        /// The shard of the row.
        shard: String,
        /// The name of the missing attribute.
        attribute: Arc<str>,
    },
    /// The checkpoint has an unknown form.
    #[error("the row of {shard} has the checkpoint {checkpoint:?}, which is no sequence number")]
    Checkpoint {
        /// The shard of the row.
        shard: String,
        /// The value of the checkpoint.
        checkpoint: String,
    },
    /// The attribute that marks a finished shard has a value of an unsupported type.
    #[error(
        "the row of {shard} has a {attribute} that is no boolean, number or text, so it is unknown whether the shard is finished"
    )]
    Finished {
        /// The key of the row.
        shard: String,
        /// The name of the attribute.
        attribute: Arc<str>,
    },
    /// Two rows for one shard, of which at most one belongs to the application.
    #[error("the rows {} and {} are both for shard {shard}", rows[0], rows[1])]
    TwoRows {
        /// The shard of both rows.
        shard: ShardId,
        /// The key and the checkpoint of each.
        rows: [String; 2],
    },
    /// The names before the shards differ, so the table contains rows of several applications or streams.
    #[error("the rows {} and {} are of different applications or streams", rows[0], rows[1])]
    SeveralNames {
        /// The key and the checkpoint of two of them.
        rows: [String; 2],
    },
    /// Every row of the stream was written before the stream was created: the rows belong to a former stream of this name.
    #[error(
        "the newest rows of stream {stream} are of one that was created at {epoch}, but the present one was created at {created}"
    )]
    FormerStream {
        /// The name of the stream.
        stream: String,
        /// The creation time in the newest rows.
        epoch: Timestamp,
        /// The creation time of the present stream.
        created: Timestamp,
    },
}

impl RowError {
    /// What the reader of the error can do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoShard(_) | Self::NoCheckpoint { .. } | Self::Checkpoint { .. } | Self::Finished { .. } => {
                "check leaseTable and checkpointStore: the rows of this table are not of that kind"
            }
            Self::TwoRows { .. } | Self::SeveralNames { .. } => {
                "several applications or streams share this table: use checkpointStore spring or redpanda-connect if one of \
                 these wrote it, else custom with shardPattern, or with filterAttribute and filterValue"
            }
            Self::FormerStream { .. } => {
                "start the application with the creation time of the present stream in its stream identifier, and remove the \
                 rows of the former stream"
            }
        }
    }
}

/// Selects the rows of one stream in a table of several streams.
#[derive(Clone, Copy, Debug)]
pub enum RowsOf<'a> {
    /// Rows of a Kinesis stream: KCL writes `account:stream:creation`; the account is ignored.
    Kinesis {
        /// The name of the stream.
        stream: &'a str,
        /// When it was created, in seconds since 1970, where that is known.
        created: Option<u64>,
    },
    /// Rows of a table's present stream: the adapter writes `account:region$account$table$label:1`, with `_` for `:` in the label.
    DynamoDb {
        /// The name of the table.
        table: &'a str,
        /// The stream's label: the end of its ARN.
        label: &'a str,
    },
}

impl RowsOf<'_> {
    /// When the stream that a row names was created, as the client writes it; `None` where the row belongs to another stream.
    fn creation(self, identifier: &str) -> Option<u64> {
        let mut parts = identifier.split(':');
        let (_account, name, creation) = (parts.next()?, parts.next()?, parts.next()?);
        let matches = match self {
            Self::Kinesis { stream, .. } => name == stream,
            Self::DynamoDb { table, label } => {
                let mut ends = name.rsplit('$');
                ends.next().is_some_and(|end| end == label.replace(':', "_")) && ends.next() == Some(table)
            }
        };
        matches.then(|| creation.parse().ok())?
    }
}

/// Extracts the leases of one application on one stream from the rows of a table. Where the stream was recreated, the leases of the
/// newest stream count.
///
/// # Errors
/// When a row lacks the data of a lease, when two rows are for one shard, and when all rows are of a former stream of the name.
pub fn leases_of(rows: &[Row], layout: &StoreLayout, of: RowsOf<'_>) -> Result<Vec<Lease>, RowError> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| is_selected(row, layout)) {
        let Some(key) = Key::of(row, layout)? else { continue };
        let epoch = match key.identifier(row, layout) {
            None => None,
            Some(identifier) => match of.creation(identifier) {
                None => continue,
                epoch => epoch,
            },
        };
        found.push(Found { lease: read_lease(row, layout, &key)?, key, epoch });
    }
    let newest = found.iter().map(|row| row.epoch).max().flatten();
    if let (RowsOf::Kinesis { stream, created: Some(created) }, Some(epoch)) = (of, newest)
        && epoch < created
    {
        let time = |seconds: u64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        return Err(RowError::FormerStream { stream: stream.to_owned(), epoch: time(epoch), created: time(created) });
    }
    found.retain(|row| row.epoch == newest);
    one_row_per_shard(&found, layout)?;
    Ok(found.into_iter().filter_map(|row| row.lease).collect())
}

/// A row of the application for a shard of the stream.
struct Found<'a> {
    key: Key<'a>,
    /// When its stream was created, as the client writes it, in tables of several streams.
    epoch: Option<u64>,
    /// `None` where its consumer has not written a checkpoint yet.
    lease: Option<Lease>,
}

/// The attribute that names the shard of a row.
struct Key<'a> {
    text: &'a str,
    /// The text before the shard, where the metadata does not determine it.
    name: &'a str,
    shard: &'a str,
}

impl<'a> Key<'a> {
    /// Reads the key of a row; `None` for rows of another kind or another application.
    fn of(row: &'a Row, layout: &StoreLayout) -> Result<Option<Self>, RowError> {
        let kind = layout.kind.as_ref().and_then(|kind| text(row, kind));
        if kind.is_some_and(|kind| kind != StoreLayout::LEASE) {
            return Ok(None);
        }
        let key = first_text(row, &layout.shard);
        match (&layout.shard_key, key) {
            (ShardKey::AfterLastColon, Some(text)) => {
                let (name, shard) = text.rsplit_once(':').unwrap_or(("", text));
                Ok(Some(Self { text, name, shard }))
            }
            (ShardKey::AfterLastColon, None) => {
                Err(RowError::NoShard(layout.shard.first().cloned().unwrap_or_default()))
            }
            (ShardKey::Between { before, after }, key) => Ok(key.and_then(|text| {
                let shard = text.strip_prefix(&**before)?.strip_suffix(&**after)?;
                // `app-{shard}` does not match a row of the application `app-b`
                ShardId::is_shard_id(shard).then_some(Self { text, name: "", shard })
            })),
        }
    }

    /// The stream that the row names, in a store whose tables may have several.
    fn identifier(&self, row: &'a Row, layout: &StoreLayout) -> Option<&'a str> {
        let attribute = layout.stream.as_ref()?;
        text(row, attribute).or_else(|| (!self.name.is_empty()).then_some(self.name))
    }
}

impl Found<'_> {
    /// The row as an error shows it.
    fn named(&self) -> String {
        let checkpoint = self.lease.as_ref().map(|lease| lease.checkpoint.to_string());
        format!("{} (checkpoint {})", self.key.text, checkpoint.as_deref().unwrap_or("none"))
    }
}

/// Whether a row has the attribute value that selects the application's rows.
fn is_selected(row: &Row, layout: &StoreLayout) -> bool {
    let Some(filter) = layout.selection.filter() else { return true };
    match row.get(&*filter.attribute) {
        Some(Attribute::Text(text)) => {
            let number = |text: &str| text.parse::<f64>().ok();
            **text == *filter.value || number(text).is_some_and(|one| number(&filter.value) == Some(one))
        }
        Some(Attribute::Bool(flag)) => flag.to_string() == *filter.value,
        Some(Attribute::Texts(_) | Attribute::Lists(_) | Attribute::Other) | None => false,
    }
}

fn one_row_per_shard(found: &[Found<'_>], layout: &StoreLayout) -> Result<(), RowError> {
    let named = |one: &Found<'_>, other: &Found<'_>| {
        let mut rows = [one.named(), other.named()];
        rows.sort();
        rows
    };
    // a row that neither names a shard nor has a checkpoint is a lock or the like
    let of_shards = || found.iter().filter(|row| row.lease.is_some() || ShardId::is_shard_id(row.key.shard));
    let mut by_shard: HashMap<&str, &Found<'_>> = HashMap::new();
    for row in of_shards() {
        if let Some(other) = by_shard.insert(row.key.shard, row) {
            return Err(RowError::TwoRows { shard: ShardId::new(row.key.shard), rows: named(other, row) });
        }
    }
    // where the row names its stream, this was compared already
    let first = of_shards().next().filter(|_| layout.stream.is_none());
    let other = first.and_then(|first| Some((first, of_shards().find(|row| row.key.name != first.key.name)?)));
    other.map_or(Ok(()), |(first, other)| Err(RowError::SeveralNames { rows: named(first, other) }))
}

/// Reads a lease; `None` where the consumer of the shard has not written a checkpoint yet.
fn read_lease(row: &Row, layout: &StoreLayout, key: &Key<'_>) -> Result<Option<Lease>, RowError> {
    let shard = || key.text.to_owned();
    let finished = match layout.finished.as_ref().and_then(|name| Some((name, row.get(&**name)?))) {
        None => false,
        Some((name, value)) => {
            says_yes(value).ok_or_else(|| RowError::Finished { shard: shard(), attribute: name.clone() })?
        }
    };
    let checkpoint = match (finished, first_text(row, &layout.checkpoint).filter(|text| !text.is_empty())) {
        (true, _) => Checkpoint::ShardEnd,
        (false, Some(text)) => Checkpoint::parse(text)
            .ok_or_else(|| RowError::Checkpoint { shard: shard(), checkpoint: text.to_owned() })?,
        (false, None) => match layout.without_checkpoint {
            WithoutCheckpoint::NotYet => return Ok(None),
            WithoutCheckpoint::Error => {
                let attribute = layout.checkpoint.first().cloned().unwrap_or_default();
                return Err(RowError::NoCheckpoint { shard: shard(), attribute });
            }
        },
    };
    let number = |name: &Option<Arc<str>>| name.as_ref().and_then(|name| text(row, name));
    Ok(Some(Lease {
        shard: ShardId::new(key.shard),
        checkpoint,
        sub_sequence: number(&layout.sub_sequence).and_then(|text| text.parse().ok()),
        parents: layout.parents.as_ref().map_or_else(Vec::new, |name| shards(row, name)),
        owner: first_text(row, &layout.owners).filter(|owner| !owner.is_empty()).map(Arc::from),
        counter: number(&layout.counter).and_then(|text| text.parse().ok()),
        throughput_kbps: number(&layout.throughput).and_then(|text| text.parse().ok()),
    }))
}

/// The value of the first of these attributes that the row has as text.
pub(super) fn first_text<'a>(row: &'a Row, names: &[Arc<str>]) -> Option<&'a str> {
    names.iter().find_map(|name| text(row, name))
}

/// Values that mean no, in any case: Go writes its zero time where a time was never set.
const NO: [&str; 9] = ["", "false", "f", "no", "n", "off", "null", "none", "0001-01-01t00:00:00z"];

/// Whether a value marks its shard as finished: `true`, a number above 0, or a text that does not mean no; `None` for other types.
fn says_yes(value: &Attribute) -> Option<bool> {
    match value {
        Attribute::Bool(finished) => Some(*finished),
        Attribute::Text(text) => {
            let text = text.trim().to_lowercase();
            let number = text.parse::<f64>().ok();
            Some(number.map_or_else(|| !NO.contains(&&*text), |number| number > 0.0))
        }
        Attribute::Texts(_) | Attribute::Lists(_) | Attribute::Other => None,
    }
}

pub(super) fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    match row.get(name)? {
        Attribute::Text(text) => Some(text),
        Attribute::Bool(_) | Attribute::Texts(_) | Attribute::Lists(_) | Attribute::Other => None,
    }
}

fn shards(row: &Row, name: &str) -> Vec<ShardId> {
    match row.get(name) {
        Some(Attribute::Text(text)) if !text.is_empty() => vec![ShardId::new(text)],
        Some(Attribute::Texts(texts)) => texts.iter().map(|text| ShardId::new(text)).collect(),
        _ => Vec::new(),
    }
}
