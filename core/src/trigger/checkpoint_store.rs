//! The tables in which applications write their progress: each kind of store is described by the names of its attributes.

use std::sync::Arc;

use super::aws_names::{self, TABLE_WORDS, is_table};
use super::metadata::{Metadata, Words, shown};
use super::shard_pattern;
use super::{StreamName, StreamSource};

/// A table with an application's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckpointStore {
    /// The DynamoDB table.
    pub table: Arc<str>,
    /// How its rows are read.
    pub layout: StoreLayout,
}

/// The attributes of a row; an absent one does not exist in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreLayout {
    /// Which rows are the application's.
    pub selection: RowSelection,
    /// The attribute with the shard's id: the first of these that is present.
    pub shard: Vec<Arc<str>>,
    /// The position of the id in that attribute.
    pub shard_key: ShardKey,
    /// The attribute with a sequence number, or one of KCL's words: the first of these that is present.
    pub checkpoint: Vec<Arc<str>>,
    /// What a row without a checkpoint means.
    pub without_checkpoint: WithoutCheckpoint,
    /// The index of the last processed user record within the record of the checkpoint.
    pub sub_sequence: Option<Arc<str>>,
    /// The attribute that marks a finished shard, where no word in the checkpoint does.
    pub finished: Option<Arc<str>>,
    /// The attribute with the owner: the first of these that is present.
    pub owners: Vec<Arc<str>>,
    /// The attribute that counts renewals.
    pub counter: Option<Arc<str>>,
    /// The attribute with the parents of the shard.
    pub parents: Option<Arc<str>>,
    /// The attribute with the throughput in kilobytes per second.
    pub throughput: Option<Arc<str>>,
    /// The attribute with the stream, in tables of several streams.
    pub stream: Option<Arc<str>>,
    /// The attribute with the kind of row; a lease has [`StoreLayout::LEASE`] or no value.
    pub kind: Option<Arc<str>>,
}

/// Which rows of a table are the application's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowSelection {
    /// Every row of the table.
    All,
    /// The rows of one partition: the table's hash key and its value, so that a `Query` reads no other rows.
    Partition(RowFilter),
    /// The rows with this value; a `Scan` reads the others too, and the service discards them.
    Filter(RowFilter),
}

/// An attribute and its required value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowFilter {
    /// The name of the attribute.
    pub attribute: Arc<str>,
    /// The value as text; a number or a boolean with the same text is equal to it.
    pub value: Arc<str>,
}

/// The position of a shard's id in its attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShardKey {
    /// After the last colon. The text before it names the application or the stream and is the same in every row of one stream.
    AfterLastColon,
    /// Between these two texts. A row without them belongs to another application.
    Between {
        /// The text before the id.
        before: Arc<str>,
        /// The text after the id.
        after: Arc<str>,
    },
}

/// What a row without a checkpoint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithoutCheckpoint {
    /// An error: the table is not of this kind, because the client never writes a row without a checkpoint.
    Error,
    /// The shard's consumer has not written a checkpoint yet.
    NotYet,
}

/// `checkpointStore`
#[derive(Clone, Copy)]
enum Kind {
    Kcl,
    VmwareGoKcl,
    Harlow,
    Kinsumer,
    Spring,
    RedpandaConnect,
    Custom,
}

const KINDS: Words<Kind> = &[
    ("kcl", Kind::Kcl),
    ("vmware-go-kcl", Kind::VmwareGoKcl),
    ("harlow", Kind::Harlow),
    ("kinsumer", Kind::Kinsumer),
    ("spring", Kind::Spring),
    ("redpanda-connect", Kind::RedpandaConnect),
    ("custom", Kind::Custom),
];

/// The keys that describe the rows of a custom store.
const CUSTOM_KEYS: [&str; 7] = [
    "shardAttribute",
    "shardPattern",
    "checkpointAttribute",
    "ownerAttribute",
    "finishedAttribute",
    "filterAttribute",
    "filterValue",
];

/// Spring Integration's default name of its metadata table.
const SPRING_TABLE: &str = "SpringIntegrationMetadataStore";

impl StoreLayout {
    /// KCL's word for a row that is a lease.
    pub const LEASE: &'static str = "LEASE";

    /// Creates the layout of a store that has only shards and checkpoints.
    fn plain(shard: &[&str], checkpoint: &[&str]) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        Self {
            selection: RowSelection::All,
            shard: names(shard),
            shard_key: ShardKey::AfterLastColon,
            checkpoint: names(checkpoint),
            without_checkpoint: WithoutCheckpoint::NotYet,
            sub_sequence: None,
            finished: None,
            owners: Vec::new(),
            counter: None,
            parents: None,
            throughput: None,
            stream: None,
            kind: None,
        }
    }

    /// The layout of KCL of any version, and of the DynamoDB Streams adapter.
    #[must_use]
    pub fn kcl() -> Self {
        Self {
            without_checkpoint: WithoutCheckpoint::Error,
            // during a handover, `leaseOwner` is the next owner
            owners: vec!["checkpointOwner".into(), "leaseOwner".into()],
            sub_sequence: Some("checkpointSubSequenceNumber".into()),
            counter: Some("leaseCounter".into()),
            parents: Some("parentShardId".into()),
            throughput: Some("throughputKBps".into()),
            stream: Some("streamName".into()),
            kind: Some("entityType".into()),
            ..Self::plain(&["leaseKey"], &["checkpoint"])
        }
    }

    fn vmware_go_kcl() -> Self {
        Self {
            owners: vec!["AssignedTo".into()],
            parents: Some("ParentShardId".into()),
            ..Self::plain(&["ShardID"], &["Checkpoint"])
        }
    }

    /// The layout of one table for all applications and streams, whose rows are identified by both names.
    fn harlow(application: &str, stream: &str) -> Self {
        Self {
            selection: RowSelection::Partition(RowFilter::new("namespace", &format!("{application}-{stream}"))),
            without_checkpoint: WithoutCheckpoint::Error,
            ..Self::plain(&["shard_id"], &["sequence_number"])
        }
    }

    fn kinsumer() -> Self {
        Self {
            owners: vec!["OwnerName".into()],
            finished: Some("Finished".into()),
            ..Self::plain(&["Shard"], &["SequenceNumber"])
        }
    }

    /// The layout of Spring Integration's metadata store, from version 3 on and before it.
    fn spring(group: &str, stream: &str) -> Self {
        Self {
            shard_key: ShardKey::Between { before: format!("{group}:{stream}:").into(), after: "".into() },
            without_checkpoint: WithoutCheckpoint::Error,
            ..Self::plain(&["metadataKey", "KEY"], &["metadataValue", "VALUE"])
        }
    }

    /// The layout of Redpanda Connect; `stream` is the stream as its configuration names it: a name or an ARN.
    fn redpanda_connect(stream: &str) -> Self {
        Self {
            selection: RowSelection::Partition(RowFilter::new("StreamID", stream)),
            owners: vec!["ClientID".into()],
            ..Self::plain(&["ShardID"], &["SequenceNumber"])
        }
    }

    fn custom(metadata: &Metadata<'_>, application: Option<&str>, stream: Option<&str>) -> Option<Self> {
        let shard = metadata.required("shardAttribute");
        let checkpoint = metadata.required("checkpointAttribute");
        let [attribute, value] = ["filterAttribute", "filterValue"].map(|key| metadata.text(key));
        let selection = match (attribute, value) {
            (Some(attribute), Some(value)) => RowSelection::Filter(RowFilter::new(attribute, value)),
            (None, None) => RowSelection::All,
            (given, _) => {
                let missing = if given.is_some() { "filterValue" } else { "filterAttribute" };
                metadata.problem(missing, "is required where the other part of the filter is given");
                RowSelection::All
            }
        };
        let shard_key = match metadata.text("shardPattern") {
            None => ShardKey::AfterLastColon,
            Some(pattern) => shard_pattern::read(metadata, pattern, application, stream)?,
        };
        Some(Self {
            selection,
            shard_key,
            owners: metadata.text("ownerAttribute").map(Arc::from).into_iter().collect(),
            finished: metadata.text("finishedAttribute").map(Arc::from),
            ..Self::plain(&[shard?], &[checkpoint?])
        })
    }

    /// Every attribute that is read, in no particular order; one may occur twice.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let optional = [
            &self.sub_sequence,
            &self.finished,
            &self.counter,
            &self.parents,
            &self.throughput,
            &self.stream,
            &self.kind,
        ];
        let filter = self.selection.filter().map(|filter| &filter.attribute);
        let named = self.shard.iter().chain(&self.checkpoint).chain(&self.owners);
        named.chain(optional.into_iter().flatten()).chain(filter).map(AsRef::as_ref)
    }
}

impl RowSelection {
    /// The filter that selects the rows, if there is one.
    #[must_use]
    pub const fn filter(&self) -> Option<&RowFilter> {
        match self {
            Self::All => None,
            Self::Partition(filter) | Self::Filter(filter) => Some(filter),
        }
    }
}

impl RowFilter {
    fn new(attribute: &str, value: &str) -> Self {
        Self { attribute: attribute.into(), value: value.into() }
    }
}

impl CheckpointStore {
    /// Reads the keys of the store for an application on `stream`.
    pub(super) fn read(metadata: &Metadata<'_>, source: Option<&StreamSource>) -> Option<Self> {
        let stream = source.map(|source| &source.stream);
        let region = source.and_then(|source| source.access.region.as_deref());
        let kind = metadata.word("checkpointStore", KINDS);
        if kind.is_none() && metadata.text("checkpointStore").is_some() {
            return None;
        }
        let kind = kind.unwrap_or(Kind::Kcl);
        let application = metadata.text("applicationName");
        if !matches!(kind, Kind::Custom) {
            for key in CUSTOM_KEYS.into_iter().filter(|key| metadata.text(key).is_some()) {
                metadata.problem(key, "is for checkpointStore custom only");
            }
        }
        let name = stream.map(StreamName::name);
        let names = application.zip(name);
        let layout = match kind {
            Kind::Kcl => Some(StoreLayout::kcl()),
            Kind::VmwareGoKcl => Some(StoreLayout::vmware_go_kcl()),
            Kind::Harlow => names.map(|(application, stream)| StoreLayout::harlow(application, stream)),
            Kind::Kinsumer => Some(StoreLayout::kinsumer()),
            Kind::Spring => names.map(|(application, stream)| StoreLayout::spring(application, stream)),
            Kind::RedpandaConnect => stream.map(|stream| StoreLayout::redpanda_connect(stream.as_given())),
            Kind::Custom => StoreLayout::custom(metadata, application, name),
        };
        let table = kind.table(metadata, application, region);
        Some(Self { table: table?, layout: layout? })
    }
}

impl Kind {
    /// Reads the name of the table; reports problems where it or the application's name is missing or invalid.
    fn table(self, metadata: &Metadata<'_>, application: Option<&str>, region: Option<&str>) -> Option<Arc<str>> {
        let named = metadata.text("leaseTable").is_some();
        let needs_application = match self {
            Self::Harlow => Some("is required for checkpointStore harlow"),
            Self::Spring => Some("is required for checkpointStore spring: it is the consumer group of the binding"),
            Self::RedpandaConnect => None,
            Self::Kcl | Self::VmwareGoKcl | Self::Kinsumer | Self::Custom => {
                (!named).then_some("is required, unless leaseTable is given")
            }
        };
        if let (Some(problem), None) = (needs_application, application) {
            metadata.problem("applicationName", problem);
        }
        if named {
            return aws_names::table(metadata, "leaseTable", region).map(Arc::from);
        }
        let of_application = match self {
            Self::Harlow | Self::RedpandaConnect => {
                let store = if matches!(self, Self::Harlow) { "harlow" } else { "redpanda-connect" };
                metadata.problem("leaseTable", format!("is required for checkpointStore {store}"));
                return None;
            }
            Self::Spring => return Some(SPRING_TABLE.into()),
            Self::Kinsumer => format!("{}_checkpoints", application?),
            Self::Kcl | Self::VmwareGoKcl | Self::Custom => application?.to_owned(),
        };
        if !is_table(&of_application) {
            let table = shown(&of_application);
            metadata.problem(
                "applicationName",
                format!("names the table {table}, which must be {TABLE_WORDS}; else name the table in leaseTable"),
            );
            return None;
        }
        Some(of_application.into())
    }
}
