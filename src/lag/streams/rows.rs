//! Rows of checkpoint tables as leases: lenient where clients differ, an error where a row says nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Checkpoint, Lease, ShardId};
use crate::trigger::{StoreLayout, WithoutCheckpoint};

/// The value of an attribute that a row has; `NULL` is no value. Clients of different versions write the same attribute with
/// different types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text, or a number as it was written.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A set or list of texts.
    Texts(Vec<String>),
    /// Lists of texts or numbers, by name.
    Lists(HashMap<String, Vec<String>>),
    /// A value of a type that no store uses, such as binary.
    Other,
}

/// A row by the names of its attributes.
pub type Row = HashMap<String, Attribute>;

/// Why a row is no lease although it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Nothing says of which shard it is.
    #[error("a row has no {0}")]
    NoShard(Arc<str>),
    /// Nothing says how far its shard is processed.
    #[error("the row of {shard} has no {attribute}")]
    NoCheckpoint {
        /// Of which shard.
        shard: String,
        /// What it lacks.
        attribute: Arc<str>,
    },
    /// A checkpoint that nobody here understands.
    #[error("the row of {shard} has the checkpoint {checkpoint:?}, which is no sequence number")]
    Checkpoint {
        /// Of which shard.
        shard: String,
        /// What stands there.
        checkpoint: String,
    },
    /// An attribute that neither says that its shard is finished nor that it is not.
    #[error(
        "the row of {shard} has a {attribute} that is no boolean, number or text, so it is unknown whether the shard is finished"
    )]
    Finished {
        /// The key of the row.
        shard: String,
        /// The name of the attribute.
        attribute: Arc<str>,
    },
}

/// Which rows of a table of several streams are those of one.
#[derive(Clone, Copy, Debug)]
pub enum RowsOf<'a> {
    /// Of a Kinesis stream: KCL writes `account:stream:creation`.
    Kinesis {
        /// Its name.
        stream: &'a str,
    },
    /// Of a table's present stream: the adapter writes `account:region$account$table$label:1`, with `_` for `:` in the label.
    DynamoDb {
        /// The table.
        table: &'a str,
        /// The stream's label: the end of its ARN.
        label: &'a str,
    },
}

impl RowsOf<'_> {
    /// When the stream that a row names was made, as the client counts; `None` where the row is of another stream.
    fn creation(self, identifier: &str) -> Option<u64> {
        let mut parts = identifier.split(':');
        let (_account, name, creation) = (parts.next()?, parts.next()?, parts.next()?);
        let matches = match self {
            Self::Kinesis { stream } => name == stream,
            Self::DynamoDb { table, label } => {
                let mut ends = name.rsplit('$');
                ends.next().is_some_and(|end| end == label.replace(':', "_")) && ends.next() == Some(table)
            }
        };
        matches.then(|| creation.parse().ok())?
    }
}

/// The leases of one stream among the rows of a table. Where a stream was made again under its name, those of the newest.
///
/// # Errors
/// When a row that should be a lease is none.
pub fn leases_of(rows: &[Row], layout: &StoreLayout, of: RowsOf<'_>) -> Result<Vec<Lease>, RowError> {
    let mut found = Vec::new();
    for row in rows {
        match read_lease(row, layout)? {
            None => {}
            Some(LeaseOf { stream: None, lease }) => found.push((None, lease)),
            Some(LeaseOf { stream: Some(stream), lease }) => {
                if let Some(creation) = of.creation(&stream) {
                    found.push((Some(creation), lease));
                }
            }
        }
    }
    let newest = found.iter().map(|(creation, _)| *creation).max().flatten();
    Ok(found.into_iter().filter(|(creation, _)| *creation == newest).map(|(_, lease)| lease).collect())
}

/// A lease and the stream that its row names, in tables of several.
struct LeaseOf {
    stream: Option<Arc<str>>,
    lease: Lease,
}

/// `None` for rows of another kind, and for shards whose consumer has not written anything yet.
fn read_lease(row: &Row, layout: &StoreLayout) -> Result<Option<LeaseOf>, RowError> {
    let kind = layout.kind.as_ref().and_then(|kind| text(row, kind));
    if kind.is_some_and(|kind| kind != StoreLayout::LEASE) {
        return Ok(None);
    }
    let key = text(row, &layout.shard).ok_or_else(|| RowError::NoShard(layout.shard.clone()))?;
    let shard = ShardId::new(key.rsplit(':').next().unwrap_or(key));
    let finished = match layout.finished.as_ref().and_then(|name| Some((name, row.get(&**name)?))) {
        None => false,
        Some((name, value)) => {
            says_yes(value).ok_or_else(|| RowError::Finished { shard: key.to_owned(), attribute: name.clone() })?
        }
    };
    let checkpoint = match (finished, text(row, &layout.checkpoint).filter(|text| !text.is_empty())) {
        (true, _) => Checkpoint::ShardEnd,
        (false, Some(text)) => Checkpoint::parse(text)
            .ok_or_else(|| RowError::Checkpoint { shard: key.to_owned(), checkpoint: text.to_owned() })?,
        (false, None) => match layout.without_checkpoint {
            WithoutCheckpoint::NotYet => return Ok(None),
            WithoutCheckpoint::Error => {
                let attribute = layout.checkpoint.clone();
                return Err(RowError::NoCheckpoint { shard: key.to_owned(), attribute });
            }
        },
    };
    let number = |name: &Option<Arc<str>>| name.as_ref().and_then(|name| text(row, name));
    let lease = Lease {
        shard,
        checkpoint,
        parents: layout.parents.as_ref().map_or_else(Vec::new, |name| shards(row, name)),
        owner: layout.owners.iter().find_map(|name| text(row, name)).map(Arc::from),
        counter: number(&layout.counter).and_then(|text| text.parse().ok()),
        throughput_kbps: number(&layout.throughput).and_then(|text| text.parse().ok()),
    };
    let stream = layout.stream.as_ref().and_then(|name| text(row, name)).map(Arc::from);
    Ok(Some(LeaseOf { stream, lease }))
}

/// Values that say no, whatever their case: Go writes its zero time where a time was never set.
const NO: [&str; 9] = ["", "false", "f", "no", "n", "off", "null", "none", "0001-01-01t00:00:00z"];

/// Whether a value marks its shard as finished: `true`, a number above 0, or a text that does not say no; `None` for other types.
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
